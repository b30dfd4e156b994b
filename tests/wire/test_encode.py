"""Encoding: dnspython reads what we wrote, whole, rotated and cut, whatever the answer."""

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.wire import names, records, types
from kdns.wire.encode import WireAnswer, cut, encode, turned
from kdns.wire.message import Answer, Question, RRset
from kdns.wire.writer import write
from tests.strategies import host_names, wire_names

FLAGS = types.QR | types.AA | types.RD


def question(name: str, type_: int = types.A, **changes: object) -> Question:
    wire = names.parse(name)
    return Question(7, types.RD, wire, names.fold(wire), type_, **changes)


def addresses(count: int, width: int = 4) -> tuple[bytes, ...]:
    return tuple((0x0A000000 + at).to_bytes(4, "big") + bytes(width - 4) for at in range(count))


def read(wire: bytes) -> dns.message.Message:
    return dns.message.from_wire(wire, ignore_trailing=False)


@st.composite
def rrsets(draw: st.DrawFn) -> RRset:
    """A record set of any of the types that plugins build, owners related to each other."""
    stems = [names.parse(t) for t in ("a.b.c.example", "b.c.example", "c.example", "other", ".")]
    some = st.sampled_from(stems) | wire_names()
    ttl = draw(st.integers(0, 2**31 - 1))
    owner = draw(some)
    build = {
        types.A: st.binary(min_size=4, max_size=4),
        types.AAAA: st.binary(min_size=16, max_size=16),
        types.CNAME: some,
        types.NS: some,
        types.PTR: some,
        types.MX: st.builds(records.mx, st.integers(0, 65535), some),
        types.SRV: st.builds(records.srv, st.integers(0, 65535), some),
        types.TXT: st.builds(records.txt, st.binary(max_size=600)),
        types.SOA: st.builds(
            records.soa, some, some, st.integers(0, 2**32 - 1), st.just((1, 2, 3)), st.just(5)
        ),
        65280: st.binary(max_size=30),
    }
    type_ = draw(st.sampled_from(sorted(build)))
    rdatas = draw(st.lists(build[type_], min_size=1, max_size=4, unique=True))
    return RRset(owner, type_, ttl, tuple(rdatas))


def wire_records(message: dns.message.Message, section: int) -> list[tuple[object, ...]]:
    """Every record as (owner, type, TTL, rdata), names folded."""
    return [
        (rrset.name, rrset.rdtype, rrset.ttl, rdata)
        for rrset in message.sections[section]
        for rdata in rrset
    ]


@settings(max_examples=120)
@given(
    st.lists(rrsets(), max_size=4), st.lists(rrsets(), max_size=2), st.lists(rrsets(), max_size=3)
)
def test_dnspython_reads_every_record_we_wrote(
    answer: list[RRset], authority: list[RRset], additional: list[RRset]
) -> None:
    asked = question("A.b.C.example", has_opt=True, size=1232, do=True)
    wire = encode(asked, Answer(0, tuple(answer), tuple(authority), tuple(additional)), FLAGS)
    message = dns.message.from_wire(wire.wire, one_rr_per_rrset=True)
    assert message.question[0].name == dns.name.from_wire(asked.name, 0)[0]
    assert message.payload == 1232
    for section, said in ((1, answer), (2, authority), (3, additional)):
        expected = [
            (dns.name.from_wire(rrset.owner, 0)[0], rrset.type, rrset.ttl,
             dns.rdata.from_wire(rrset.cls, rrset.type, rdata, 0, len(rdata)))
            for rrset in said
            for rdata in rrset.rdatas
        ]  # fmt: skip
        assert wire_records(message, section) == expected


class Fixed:
    """A serial that stands still."""

    serial = 9


LABELS = ("_http", "_tcp", "web", "Web", "shop", "svc", "0", "a" * 40)
ZONES = ("Cluster.local", "in-addr.arpa", "local", "")
SERIAL = Fixed()


def mixed(name: bytes, mask: int) -> bytes:
    """A name with the letter case of some letters turned."""
    turn = [
        0x20 & -(mask >> at % 31 & 1) if chr(byte).isalpha() else 0 for at, byte in enumerate(name)
    ]
    return bytes(byte ^ bit for byte, bit in zip(name, turn, strict=True))


