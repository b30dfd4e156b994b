"""dns64: rows seen from CoreDNS 1.15.0, and that each family of clients gets its own answer."""

from ipaddress import IPv6Network

import dns.message
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP
from kdns.plugins.dns64 import Dns64
from kdns.plugins.template import Template
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import types
from kdns.wire.embed import Prefix
from tests import fakes

SOA = 'authority "test {} IN SOA ns.test h.test 1 60 60 60 60"'
ZONE = f"""
template IN A nx.test {{
 rcode NXDOMAIN
}}
template IN AAAA nx.test {{
 rcode NXDOMAIN
}}
template IN A four.test {{
 answer "four.test 300 A 192.0.2.1" "four.test 300 A 10.0.0.1"
 authority "test 60 NS ns.test"
 additional "ns.test 70 A 192.0.2.53"
}}
template IN AAAA four.test {{
 {SOA.format(60)}
}}
template IN A nosoa.test {{
 answer "nosoa.test 900 A 192.0.2.1"
}}
template IN AAAA nosoa.test
template IN A both.test {{
 answer "both.test 30 A 192.0.2.1"
}}
template IN AAAA both.test {{
 answer "both.test 77 AAAA 2001:db8::1"
}}
template IN AAAA ref.test {{
 rcode REFUSED
}}
template IN A ref.test {{
 answer "ref.test 900 A 192.0.2.7"
}}
template IN AAAA refa.test
template IN A refa.test {{
 rcode REFUSED
}}
template IN ANY c.test {{
 answer "c.test 40 CNAME four.test"
}}
template IN AAAA none.test {{
 {SOA.format(60)}
}}
template IN A none.test {{
 {SOA.format(61)}
}}
"""
SIX = fakes.client("2001:db8::5")


def chain(text: str) -> fakes.Chain:
    return fakes.chain(text + ZONE, Dns64, Template)


async def rows(made: fakes.Chain, name: str, type_: str = "AAAA", who=SIX) -> list[str]:
    reply = await made.dig(name, type_, who)
    assert not [rrset for rrset in reply.answer if rrset.rdtype == types.A]
    return [reply.rcode().name, *(line for rr in reply.answer for line in rr.to_text().split("\n"))]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("dns64", "a.nx.test", ["NXDOMAIN"]),
        ("dns64", "four.test", ["NOERROR", "four.test. 60 IN AAAA 64:ff9b::c000:201",
                                "four.test. 60 IN AAAA 64:ff9b::a00:1"]),
        ("dns64", "nosoa.test", ["NOERROR", "nosoa.test. 600 IN AAAA 64:ff9b::c000:201"]),
        ("dns64", "both.test", ["NOERROR", "both.test. 77 IN AAAA 2001:db8::1"]),
        ("dns64", "ref.test", ["NOERROR", "ref.test. 600 IN AAAA 64:ff9b::c000:207"]),
        ("dns64", "refa.test", ["REFUSED"]),
        ("dns64", "none.test", ["NOERROR"]),
        ("dns64", "c.test", ["NOERROR", "c.test. 40 IN CNAME four.test.",
                             "four.test. 60 IN AAAA 64:ff9b::c000:201",
                             "four.test. 60 IN AAAA 64:ff9b::a00:1"]),
        ("dns64 2001:db8:64::/48", "nosoa.test",
         ["NOERROR", "nosoa.test. 600 IN AAAA 2001:db8:64:c000:2:100::"]),
        ("dns64 {\ntranslate_all\n}", "both.test",
         ["NOERROR", "both.test. 30 IN AAAA 64:ff9b::c000:201"]),
        ("dns64 {\nprefix 2001:db8::/32\nallow_ipv4\n}", "nosoa.test",
         ["NOERROR", "nosoa.test. 600 IN AAAA 2001:db8:c000:201::"]),
    ],
)  # fmt: skip
async def test_answers(text, name, expected):
    assert await rows(chain(text), name) == expected


