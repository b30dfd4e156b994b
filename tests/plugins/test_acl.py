"""acl: what CoreDNS 1.15.0 decided for these rules, and who may share an answer."""

from ipaddress import ip_address, ip_network

import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.corefile.tree import ConfigError
from kdns.plugins.acl import Acl, Nets
from kdns.plugins.base import DROP, SKIP, Backend
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset
from tests import fakes

LOCAL, OTHER = "10.0.0.1", "192.0.2.9"


class Always(Backend):
    """Answers every name."""

    name = "always"

    async def answer(self, query):
        if query.type == types.TXT:
            return SKIP
        return Answer(answer=(RRset(query.key, types.A, 60, (records.address("1.1.1.1"),)),))


def chain(rules: str, **site: object) -> fakes.Chain:
    return fakes.chain(rules + "\nalways", Acl, Always, **site)


async def verdict(made: fakes.Chain, name: str, type_: str = "A", address: str = LOCAL) -> str:
    answer = await made.ask(name, type_, fakes.client(address))
    if answer is DROP:
        return "drop"
    if answer is SKIP or answer.answer:
        return "allow"
    return {types.REFUSED: "block", types.NOERROR: "filter"}[answer.rcode]


@pytest.mark.parametrize(
    ("rules", "asked", "expected"),
    [
        pytest.param("acl", "a. A", "allow", id="no rules"),
        pytest.param("acl {\n block\n}", "a. A", "block", id="block"),
        pytest.param("acl {\n filter\n}", "a. A", "filter", id="filter"),
        pytest.param("acl {\n drop\n}", "a. A", "drop", id="drop"),
        pytest.param("acl {\n allow\n}", "a. A", "allow", id="allow"),
        pytest.param("acl {\n allow\n block\n}", "a. A", "allow", id="first match wins"),
        pytest.param("acl {\n BLOCK\n}", "a. A", "block", id="actions in any case"),
        pytest.param("acl {\n block type AAAA\n}", "a. A", "allow", id="another type"),
        pytest.param("acl {\n block type A AAAA\n}", "a. AAAA", "block", id="one of several types"),
        pytest.param("acl {\n block type A type MX\n}", "a. MX", "block", id="type twice"),
        pytest.param("acl {\n block type ANY\n}", "a. A", "allow", id="ANY is a type"),
        pytest.param("acl {\n block type ANY\n}", "a. ANY", "block", id="ANY asked"),
        pytest.param("acl {\n block type *\n}", "a. A", "block", id="any type"),
        pytest.param("acl {\n block type TYPE65\n}", "a. HTTPS", "block", id="type by number"),
        pytest.param("acl {\n block net 10.0.0.0/8\n}", "a. A", "block", id="net"),
        pytest.param("acl {\n block net 10.9.9.9/8\n}", "a. A", "block", id="net with host bits"),
        pytest.param("acl {\n block net 10.0.0.1\n}", "a. A", "block", id="address"),
        pytest.param("acl {\n block net 10.0.0.2\n}", "a. A", "allow", id="another address"),
        pytest.param("acl {\n block net fd00::/8\n}", "a. A", "allow", id="another family"),
        pytest.param("acl {\n block net ::/0\n}", "a. A", "allow", id="all of another family"),
        pytest.param("acl {\n block net 0.0.0.0/0\n}", "a. A", "block", id="all of a family"),
        pytest.param("acl {\n block net fd00::/8 10.0.0.1\n}", "a. A", "block", id="several nets"),
        pytest.param("acl {\n block net ::1 net 10.0.0.1\n}", "a. A", "block", id="net twice"),
        pytest.param("acl {\n block net *\n}", "a. A", "block", id="any net"),
        pytest.param("acl {\n block net 10.0.0.0/8 type A\n}", "a. A", "block", id="net and type"),
        pytest.param("acl {\n block net 11.0.0.0/8 type A\n}", "a. A", "allow", id="type, not net"),
        pytest.param("acl b. {\n block\n}", "a. A", "allow", id="another zone"),
        pytest.param("acl b. a. {\n block\n}", "x.a. A", "block", id="below a zone"),
        pytest.param("acl a. {\n allow\n}\nacl . {\n block\n}", "a. A", "allow", id="two stanzas"),
        pytest.param("acl a. {\n block\n}\nacl . {\n allow\n}", "a. A", "block", id="in order"),
        pytest.param("acl a. {\n block type MX\n}\nacl {\n drop\n}", "a. A", "drop", id="the next"),
    ],
)
async def test_the_first_rule_that_matches_decides(rules, asked, expected):
    assert await verdict(chain(rules), *asked.split()) == expected