@st.composite
def served(draw: st.DrawFn) -> tuple[Question, Answer]:
    """A question, and what plugins answer to it: mostly what is written in short, or nearly so."""
    labels = draw(st.lists(st.sampled_from(LABELS), max_size=4))
    wire = names.parse(".".join([*labels, draw(st.sampled_from(ZONES))]))
    if draw(st.booleans()):
        wire = mixed(wire, draw(st.integers(0)))
    key = names.fold(wire)
    asked = Question(
        7, types.RD, wire, key, draw(st.integers(1, 300)), 1, draw(st.booleans()), 1232,
        do=draw(st.booleans()),
    )  # fmt: skip
    ends = [key[at:] for at in range(len(key)) if names.is_below(key, names.Key(key[at:]))]
    one_more = [bytes((len(label),)) + label.encode() + end for label in LABELS for end in ends]
    related = st.sampled_from(ends) | st.sampled_from(one_more).filter(lambda n: len(n) < 256)
    some = related | st.sampled_from([names.parse("else.Cluster.local"), b"\0"]) | wire_names()
    address = {types.A: st.binary(min_size=4, max_size=4)}
    address[types.AAAA] = st.binary(min_size=16, max_size=16)
    rdata = {
        **address,
        types.SRV: st.builds(records.srv, st.integers(1, 2), related) | st.builds(records.srv, st.just(1), some),
        types.PTR: some, types.CNAME: some, types.NS: some,
        types.TXT: st.just(b"\1x"), types.MX: st.builds(records.mx, st.just(1), some),
    }  # fmt: skip

    def sets(of: list[int], owners: st.SearchStrategy[bytes], size: int) -> list[RRset]:
        return [
            RRset(
                draw(owners), type_, 5, tuple(draw(st.lists(rdata[type_], min_size=1, max_size=4)))
            )
            for type_ in draw(st.lists(st.sampled_from(of), max_size=size))
        ]

    answer = sets(sorted(rdata), st.just(key) | some, 2)[: draw(st.sampled_from([1, 1, 1, 2]))]
    if answer and answer[0].type == types.CNAME and draw(st.booleans()):
        answer[1:] = sets(sorted(address), st.just(answer[0].rdatas[-1]), 2)
    owners = [one[6:] for rrset in answer if rrset.type == types.SRV for one in rrset.rdatas]
    glue = sets([*address, types.MX], st.sampled_from(owners), 4) if owners else []
    authority: list[RRset] = []
    if draw(st.booleans()):
        apex = names.Key(draw(st.sampled_from(ends)))
        authority = [records.soa_set(apex, 5, (b"\2ns\3dns", b"\1h"), 1, (2, 3, 4), 5)]
    found = Answer(
        draw(st.sampled_from([0, 3, 16])), tuple(answer), tuple(authority), tuple(glue),
        serial=SERIAL if authority else None,
        rotate=draw(st.booleans()),
        ede=((22, "stale"),) if draw(st.booleans()) else (),
    )  # fmt: skip
    return asked, found


@settings(max_examples=200)
@given(served(), st.floats(0, 1, exclude_max=True), st.integers(60, 1300))
def test_the_short_way_writes_what_the_general_way_writes(
    exchange: tuple[Question, Answer], turn: float, limit: int
) -> None:
    asked, answer = exchange
    short = encode(asked, answer, FLAGS, turn=turn)
    general = write(asked, bare(answer), FLAGS, 0.0, turn)
    assert short == general
    message = read(cut(short.wire, short.name_end, short.opt_at, limit))
    assert message.question[0].name == dns.name.from_wire(asked.name, 0)[0]


@pytest.mark.parametrize(
    ("name", "targets", "owners"),
    [
        ("_http._tcp.WEB.shop", ["web.shop"], ["web.shop"]),
        ("WEB.shop", ["web.shop", "web.shop"], ["web.shop"]),
        ("_http._tcp.WEB.shop", ["a.web.shop", "b.web.shop"], ["a.web.shop", "b.web.shop"]),
        ("WEB.shop", ["a.web.shop", "a.web.shop"], ["a.web.shop", "a.web.shop"]),
        ("_http.WEB.shop", ["a.web.shop", "_http.web.shop"], ["a.web.shop", "_http.web.shop"]),
        ("WEB.shop", ["A.web.shop", "a.web.shop"], ["A.web.shop", "a.web.shop"]),
        ("WEB.shop", ["a.Web.shop"], ["a.web.shop"]),
        ("WEB.shop", ["a.web.shop", "web.shop"], ["web.shop"]),
        ("WEB.shop", ["web.shop", "a.web.shop"], ["a.web.shop"]),
        ("WEB.shop", ["a.b.web.shop"], ["b.web.shop"]),
        ("WEB.shop", ["a.web.shop"], ["other"]),
        ("WEB.shop", ["a.web.shop", "else.where"], ["else.where"]),
        ("WEB.shop", ["."], []),
        (r"a.x\004shop", ["shop"], ["shop"]),
        (".", ["."], []),
        (".", ["a"], ["a"]),
    ],
)
def test_srv_targets_of_every_kind_are_written_alike(
    name: str, targets: list[str], owners: list[str]
) -> None:
    asked = question(name, types.SRV)
    rdatas = tuple(records.srv(at, names.parse(one)) for at, one in enumerate(targets))
    answer = Answer(
        answer=(RRset(asked.key, types.SRV, 5, rdatas),),
        additional=tuple(RRset(names.parse(one), types.A, 5, addresses(2)) for one in owners),
    )
    assert encode(asked, answer, FLAGS) == write(asked, answer, FLAGS, 0.0, 0.0)


