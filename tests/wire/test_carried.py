"""A carried message says what its parsed and encoded records say, and nothing odd is carried."""

import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.wire import names, types
from kdns.wire.carried import Cargo, Carried, screen
from kdns.wire.encode import encode
from kdns.wire.message import Answer, Question, RRset, WireError
from kdns.wire.parse import parse
from tests import fakes

ASKED = "wWw.Example.org."
ASKED_WIRE = names.parse(ASKED)
KEY = names.fold(ASKED_WIRE)
START = 12 + len(KEY) + 4
QUESTION = Question(7, types.RD, ASKED_WIRE, KEY, types.A)

OWNERS = st.sampled_from(
    [ASKED, "example.org.", "org.", ".", "a.example.org.", "b.www.example.org.", "cdn.example.net."]
)
TTLS = st.sampled_from([0, 1, 30, 30, 300, 86400])
RDATA = {
    "A": st.sampled_from(["10.0.0.1", "10.0.0.2"]),
    "AAAA": st.sampled_from(["2001:db8::1", "2001:db8::2"]),
    "CNAME": OWNERS,
    "NS": OWNERS,
    "PTR": OWNERS,
    "DNAME": OWNERS,
    "MX": OWNERS.map("10 {}".format),
    "SOA": st.tuples(OWNERS, OWNERS).map(lambda two: f"{two[0]} {two[1]} 1 2 3 4 5"),
    "SRV": OWNERS.map("1 2 3 {}".format),
    "TXT": st.sampled_from(['"x"', '"' + "y" * 255 + '"']),
    "CAA": st.just('0 issue "ca.example"'),
    "HTTPS": st.just("1 . alpn=h2"),
    "RRSIG": st.just("A 8 2 60 20300101000000 20200101000000 1 example.org. AAAA"),
}


@st.composite
def lines(draw) -> list[tuple]:
    """Records of one set, one after the other."""
    type_ = draw(st.sampled_from(sorted(RDATA)))
    rdatas = draw(st.lists(RDATA[type_], min_size=1, max_size=3, unique=True))
    owner, ttl = draw(OWNERS), draw(TTLS)
    return [(owner, ttl, "IN", type_, rdata) for rdata in rdatas]


SECTION = st.lists(lines(), max_size=3).map(lambda sets: [line for one in sets for line in one])
FLAGS = st.sampled_from([0, dns.flags.AA, dns.flags.TC, dns.flags.AD])
REPLIES = st.tuples(
    st.tuples(SECTION, SECTION, SECTION), st.sampled_from([None, 0]), FLAGS,
    st.sampled_from([0, 2, 3, 5]), st.sampled_from([b"", b"", b"\0x"]),
)  # fmt: skip


def written(sections, edns, flags, rcode, behind) -> bytes:
    """A reply as a server writes it, names compressed."""
    message = dns.message.make_query(ASKED, "A", use_edns=edns, payload=1232, id=7)
    message.flags |= dns.flags.QR | flags
    for section, records in zip(message.sections[1:], sections, strict=True):
        section.extend(dns.rrset.from_text(*record) for record in records)
    message.set_rcode(rcode)
    return message.to_wire(max_size=65535) + behind


def reply(*lines: str, authority: tuple[str, ...] = (), edns: int | None = None) -> bytes:
    message = dns.message.make_query(ASKED, "A", use_edns=edns, id=7)
    message.flags |= dns.flags.QR
    for section, texts in ((message.answer, lines), (message.authority, authority)):
        for text in texts:
            owner, ttl, type_, rdata = text.split(None, 3)
            section.append(dns.rrset.from_text(owner, int(ttl), "IN", type_, rdata))
    return message.to_wire()


def both(message: bytes, cargo: Cargo, **changes: object) -> tuple[Answer, Answer]:
    """The reply as a Carried, and as its parsed records in an ordinary Answer."""
    parsed = parse(message)
    sections = [
        tuple(replace(one, owner=KEY) if one.owner == ASKED_WIRE else one for one in section)
        for section in (parsed.answer, parsed.authority, parsed.additional)
    ]
    plain = Answer(parsed.rcode, *sections, options=parsed.options)
    carried = Carried(parsed.rcode, options=cargo.options, cargo=cargo)
    return carried.but(**changes), plain.but(**changes)


def says(wire: bytes) -> object:
    """What dnspython reads, in order."""
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    return (
        message.id,
        message.flags,
        message.rcode(),
        message.edns,
        message.question,
        [[(r.name, r.ttl, r.rdtype, r[0]) for r in section] for section in message.sections[1:]],
    )


