"""siit: rows seen from CoreDNS 1.15.0."""

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP
from kdns.plugins.dns64 import Dns64
from kdns.plugins.siit import Siit
from kdns.plugins.template import Template
from kdns.wire import types
from tests import fakes

ZONE = """
template IN AAAA emb.test {
 answer "emb.test 90 AAAA 64:ff9b::a00:1" "emb.test 90 AAAA 2001:db8::1"
 answer "emb.test 90 AAAA 2001:db8::2"
 authority "test 60 NS ns.test"
}
template IN A emb.test {
 authority "test 50 SOA ns.test h.test 1 60 60 60 60"
}
template IN A four.test {
 answer "four.test 300 A 192.0.2.1"
}
template IN AAAA four.test
template IN AAAA six.test {
 answer "six.test 900 AAAA 64:ff9b::a00:1"
}
template IN A six.test
template IN AAAA far.test {
 answer "far.test 900 AAAA 2001:db8::9"
}
template IN A far.test {
 authority "test 50 SOA ns.test h.test 1 60 60 60 60"
}
template IN A nx.test {
 rcode NXDOMAIN
}
template IN A ref.test {
 rcode REFUSED
}
template IN AAAA ref.test {
 answer "ref.test 5 AAAA 64:ff9b::a00:1"
}
template IN A bad.test
template IN AAAA bad.test {
 rcode REFUSED
}
template IN ANY c.test {
 answer "c.test 40 CNAME six.test"
}
"""


def chain(text: str) -> fakes.Chain:
    return fakes.chain(text + ZONE, Dns64, Siit, Template)


async def rows(made: fakes.Chain, name: str, type_: str = "A") -> list[str]:
    reply = await made.dig(name, type_)
    return [reply.rcode().name, *(line for rr in reply.answer for line in rr.to_text().split("\n"))]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("siit", "emb.test", ["NOERROR", "emb.test. 50 IN A 10.0.0.1"]),
        ("siit {\neam 192.0.2.9 2001:db8::1\n}", "emb.test",
         ["NOERROR", "emb.test. 50 IN A 10.0.0.1", "emb.test. 50 IN A 192.0.2.9"]),
        ("siit {\nipv6_prefix 2001:db8::/96\n}", "emb.test",
         ["NOERROR", "emb.test. 50 IN A 0.0.0.1", "emb.test. 50 IN A 0.0.0.2"]),
        ("siit {\neam 192.0.2.9 2001:db8::9\neam 192.0.2.8 2001:db8::9\n}", "far.test",
         ["NOERROR", "far.test. 50 IN A 192.0.2.8"]),
        ("siit", "four.test", ["NOERROR", "four.test. 300 IN A 192.0.2.1"]),
        ("siit", "six.test", ["NOERROR", "six.test. 600 IN A 10.0.0.1"]),
        ("siit", "nx.test", ["NXDOMAIN"]),
        ("siit", "ref.test", ["NOERROR", "ref.test. 5 IN A 10.0.0.1"]),
        ("siit", "bad.test", ["REFUSED"]),
        ("siit", "far.test", ["NOERROR"]),
        ("siit", "c.test", ["NOERROR", "c.test. 40 IN CNAME six.test.",
                            "six.test. 600 IN A 10.0.0.1"]),
    ],
)  # fmt: skip
async def test_answers(text, name, expected):
    made = chain(text)
    assert await rows(made, name) == expected
    assert made.ledger.keep
    assert made.ledger.audience == ()


async def test_what_cannot_be_mapped_leaves_the_first_reply():
    reply = await chain("siit").dig("far.test")
    assert [rrset.rdtype for rrset in reply.authority] == [types.SOA]
    reply = await chain("siit").dig("emb.test")
    assert [rrset.rdtype for rrset in reply.authority] == [types.NS]
    assert reply.flags & types.AA


async def test_other_types_pass():
    made = chain("siit")
    assert await made.ask("four.test", "TXT") is SKIP
    assert await rows(made, "emb.test", "AAAA") != ["NOERROR"]


async def test_both_directions_in_one_block_end():
    made = chain("dns64 {\nallow_ipv4\n}\nsiit\ntemplate IN ANY void.test\n")
    assert await rows(made, "void.test") == ["NOERROR"]
    assert await rows(made, "void.test", "AAAA") == ["NOERROR"]
    assert await rows(made, "six.test") == ["NOERROR", "six.test. 600 IN A 10.0.0.1"]
    assert await rows(made, "four.test", "AAAA") == [
        "NOERROR", "four.test. 300 IN AAAA 64:ff9b::c000:201",
    ]  # fmt: skip
    assert made.plugins[1]._inside == set()  # what waited has been let go


async def test_what_is_made_is_counted():
    made = chain("siit")
    for name in ("six.test", "six.test", "four.test", "far.test"):
        await rows(made, name)
    key = ("coredns_siit_requests_translated_total", "dns://:53")
    assert made.site.counters.values[key] == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("siit x", "'x'"),
        ("siit {\nipv6_prefix\n}", "end of the line"),
        ("siit {\nipv6_prefix 64:ff9b::/97\n}", "length of 32, 40"),
        ("siit {\nipv6_prefix 10.0.0.0/8\n}", "an IPv6 prefix"),
        ("siit {\nipv6_prefix 2001:db8:0:0:100::/96\n}", "bits 64 to 71"),
        ("siit {\neam 10.0.0.1\n}", "end of the line"),
        ("siit {\neam 2001:db8::1 10.0.0.1\n}", "an IPv4 address"),
        ("siit {\neam 10.0.0.1 ::ffff:10.0.0.1\n}", "an IPv6 address"),
        ("siit {\neam 10.0.0.1 2001:db8::1 x\n}", "'x'"),
        ("siit {\nfoo\n}", "unknown option"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError) as caught:
        chain(text)
    assert why in str(caught.value)
