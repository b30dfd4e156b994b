"""local: this very host. What CoreDNS 1.15.0 said is what is expected here, but for two owners."""

import dns.rcode
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP
from kdns.plugins.local import Local
from tests import fakes
from tests.tabled import Served

SOA = "604800 IN SOA localhost. root.localhost. 1 0 0 0 604800"


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        ("localhost", "A", "localhost. 604800 IN A 127.0.0.1"),
        ("localhost", "AAAA", "localhost. 604800 IN AAAA ::1"),
        ("localhost", "NS", "localhost. 604800 IN NS localhost."),
        ("localhost", "SOA", f"localhost. {SOA}"),
        ("A.b.LocalHost", "A", "A.b.LocalHost. 604800 IN A 127.0.0.1"),
        ("localhost.example.org", "AAAA", "localhost.example.org. 604800 IN AAAA ::1"),
        ("127.in-addr.arpa", "SOA", f"127.in-addr.arpa. {SOA}"),
        ("0.in-addr.arpa", "NS", "0.in-addr.arpa. 604800 IN NS localhost."),
        ("1.0.0.127.in-addr.arpa", "PTR", "1.0.0.127.in-addr.arpa. 604800 IN PTR localhost."),
        ("localhost.127.in-addr.arpa", "A", "localhost.127.in-addr.arpa. 604800 IN A 127.0.0.1"),
    ],
)
async def test_what_there_is(name, type_, expected):
    one = Served(".:0 {\n local\n}\n")
    reply = await one.ask(name, type_)
    assert [rrset.to_text() for rrset in reply.answer] == [expected]
    assert not reply.authority
    assert not reply.flags & 0x0400
    assert await one.is_remembered(name, type_)


@pytest.mark.parametrize(
    ("name", "type_", "rcode", "owner"),
    [
        ("localhost", "MX", "NOERROR", "localhost."),
        ("a.localhost", "NS", "NOERROR", "localhost."),
        ("localhost.example.org", "SOA", "NOERROR", "localhost.example.org."),
        ("0.in-addr.arpa", "PTR", "NOERROR", "0.in-addr.arpa."),
        ("1.0.0.127.in-addr.arpa", "A", "NOERROR", "127.in-addr.arpa."),
        ("2.0.0.127.in-addr.arpa", "PTR", "NXDOMAIN", "127.in-addr.arpa."),
        ("x.255.in-addr.arpa", "SOA", "NXDOMAIN", "255.in-addr.arpa."),
    ],
)
async def test_what_there_is_not(name, type_, rcode, owner):
    reply = await Served(".:0 {\n local\n}\n").ask(name, type_)
    assert not reply.answer
    assert [rrset.to_text() for rrset in reply.authority] == [f"{owner} {SOA}"]
    assert dns.rcode.to_text(reply.rcode()) == rcode


@pytest.mark.parametrize(
    ("option", "name", "is_ours"),
    [
        ("on", "localhost.example.org", True), ("off", "localhost.example.org", False),
        ("off", "localhost", True), ("off", "a.localhost", True), ("on", "localhosts.org", False),
        ("on", "xlocalhost", False), ("on", "1.126.in-addr.arpa", False),
    ],
)  # fmt: skip
async def test_what_is_not_ours_passes(option, name, is_ours):
    chain = fakes.chain(f"local {{\n localhost_prefix {option}\n}}", Local)
    assert (await chain.ask(name) is not SKIP) == is_ours


async def test_names_around_localhost_are_counted_hits_too():
    one = Served(".:0 {\n local\n}\n")
    for name in ("localhost", "a.localhost", "localhost.example.org", "1.127.in-addr.arpa"):
        for _ in range(4):
            await one.ask(name)
    await one.pipeline.tell_all()
    assert one.counters.values[("coredns_local_localhost_requests_total",)] == 8


@pytest.mark.parametrize(
    "text", ["local x", "local {\n localhost_prefix\n}", "local {\n localhost_prefix ON\n}"]
)
def test_wrong_options_are_refused(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Local)