@pytest.mark.parametrize(
    ("action", "rcode", "code"),
    [("block", 5, types.EDE_BLOCKED), ("filter", 0, types.EDE_FILTERED)],
)
async def test_a_stopped_query_is_told_why_if_it_uses_edns(action, rcode, code):
    made = chain(f"acl {{\n {action}\n}}")
    reply = await made.dig("a.example", "A", None, has_opt=True, size=1232)
    assert reply.rcode() == rcode
    assert not reply.flags & dns.flags.AA
    assert [(option.code, option.text) for option in reply.options] == [(code, None)]
    assert (await made.dig("a.example")).edns == -1


async def test_skip_is_passed_on():
    assert await chain("acl").ask("a.example", "TXT") is SKIP


@pytest.mark.parametrize(
    ("rules", "name", "type_", "is_shared"),
    [
        pytest.param("acl {\n block type MX\n}", "a.", "A", True, id="no rule names a net"),
        pytest.param("acl {\n block net ::1\n}", "a.", "A", False, id="a net was looked at"),
        pytest.param("acl {\n allow\n block net ::1\n}", "a.", "A", True, id="decided before it"),
        pytest.param("acl {\n block type MX net ::1\n}", "a.", "A", True, id="not for this type"),
        pytest.param("acl b. {\n block net ::1\n}", "a.", "A", True, id="not for this name"),
        pytest.param("acl {\n allow net ::1\n}", "a.", "A", False, id="also where all is allowed"),
    ],
)
async def test_an_answer_is_shared_by_all_unless_a_net_mattered(rules, name, type_, is_shared):
    made = chain(rules)
    await made.ask(name, type_)
    assert made.ledger.keep
    assert (made.ledger.audience == ()) == is_shared


NETS = ["10.0.0.0/8", "10.0.0.0/16", "10.0.0.1/32", "0.0.0.0/0", "fd00::/8", "fd00::1/128", "::/0"]
ADDRESSES = st.one_of(
    st.ip_addresses(),
    st.sampled_from(["10.0.0.1", "10.0.9.9", "fd00::1", "fd01::"]).map(ip_address),
)


@given(address=ADDRESSES, chosen=st.lists(st.sampled_from(NETS)))
def test_a_class_is_exactly_the_nets_that_hold_the_address(address, chosen):
    nets = Nets()
    masks = [nets.mask([ip_network(net)]) for net in NETS]
    joint = nets.mask([ip_network(net) for net in chosen])
    held = [address in ip_network(net) for net in NETS]
    for _ in range(2):
        class_ = nets.classify(address.packed)
        assert [bool(class_ & mask) for mask in masks] == held
        assert bool(class_ & joint) == any(address in ip_network(net) for net in chosen)


def test_classes_take_bounded_memory():
    nets = Nets()
    nets.mask([ip_network("10.0.0.0/8")])
    for number in range(10_000):
        assert nets.classify(number.to_bytes(4, "big")) == 0
    assert len(nets._known) <= 4096


RULES = "acl example.org {\n block type A\n filter type AAAA\n drop type MX\n}"


async def test_decisions_are_counted():
    made = chain(RULES)
    for name, type_ in [("a.example.org", "A"), ("example.org", "A"), ("b.example.org", "AAAA"),
                        ("b.example.org", "MX"), ("b.example.org", "NS"), ("other", "A")]:  # fmt: skip
        await made.ask(name, type_)
    assert dict(made.site.counters.values) == {
        ("coredns_acl_blocked_requests_total", "dns://:53", "example.org.", ""): 2,
        ("coredns_acl_filtered_requests_total", "dns://:53", "example.org.", ""): 1,
        ("coredns_acl_dropped_requests_total", "dns://:53", "example.org.", ""): 1,
        ("coredns_acl_allowed_requests_total", "dns://:53", ""): 2,
    }


@pytest.mark.parametrize(
    ("type_", "counter"),
    [
        ("A", ("coredns_acl_blocked_requests_total", "dns://:53", "example.org.", "")),
        ("NS", ("coredns_acl_allowed_requests_total", "dns://:53", "")),
    ],
)
async def test_what_the_answer_table_repeats_is_counted_too(type_, counter):
    made = chain(RULES)
    await made.ask("example.org", type_)
    made.ledger.credits[0].hits += 41
    assert made.site.counters.values[counter] == 42


async def test_all_who_want_to_count_are_told_of_hits():
    class Claims(Always):
        name = "claims"
        hits = 0

        async def answer(self, query):
            query.credit(self)
            return SKIP

    made = fakes.chain("acl\nclaims", Acl, Claims)
    await made.ask("example.org")
    assert len(made.ledger.credits) == 2


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("acl {\n deny\n}", "unknown action 'deny'"),
        ("acl {\n bloc\n}", "did you mean 'block'?"),
        ("acl {\n block 10.0.0.0/8\n}", "expected type or net, found '10.0.0.0/8'"),
        ("acl {\n block type\n}", "type needs at least one value"),
        ("acl {\n block type A net\n}", "net needs at least one value"),
        ("acl {\n block type net ::1\n}", "type needs at least one value"),
        ("acl {\n block type FOO\n}", "expected a record type, found 'FOO'"),
        ("acl {\n block net 10.0.0.1/33\n}", "expected an address block"),
        ("acl {\n block net foo\n}", "found 'foo'"),
        ("acl a..b {\n block\n}", "expected a zone"),
    ],
)
def test_mistakes(rules, why):
    with pytest.raises(ConfigError) as caught:
        chain(rules)
    assert why in str(caught.value)