WEB, SHOP = names.parse_key("web.shop"), names.parse_key("shop")
ALIAS = RRset(WEB, types.CNAME, 5, (SHOP,))
FOUND = RRset(SHOP, types.A, 5, addresses(2))
LED = RRset(WEB, types.SRV, 5, (records.srv(1, WEB),))
SOA = records.soa_set(SHOP, 5, (b"\2ns\3dns", b"\1h"), 1, (2, 3, 4), 5)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(answer=(LED,), additional=(RRset(WEB, types.MX, 5, (records.mx(1, WEB),)),)),
        Answer(answer=(LED,), additional=(RRset(WEB, types.A, 5, ()),)),
        Answer(answer=(LED, FOUND)),
        Answer(answer=(ALIAS,), additional=(FOUND,)),
        Answer(answer=(ALIAS, FOUND), additional=(FOUND,)),
        Answer(answer=(ALIAS, FOUND, FOUND)),
        Answer(answer=(ALIAS, RRset(names.parse("x"), types.A, 5, addresses(2)))),
        Answer(answer=(ALIAS, RRset(SHOP, types.A, 5, ()))),
        Answer(answer=(RRset(WEB, types.A, 5, addresses(1)),), additional=(FOUND,)),
        Answer(answer=(FOUND,)),
        Answer(authority=(SOA, SOA)),
        Answer(authority=(SOA,), additional=(FOUND,)),
        Answer(additional=(FOUND,)),
        Answer(options=b"\0\3\0\1x"),
        Answer(rcode=types.BADVERS),
        Answer(answer=(ALIAS, FOUND), aging=(0.0, 9)),
        Answer(answer=(LED,), authority=(SOA,), additional=(RRset(WEB, types.A, 5, addresses(1)),)),
    ],
)
def test_answers_with_something_odd_are_written_alike(answer: Answer) -> None:
    asked = question("WEB.shop", types.SRV, has_opt=True)
    assert encode(asked, answer, FLAGS) == write(asked, bare(answer), FLAGS, 0.0, 0.0)