def same(message: bytes, cargo: Cargo, has_opt: bool, **changes: object) -> None:
    for asked in (ASKED_WIRE, KEY, ASKED_WIRE.upper()):
        question = Question(9, types.RD, asked, KEY, types.A, has_opt=has_opt, size=1232)
        carried, plain = both(message, cargo, **changes)
        ours = encode(question, carried, types.QR, now=1003.5)
        theirs = encode(question, plain, types.QR, now=1003.5)
        assert says(ours.wire) == says(theirs.wire)
        assert ours.wire[12 : ours.name_end] == asked
        assert bool(ours.opt_at) == has_opt
        if has_opt:
            assert ours.wire[ours.opt_at :] == theirs.wire[theirs.opt_at :]
        for at in ours.ttl_at:
            assert ours.wire[at : at + 4] == theirs.wire[theirs.ttl_at[0] :][:4]
        assert len(ours.ttl_at) == len(theirs.ttl_at)
        assert bool(ours.block) == bool(theirs.block or theirs.is_turned)
        if ours.block and theirs.block:
            assert ours.block[1:] == theirs.block[1:]


@given(REPLIES, st.booleans())
def test_what_is_carried_says_what_its_records_say(reply, has_opt):
    message = written(*reply)
    cargo = screen(message, START, KEY)
    if cargo is not None:
        same(message, cargo, has_opt)
        same(message, cargo, has_opt, rotate=True)
        same(message, cargo, has_opt, aging=(1000.0, 60))


@given(REPLIES, st.data())
def test_no_damaged_message_is_carried_that_would_not_be_parsed(reply, data):
    message = written(*reply)
    damaged = bytearray(message)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(START, max(len(message) - 1, START)) | st.integers(6, 11))
        if at < len(damaged):
            damaged[at] = data.draw(st.sampled_from([0, 1, 0xC0, 0xFF, 0x29]) | st.integers(0, 255))
    end = data.draw(st.just(len(message)) | st.integers(START, max(len(message), START)))
    wire = bytes(damaged[:end])
    cargo = screen(wire, START, KEY)
    if cargo is None:
        return
    parsed = parse(wire)  # raises what the test fails with
    carried = Carried(parsed.rcode, options=cargo.options, cargo=cargo)
    again = parse(encode(QUESTION, carried, types.QR).wire)
    for section in ("answer", "authority", "additional"):
        assert getattr(again, section) == getattr(parsed, section)
    assert cargo.options == parsed.options


@pytest.mark.parametrize(
    "message",
    [
        reply(f"{ASKED} 60 A 10.0.0.1"),
        reply(f"{ASKED} 60 AAAA 2001:db8::1", edns=0),
        reply(f"{ASKED} 60 A 10.0.0.1", f"{ASKED} 60 A 10.0.0.2", edns=0),
        reply(f"{ASKED} 60 CNAME a.example.org.", "a.example.org. 5 A 10.0.0.1"),
        reply(f"{ASKED} 60 CNAME x.cdn.net.", "x.cdn.net. 5 CNAME y.cdn.net.", "y.cdn.net. 1 A 1.2.3.4"),
        reply(authority=("example.org. 60 SOA ns.example.org. root.example.org. 1 2 3 4 5",)),
        reply(authority=(". 60 SOA a.root. b.root. 1 2 3 4 5",), edns=0),
        reply(f"{ASKED} 60 MX 10 mx.example.org.", f"{ASKED} 60 MX 10 example.org."),
        reply(f'{ASKED} 60 TXT "x"'),
        reply(f"{ASKED} 60 HTTPS 1 . alpn=h2", edns=0),
        reply(),
        reply(edns=0),
    ],
    ids=(
        "A", "AAAA", "two-A", "CNAME", "two-CNAME", "NODATA", "root-SOA", "MX", "TXT", "HTTPS",
        "empty", "empty-OPT",
    ),
)  # fmt: skip
def test_what_most_replies_are_is_carried(message):
    cargo = screen(message, START, KEY)
    assert cargo is not None
    for has_opt in (True, False):
        same(message, cargo, has_opt)
        same(message, cargo, has_opt, aging=(1000.0, 7))