async def test_the_rest_is_that_of_the_look_up_for_a():
    reply = await chain("dns64").dig("four.test", "AAAA", SIX)
    assert not reply.flags & types.AA
    assert [rrset.to_text() for rrset in reply.authority] == ["test. 60 IN NS ns.test."]
    assert [rrset.to_text() for rrset in reply.additional] == ["ns.test. 70 IN A 192.0.2.53"]
    reply = await chain("dns64").dig("none.test", "AAAA", SIX)
    assert reply.authority[0].ttl == 61


async def test_other_clients_and_types_pass():
    made = chain("dns64")
    assert await rows(made, "four.test", who=fakes.client("10.0.0.1")) == ["NOERROR"]
    assert await made.ask("four.test", "TXT", SIX) is SKIP
    assert await rows(chain("dns64 {\nallow_ipv4\n}"), "nosoa.test", who=fakes.client()) == [
        "NOERROR", "nosoa.test. 600 IN AAAA 64:ff9b::c000:201",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "type_", "is_shared"),
    [("dns64", "AAAA", False), ("dns64", "A", True), ("dns64 {\nallow_ipv4\n}", "AAAA", True)],
)
async def test_the_family_of_the_asker_is_his_class(text, type_, is_shared):
    made = chain(text)
    await made.ask("four.test", type_, SIX)
    assert made.ledger.keep
    assert (made.ledger.audience == ()) is is_shared


@pytest.mark.parametrize("order", [["10.0.0.1", "2001:db8::5"], ["2001:db8::5", "10.0.0.1"]])
async def test_the_answer_table_keeps_the_families_apart(order):
    services, errors = Services(), []
    assembly = build(f"test {{\ndns64\n{ZONE}\n}}\n", "Corefile", services, errors)
    assert not errors
    [router] = assembly.routers.values()
    table = AnswerTable(services.stamps, services.chance, lambda peer: peer)
    pipeline = Pipeline(
        router, services.stamps, services.counters, services.clock, services.chance, table=table
    )
    packet = dns.message.make_query("nosoa.test", "AAAA", id=7).to_wire()
    hits = 0
    for _ in range(5):
        for address in order:
            who = fakes.client(address)
            reply = pipeline.recall(packet, who.address, services.clock())
            hits += reply is not None
            if reply is None:
                reply = await pipeline.respond(packet, who, services.clock())
            assert bool(dns.message.from_wire(reply).answer) == (":" in address)
    assert hits >= 4  # remembered on second sight


async def test_what_is_made_is_counted_also_from_the_table():
    made = chain("dns64")
    key = ("coredns_dns64_requests_translated_total", "dns://:53")
    await rows(made, "four.test")
    made.ledger.credits[-1].hits += 4
    await rows(made, "none.test")
    await rows(made, "both.test")
    assert made.site.counters.values[key] == 5


@pytest.mark.parametrize("length", [32, 40, 48, 56, 64, 96])
def test_what_is_embedded_can_be_extracted(length):
    prefix = Prefix(IPv6Network(f"2001:db8::/{length}"))
    made = prefix.embed(b"\xc0\0\2\x21")
    assert made[8] == 0
    assert prefix.extract(made) == b"\xc0\0\2\x21"
    assert prefix.extract(b"\x20\2" + made[2:]) is None


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
    ],
)
def test_the_examples_of_rfc_6052(network, expected):
    made = Prefix(IPv6Network(network)).embed(b"\xc0\0\2\x21")
    assert made == IPv6Network(expected).network_address.packed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("dns64 10.0.0.0/8", "an IPv6 prefix"),
        ("dns64 64:ff9b::", "an IPv6 prefix"),
        ("dns64 2001:db8::/72", "length of 32, 40"),
        ("dns64 64:ff9b::/96 x", "'x'"),
        ("dns64 {\nprefix\n}", "end of the line"),
        ("dns64 {\ntranslate_all x\n}", "'x'"),
        ("dns64 {\nfoo\n}", "unknown option"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError) as caught:
        chain(text)
    assert why in str(caught.value)