def test_rules_hold_for_the_zones_of_the_block_by_default():
    made = chain("acl {\n block\n}", zones=(names.parse_key("example.org"),))
    assert made.plugins[0].rules[0].zones == (names.parse_key("example.org"),)


TABLED = """example.org {
 acl {
  drop net 10.6.0.0/16
  block net 10.1.0.0/16 fd00::/8
  filter type AAAA net 10.2.0.0/16
 }
 hosts {
  1.1.1.1 a.example.org
  ::1 a.example.org
 }
}
"""


async def test_the_answer_table_keeps_clients_of_different_nets_apart():
    errors = []
    services = Services()
    assembly = build(TABLED, "Corefile", services, errors)
    assert not errors
    [router] = assembly.routers.values()
    table = AnswerTable(services.stamps, services.chance, lambda peer: peer)
    pipeline = Pipeline(
        router, services.stamps, services.counters, services.clock, services.chance, table=table
    )
    for plugin in assembly.plugins:
        await plugin.start()
    expected = {
        ("10.1.0.1", "A"): "REFUSED",
        ("10.2.0.1", "A"): "1.1.1.1",
        ("10.2.0.1", "AAAA"): "",
        ("10.3.0.1", "A"): "1.1.1.1",
        ("10.3.0.1", "AAAA"): "::1",
        ("10.6.0.1", "A"): None,
        ("fd00::1", "A"): "REFUSED",
        ("fe00::1", "A"): "1.1.1.1",
    }
    hits = 0
    for _ in range(6):
        for (address, type_), wanted in expected.items():
            who = fakes.client(address)
            packet = dns.message.make_query("a.example.org", type_, id=7).to_wire()
            reply = pipeline.recall(packet, who.address, services.clock())
            hits += reply is not None
            if reply is None:
                reply = await pipeline.respond(packet, who, services.clock())
            assert said(reply) == wanted, (address, type_)
    assert hits > 10, "the table was never asked"


def said(reply: bytes | None) -> str | None:
    if reply is None:
        return None
    message = dns.message.from_wire(reply)
    if message.rcode():
        return message.rcode().name
    return " ".join(str(rdata) for rrset in message.answer for rdata in rrset)


class Chained(Backend):
    """A CNAME to another name with its address, and an address that goes along."""

    name = "chained"

    async def answer(self, query):
        target, beside = (names.parse_key(name) for name in ("inner.example", "beside.example"))
        if query.type == types.SRV:
            rdata = b"\0\0\0\0\0\x50" + beside
            along = RRset(beside, types.A, 60, (records.address("9.9.9.9"),))
            return Answer(answer=(RRset(query.key, types.SRV, 60, (rdata,)),), additional=(along,))
        cname = RRset(query.key, types.CNAME, 60, (target,))
        return Answer(answer=(cname, RRset(target, types.A, 60, (records.address("9.9.9.9"),))))


@pytest.mark.parametrize(
    ("rules", "address", "expected"),
    [
        ("acl inner.example {\n block net 10.0.0.1\n}", LOCAL, "REFUSED"),
        ("acl inner.example {\n block net 10.0.0.1\n}", OTHER, "NOERROR"),
        ("acl inner.example {\n filter type A\n}", OTHER, "empty"),
        ("acl inner.example {\n drop\n}", OTHER, "dropped"),
        ("acl inner.example {\n block type AAAA\n}", OTHER, "NOERROR"),
        ("acl outer.example {\n block net 10.0.0.1\n}", OTHER, "NOERROR"),
    ],
)
async def test_where_a_chain_leads_is_judged_too(rules: str, address: str, expected: str) -> None:
    made = fakes.chain(rules + "\nchained", Acl, Chained)
    answer = await made.ask("outer.example", "A", fakes.client(address))
    if answer is DROP:
        assert expected == "dropped"
    else:
        name = types.rcode_name(answer.rcode)
        assert (name if answer.rcode or answer.answer else "empty") == expected
    if "net" in rules:
        assert made.ledger.audience


async def test_addresses_that_go_along_are_left_out_where_they_are_barred() -> None:
    made = fakes.chain("acl beside.example {\n block net 10.0.0.1\n}\nchained", Acl, Chained)
    for address, count in ((LOCAL, 0), (OTHER, 1), (LOCAL, 0)):
        answer = await made.ask("outer.example", "SRV", fakes.client(address))
        assert isinstance(answer, Answer)
        assert (len(answer.answer), len(answer.additional)) == (1, count)
        assert made.ledger.audience
