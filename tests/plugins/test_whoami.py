"""whoami: what CoreDNS 1.15.0 said of askers over UDP, TCP, IPv4 and IPv6."""

import pytest

from kdns.plugins.whoami import Whoami
from tests import fakes


@pytest.mark.parametrize(
    ("name", "type_", "address", "transport", "expected"),
    [
        pytest.param(
            "foo.example", "A", "10.1.2.3", "udp",
            ["foo.example. 0 IN A 10.1.2.3", "_udp.foo.example. 0 IN SRV 0 0 40000 ."],
            id="udp",
        ),
        pytest.param(
            "foo.example", "MX", "10.1.2.3", "tcp",
            ["foo.example. 0 IN A 10.1.2.3", "_tcp.foo.example. 0 IN SRV 0 0 40000 ."],
            id="tcp, another type",
        ),
        pytest.param(
            "foo.example", "A", "fd00::1", "udp",
            ["foo.example. 0 IN AAAA fd00::1", "_udp.foo.example. 0 IN SRV 0 0 40000 ."],
            id="IPv6",
        ),
        pytest.param(
            ".", "A", "10.1.2.3", "udp",
            [". 0 IN A 10.1.2.3", "_udp. 0 IN SRV 0 0 40000 ."],
            id="the root",
        ),
    ],
)  # fmt: skip
async def test_the_asker_stands_in_the_additional_section(
    name, type_, address, transport, expected
):
    chain = fakes.chain("whoami", Whoami)
    reply = await chain.dig(name, type_, fakes.client(address, transport))
    assert not reply.answer
    assert not reply.authority
    assert [rrset.to_text() for rrset in reply.additional] == expected
    assert reply.rcode() == 0
    assert reply.flags & 0x0400, "authoritative"


async def test_the_asker_sees_his_own_letter_case():
    reply = await fakes.chain("whoami", Whoami).dig("FOO.Example")
    assert [rrset.name.to_text() for rrset in reply.additional] == [
        "FOO.Example.",
        "_udp.FOO.Example.",
    ]


async def test_the_answer_is_for_the_asker_alone():
    chain = fakes.chain("whoami", Whoami)
    await chain.ask("foo.example")
    assert not chain.ledger.keep


async def test_a_name_too_long_for_a_label_more_gets_no_srv():
    name = ".".join(["a" * 63] * 3 + ["b" * 61])
    reply = await fakes.chain("whoami", Whoami).dig(name)
    assert [rrset.rdtype.name for rrset in reply.additional] == ["A"]