@pytest.mark.parametrize("name", [".", "local", "a.LOCAL", "a.arpa", r"a\005local"])
@pytest.mark.parametrize("target", [".", "local", "Local", "b.local", "b.a.local", "b.locaL", "x"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_one_name_to_go_on_with_is_written_alike(name: str, target: str, count: int) -> None:
    asked = question(name, types.A)
    found = [RRset(asked.key, types.CNAME, 5, (names.parse(target),))]
    if count:
        found.append(RRset(names.parse(target), types.A, 5, addresses(count)))
    for is_turning in (False, True):
        answer = Answer(answer=tuple(found), rotate=is_turning)
        assert encode(asked, answer, FLAGS, turn=0.5) == write(asked, answer, FLAGS, 0.0, 0.5)


def bare(answer: Answer) -> Answer:
    """The answer with no set compiled."""
    plain = [RRset(one.owner, one.type, one.ttl, one.rdatas) for one in answer.authority]
    return answer.but(authority=tuple(plain))


@pytest.mark.parametrize("count", [1, 15, 263, 264, 265, 400])
@pytest.mark.parametrize("name", ["_http._tcp.web.shop", "WEB.shop", "x"])
def test_srv_of_many_endpoints_is_written_alike(count: int, name: str) -> None:
    asked = question(f"{name}.svc.cluster.local", types.SRV, has_opt=True)
    parent = names.parse_key("web.shop.svc.cluster.local")
    targets = [b"\x0a" + b"pod-%06d" % at + parent for at in range(count)]
    answer = Answer(
        answer=(RRset(asked.key, types.SRV, 5, tuple(records.srv(80, one) for one in targets)),),
        additional=tuple(RRset(one, types.A, 5, addresses(2)) for one in targets),
    )
    assert encode(asked, answer, FLAGS) == write(asked, answer, FLAGS, 0.0, 0.0)


def test_letter_case_of_the_question_comes_back_everywhere() -> None:
    asked = question("_HTTP._Tcp.Web.SHOP.svc.Cluster.Local", types.SRV)
    target = names.parse("web.shop.svc.cluster.local")
    answer = Answer(
        answer=(RRset(asked.key, types.SRV, 5, (records.srv(80, target),)),),
        additional=(RRset(target, types.A, 5, addresses(1)),),
    )
    wire = encode(asked, answer, FLAGS)
    message = read(wire.wire)
    assert str(message.answer[0]) == (
        "_HTTP._Tcp.Web.SHOP.svc.Cluster.Local. 5 IN SRV 0 100 80 Web.SHOP.svc.Cluster.Local."
    )
    assert str(message.additional[0].name) == "Web.SHOP.svc.Cluster.Local."
    assert wire.is_case_bound


def test_srv_targets_are_not_compressed() -> None:
    asked = question("_a._tcp.web.shop", types.SRV)
    wire = encode(
        asked, Answer(answer=(RRset(asked.key, types.SRV, 5, (records.srv(1, asked.key),)),)), FLAGS
    )
    assert wire.wire.endswith(asked.key)


def test_glue_points_to_the_srv_target_it_is_for() -> None:
    asked = question("web.shop", types.SRV)
    targets = [names.parse(f"pod-{at}.web.shop") for at in range(2)]
    answer = Answer(
        answer=(RRset(asked.key, types.SRV, 5, tuple(records.srv(1, t) for t in targets)),),
        additional=tuple(RRset(t, types.A, 5, addresses(1)) for t in targets),
    )
    wire = encode(asked, answer, FLAGS).wire
    assert len(wire) == 12 + 10 + 4 + 2 * (2 + 10 + 6 + 16) + 2 * (2 + 10 + 4)
    assert [rrset.name.to_wire() for rrset in read(wire).additional] == targets


def test_pointers_stop_at_0x3fff() -> None:
    asked = question("many.example")
    owners = [names.parse(f"host-{at}.elsewhere-{at % 7}.test") for at in range(1400)]
    wire = encode(
        asked, Answer(answer=tuple(RRset(o, types.A, 5, addresses(1)) for o in owners)), FLAGS
    )
    assert len(wire.wire) > 0x6000
    message = dns.message.from_wire(wire.wire, one_rr_per_rrset=True)
    assert [rrset.name.to_wire() for rrset in message.answer] == owners


@given(
    count=st.integers(2, 40), turn=st.floats(0, 1, exclude_max=True), width=st.sampled_from([4, 16])
)
def test_rotation_keeps_every_record_and_moves_only_the_block(
    count: int, turn: float, width: int
) -> None:
    asked = question("web.shop", types.A if width == 4 else types.AAAA, has_opt=True)
    alias = names.parse("target.example")
    answer = Answer(
        answer=(
            RRset(asked.key, types.CNAME, 5, (alias,)),
            RRset(alias, asked.type, 5, addresses(count, width)),
        ),
        rotate=True,
    )
    wire = encode(asked, answer, FLAGS)
    assert wire.block is not None
    message = read(turned(wire.wire, wire.block, turn))
    found = [rdata.to_wire() for rdata in message.answer[1]]
    whole = addresses(count, width)
    at = int(turn * count)
    assert found == list(whole[at:] + whole[:at])
    assert message.answer[0].rdtype == types.CNAME


def test_addresses_at_a_name_not_written_before_are_turned_before_encoding() -> None:
    asked = question("web.shop")
    answer = Answer(
        answer=(RRset(names.parse("else.where"), types.A, 5, addresses(5)),), rotate=True
    )
    wire = encode(asked, answer, FLAGS, turn=0.5)
    assert (wire.block, wire.is_turned) == (None, True)
    assert [r.to_wire() for r in read(wire.wire).answer[0]] == [
        addresses(5)[at] for at in (2, 3, 4, 0, 1)
    ]


def whole(count: int, *, has_opt: bool, extra: int = 0) -> WireAnswer:
    asked = question("web.shop.svc.cluster.local", has_opt=has_opt, size=512)
    answer = Answer(
        answer=(RRset(asked.key, types.A, 5, addresses(count)),),
        additional=(RRset(names.parse("x.example"), types.A, 5, addresses(extra)),)
        if extra
        else (),
        rotate=True,
    )
    return encode(asked, answer, FLAGS)


@given(
    count=st.integers(1, 200), limit=st.integers(100, 4000), has_opt=st.booleans(),
    extra=st.integers(0, 5),
)  # fmt: skip
def test_a_cut_message_fits_keeps_order_and_says_so(
    count: int, limit: int, has_opt: bool, extra: int
) -> None:
    wire = whole(count, has_opt=has_opt, extra=extra)
    reply = cut(wire.wire, wire.name_end, wire.opt_at, limit)
    assert len(reply) <= limit
    message = read(reply)
    full = read(wire.wire)
    assert (message.edns >= 0) is has_opt
    is_cut = len(wire.wire) > limit
    assert bool(message.flags & types.TC) is is_cut
    kept = [r for s in message.answer for r in s]
    assert kept == [r for s in full.answer for r in s][: len(kept)]
    if is_cut:
        is_pointed = len(kept) < count or message.additional
        size = len(reply) + (16 if is_pointed else 14 + len(names.parse("x.example")))
        assert size > limit, "one more record would have fitted"
    else:
        assert reply == wire.wire


def test_an_extended_rcode_goes_into_the_opt() -> None:
    wire = encode(question("a", has_opt=True), Answer(rcode=types.BADVERS), FLAGS)
    assert read(wire.wire).rcode() == dns.rcode.BADVERS


def test_extended_errors_and_options_go_into_the_opt() -> None:
    answer = Answer(rcode=types.REFUSED, ede=((15, "blocked"),), options=b"\0\x03\0\2id")
    message = read(encode(question("a", has_opt=True), answer, FLAGS).wire)
    assert [option.otype for option in message.options] == [3, 15]
    assert message.options[1].text == "blocked"


def test_ageing_answers_have_one_ttl_and_say_where_it_stands() -> None:
    asked = question("a.example")
    alias = names.parse("b.example")
    answer = Answer(
        answer=(
            RRset(asked.key, types.CNAME, 300, (alias,)),
            RRset(alias, types.A, 20, addresses(2)),
        ),
        aging=(100.0, 30),
    )
    wire = encode(asked, answer, FLAGS, now=112.9)
    assert {rrset.ttl for rrset in read(wire.wire).answer} == {18}
    assert [wire.wire[at : at + 4] for at in wire.ttl_at] == [b"\0\0\0\x12"] * 3


@given(host_names())
def test_txt_longer_than_a_string_is_cut_into_strings(name: str) -> None:
    asked = question(name, types.TXT)
    wire = encode(
        asked, Answer(answer=(RRset(asked.key, 16, 1, (records.txt(b"x" * 700),)),)), FLAGS
    )
    assert [len(s) for s in read(wire.wire).answer[0][0].strings] == [255, 255, 190]


@pytest.mark.parametrize("type_", [types.A, types.SRV])
def test_more_records_than_a_count_can_say_are_cut(type_: int) -> None:
    asked = question("big.example", type_)
    rdatas = addresses(70_000)
    if type_ == types.SRV:
        rdatas = tuple(b"\0\0" + number + b"\1b\0" for number in rdatas)
    wire = encode(asked, Answer(answer=(RRset(asked.key, type_, 5, rdatas),)), FLAGS)
    reply = cut(wire.wire, wire.name_end, wire.opt_at, 65535)
    assert 65500 < len(reply) <= 65535
    assert read(reply).flags & types.TC


def test_a_ttl_is_never_more_than_it_was():
    """A query that waited began before what it got was stored."""
    answer = Answer(answer=(RRset(WEB, types.A, 9, (b"abcd",)),), aging=(1002.0, 5))
    asked = Question(1, types.RD, WEB, WEB, types.A)
    assert b"\0\0\0\5\0\4abcd" in encode(asked, answer, types.QR, now=1000.0).wire


@pytest.mark.parametrize("sets", ["none", "one", "few", "behind a CNAME"])
def test_what_is_to_come_first_may_have_been_left_out(sets: str) -> None:
    """A plugin in front may take addresses out of what is answered near the asker."""
    name = names.parse("a.example")
    few = RRset(name, types.A, 5, addresses(1 if sets == "one" else 2))
    cname = RRset(name, types.CNAME, 5, (names.parse("b.example"),))
    behind = RRset(names.parse("b.example"), types.A, 5, addresses(2))
    held = {"none": (cname,), "behind a CNAME": (cname, behind)}.get(sets, (few,))
    answer = Answer(answer=held, rotate=True, first=3)
    asked = question("a.example", has_opt=True)
    for turn in (0.0, 0.4, 0.9):
        wire = encode(asked, answer, FLAGS, now=0, turn=turn)
        reply = wire.wire if wire.block is None else turned(wire.wire, wire.block, turn)
        told = {str(rdata) for rrset in read(reply).answer for rdata in rrset}
        assert len(told) == sum(len(one.rdatas) for one in held)