@pytest.mark.parametrize(
    "message",
    [
        reply(f"{ASKED} 60 A 10.0.0.1")[:-1],
        reply(f"{ASKED} 60 A 10.0.0.1", edns=0)[:-1],
        reply(f"{ASKED} 60 SRV 1 2 3 a.example.org."),
        reply(f"{ASKED} 60 DNAME example.net."),
        reply(f"{ASKED} 60 A 10.0.0.1", f"{ASKED} 60 CNAME a.example.org."),
        reply(f"{ASKED} 60 A 10.0.0.1", f"{ASKED} 61 A 10.0.0.2"),
        reply("a.net. 60 A 10.0.0.1"),
        reply(f"{ASKED} 60 RRSIG A 8 2 60 20300101000000 20200101000000 1 example.org. AAAA"),
        reply(f"{ASKED} 60 A 10.0.0.1").replace(b"\0\1\0\1\0\0\0\x3c", b"\0\1\0\3\0\0\0\x3c"),
        reply(f"{ASKED} 60 A 10.0.0.1").replace(b"\0\1\0\0\0\x3c", b"\0\1\x80\0\0\x3c"),
        reply(f"{ASKED} 60 CNAME a.example.org.").replace(b"\1a\xc0\x10", b"\1a\xc0\x11"),
    ],
    ids=(
        "cut", "cut-OPT", "SRV", "DNAME", "order", "two-TTLs", "owner-in-full", "RRSIG", "class",
        "long-TTL", "pointer",
    ),
)  # fmt: skip
def test_what_is_odd_goes_the_general_way(message):
    assert screen(message, START, KEY) is None


def test_a_message_that_is_no_message_is_refused_by_the_parser():
    message = reply(f"{ASKED} 60 A 10.0.0.1").replace(b"\xc0\x0c\0\1", b"\xc0\xff\0\1")
    assert screen(message, START, KEY) is None
    with pytest.raises(WireError):
        parse(message)


async def test_it_is_an_answer_that_need_not_be_waited_for():
    message = reply(f"{ASKED} 60 CNAME x.net.", "x.net. 5 A 10.0.0.1")
    carried, plain = both(message, screen(message, START, KEY))
    assert isinstance(carried, Answer)
    assert await carried is carried
    assert carried.answer[0].owner == KEY
    assert carried.answer[1:] == plain.answer[1:]
    assert carried.but(rcode=3, plugin="x").cargo is carried.cargo
    changed = carried.but(answer=())
    assert type(changed) is Answer
    assert (changed.answer, changed.plugin) == ((), carried.plugin)
    aged = carried.but(ttl=9)
    assert {rrset.ttl for rrset in aged.answer} == {9}


def test_under_another_name_the_records_are_encoded_anew():
    message = reply(f"{ASKED} 60 A 10.0.0.1")
    carried, _ = both(message, screen(message, START, KEY))
    name = names.parse("other.example.")
    wire = encode(Question(1, 0, name, names.fold(name), types.A), carried, types.QR).wire
    assert dns.message.from_wire(wire).answer[0].name == dns.name.from_text(ASKED)


def test_what_is_forced_on_the_header_stays_through_settling_and_opening():
    question = fakes.question("a.example")
    found = (RRset(question.key, types.A, 60, (b"\x0a\0\0\1",)),)
    wire = encode(question, Answer(answer=found), types.QR).wire
    cargo = screen(wire, 12 + len(question.key) + 4, question.key)
    assert cargo is not None
    carried = Carried(0, forced=types.AA << 16 | types.RA, cargo=cargo)
    assert carried.settled(5).forced == carried.opened().forced == carried.forced


def test_settling_and_opening_take_no_field_for_another():
    """They name none, which is faster: a new one in the middle of Answer must not shift them."""
    message = reply(f"{ASKED} 60 A 10.0.0.1")
    changes = {
        "rcode": 1, "flags": 2, "serial": object(), "rotate": True, "first": 3, "aging": (4.0, 5),
        "ede": ((6, "x"),), "options": b"y", "plugin": "p", "error": "e", "live": True, "forced": 7,
    }  # fmt: skip
    fields = set(Answer.__struct_fields__)
    assert fields - {"answer", "authority", "additional"} == set(changes)
    carried = Carried(cargo=screen(message, START, KEY), **changes)
    opened, settled = carried.opened(), carried.settled(9)
    assert {name: getattr(opened, name) for name in changes} == changes
    of_this_moment = {"aging": None, "options": b""}
    assert {name: getattr(settled, name) for name in changes} == changes | of_this_moment
    assert settled.ttl == 9


def test_a_message_that_ends_in_a_cname_is_not_plain() -> None:
    asked = b"\1a\7example\0\0\1\0\1"
    head = b"\0\1\x81\x80\0\1\0\1\0\0\0\0"
    record = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"
    key = names.parse_key("a.example")
    start = len(head + asked)
    for cut in range(len(record) + 1):
        for length in (0, 1, 2, 3):
            changed = record[:11] + bytes((length,)) + record[12:]
            assert screen(head + asked + changed[:cut], start, key) is None or length == 2
