"""Whole messages: any bytes give a Message or WireError, and dnspython reads the same in them."""

import random
from contextlib import suppress
from struct import pack

import dns.exception
import dns.message
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.wire import types
from kdns.wire.message import WireError
from kdns.wire.parse import Message, parse
from tests.waiting import least_cpu

_RECORDS = [
    "a.example. 60 IN A 10.0.0.1",
    "a.example. 60 IN A 10.0.0.2",
    "a.example. 60 IN AAAA 2001:db8::1",
    "Example. 5 IN NS ns.Example.",
    "www.example. 5 IN CNAME a.example.",
    "example. 5 IN SOA ns.example. root.example. 1 2 3 4 5",
    "1.0.0.10.in-addr.arpa. 5 IN PTR a.example.",
    "example. 5 IN MX 10 mail.a.example.",
    "_x._tcp.example. 5 IN SRV 1 2 3 a.example.",
    "example. 5 IN DNAME other.example.",
    "example. 5 IN RP root.example. txt.example.",
    "example. 5 IN AFSDB 1 a.example.",
    "example. 5 IN RT 1 a.example.",
    "example. 5 IN KX 1 a.example.",
    "example. 5 IN PX 10 a.example. b.example.",
    'example. 5 IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:x@example!" a.example.',
    'example. 5 IN TXT "one" "two"',
    "example. 5 IN HTTPS 1 . alpn=h2",
    'example. 5 IN CAA 0 issue "ca.example"',
    "example. 5 IN DS 1 8 2 " + "ab" * 32,
    'example. 5 CH TXT "chaos"',
]


def message(*lines: str, edns: bool = False) -> bytes:
    out = dns.message.make_response(dns.message.make_query("a.example.", "A", use_edns=edns))
    for line in lines:
        owner, ttl, cls, type_, rdata = line.split(None, 4)
        out.answer.append(dns.rrset.from_text(owner, int(ttl), cls, type_, rdata))
    return out.to_wire()


def records(parsed: Message) -> list[list[tuple]]:
    return [
        [
            (rrset.owner, rrset.type, rrset.cls, rrset.ttl, rdata)
            for rrset in section
            for rdata in rrset.rdatas
        ]
        for section in (parsed.answer, parsed.authority, parsed.additional)
    ]


def oracle(wire: bytes) -> list[list[tuple]]:
    read = dns.message.from_wire(wire, ignore_trailing=True, one_rr_per_rrset=True)
    return [
        [
            (
                rrset.name.to_wire(),
                int(rrset.rdtype),
                int(rrset.rdclass),
                rrset.ttl,
                rdata.to_wire(),
            )
            for rrset in section
            for rdata in rrset
        ]
        for section in (read.answer, read.authority, read.additional)
    ]


@pytest.mark.parametrize("line", _RECORDS, ids=lambda line: " ".join(line.split()[2:4]))
def test_every_type_reads_as_dnspython_reads_it(line):
    wire = message(line)
    assert records(parse(wire)) == oracle(wire)


def test_all_records_in_one_message_keep_their_order():
    wire = message(*_RECORDS)
    assert records(parse(wire)) == oracle(wire)


def test_neighbours_of_one_owner_type_and_ttl_join():
    parsed = parse(
        message(
            "a.example. 60 IN A 10.0.0.1",
            "a.example. 60 IN A 10.0.0.2",
            "a.example. 61 IN A 10.0.0.3",
            "b.example. 61 IN A 10.0.0.4",
            "a.example. 60 IN A 10.0.0.5",
        )
    )
    assert [(r.ttl, len(r.rdatas)) for r in parsed.answer] == [(60, 2), (61, 1), (61, 1), (60, 1)]


def test_header_question_and_opt_are_read():
    out = dns.message.make_response(
        dns.message.make_query("A.Example.", "AAAA", want_dnssec=True, payload=1400, id=77)
    )
    out.use_edns(0, dns.flags.DO, 1400, options=[dns.edns.NSIDOption(b"xy")])
    out.set_rcode(dns.rcode.BADCOOKIE)
    parsed = parse(out.to_wire())
    assert parsed.id == 77
    assert parsed.flags & types.QR
    assert parsed.rcode == 23
    assert parsed.questions == ((b"\1A\7Example\0", types.AAAA, types.IN),)
    assert (parsed.has_opt, parsed.size, parsed.do, parsed.version) == (True, 1400, True, 0)
    assert parsed.options == b"\0\3\0\2xy"
    assert parsed.additional == ()


def raw(body: bytes, an: int = 0, ns: int = 0, ar: int = 0, qd: int = 1) -> bytes:
    question = b"\1a\0\0\1\0\1" if qd else b""
    return pack("!HHHHHH", 1, 0x8180, qd, an, ns, ar) + question + body


def rr(owner: bytes, type_: int, rdata: bytes, cls: int = 1, ttl: int = 9) -> bytes:
    return owner + pack("!HHIH", type_, cls, ttl, len(rdata)) + rdata


_OPT = rr(b"\0", types.OPT, b"", 1232, 0)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 11, id="short-header"),
        pytest.param(raw(b"", an=1), id="missing-record"),
        pytest.param(raw(rr(b"\xc0\x13", 1, b"1234"), an=1), id="pointer-to-itself"),
        pytest.param(raw(rr(b"\xc0\x30", 1, b"1234") + b"\0" * 40, an=1), id="pointer-ahead"),
        pytest.param(raw(rr(b"\x40a\0", 1, b"1234"), an=1), id="label-type-01"),
        pytest.param(raw(rr(b"\x80a\0", 1, b"1234"), an=1), id="label-type-10"),
        pytest.param(raw(rr((b"\x3f" + b"x" * 63) * 4 + b"\0", 1, b"1234"), an=1), id="name-257"),
        pytest.param(raw(rr(b"\0", 1, b"12345"), an=1), id="A-of-5"),
        pytest.param(raw(rr(b"\0", 28, b"1234"), an=1), id="AAAA-of-4"),
        pytest.param(raw(rr(b"\0", 5, b"\1ab\0"), an=1), id="CNAME-with-a-tail"),
        pytest.param(raw(rr(b"\0", 5, b"\5ab") + b"\0" * 20, an=1), id="CNAME-over-its-end"),
        pytest.param(raw(rr(b"\0", 6, b"\0\0" + b"x" * 19), an=1), id="SOA-too-short"),
        pytest.param(raw(rr(b"\0", 33, b"\0\0"), an=1), id="SRV-too-short"),
        pytest.param(raw(_OPT + _OPT, ar=2), id="two-OPT"),
        pytest.param(raw(_OPT, an=1), id="OPT-in-the-answer"),
        pytest.param(raw(rr(b"\1a\0", types.OPT, b""), ar=1), id="OPT-with-an-owner"),
        pytest.param(raw(rr(b"\0", types.OPT, b"\0\1\0\5ab"), ar=1), id="option-over-its-end"),
    ],
)
def test_what_cannot_be_read_is_a_wire_error(wire):
    with pytest.raises(WireError):
        parse(wire)


def test_a_pointer_behind_a_long_name_may_not_lead_over_255_octets():
    label = b"\x3f" + b"x" * 63
    long = rr(label * 3 + b"\0", types.TXT, b"\0")
    wire = raw(long + rr(label + b"\xc0\x13", types.TXT, b"\0"), an=2)
    with pytest.raises(WireError):
        parse(wire)
    assert parse(raw(long + rr(b"\x3d" + b"x" * 61 + b"\xc0\x13", types.TXT, b"\0"), an=2))


def test_octets_behind_the_message_are_ignored():
    assert parse(raw(b"junk")).answer == ()


def _knots() -> list:
    ladder = b"".join(
        b"\xc0\x13" if at == 0 else pack("!H", 0xC000 | 0x13 + 2 * at - 2) for at in range(8000)
    )
    chain = b"\1b\0" + b"".join(pack("!H", 0xC016 + 2 * at) for at in range(-1, 6000))
    sea = b"".join(b"\1x" for _ in range(126)) + b"\0"
    seas = rr(b"\0", types.TXT, sea * 60)
    at = len(raw(b"")) + 11
    owners = [pack("!H", 0xC000 | at + 253 * (n % 60) + 2 * (n // 60)) for n in range(3000)]
    return [
        pytest.param(raw(rr(b"\0", types.TXT, ladder), an=1), id="pointers-in-txt"),
        pytest.param(
            raw(rr(b"\0", types.TXT, chain) + rr(b"\xf0\x00", 1, b"1234") * 3000, an=3001),
            id="deep-chain",
        ),
        pytest.param(
            raw(seas + b"".join(rr(o, 1, b"1234") for o in owners), an=3001), id="label-seas"
        ),
        pytest.param(
            raw(
                rr(sea, 1, b"1234") + rr(b"\xc0\x13", 6, b"\xc0\x13" * 2 + b"\0" * 20) * 1800,
                an=1801,
            ),
            id="amplification",
        ),
    ]


@pytest.mark.parametrize("wire", _knots())
def test_knotted_names_cost_no_more_than_their_length(wire):
    assert len(wire) < 66000
    parsed = None

    def read():
        nonlocal parsed
        with suppress(WireError):
            parsed = parse(wire)

    assert least_cpu(read, 0.1) < 0.1
    if parsed is not None:
        held = {id(part): len(part) for s in records(parsed) for r in s for part in (r[0], r[4])}
        assert sum(held.values()) < 40 * len(wire)


def test_any_bytes_give_a_message_or_a_wire_error():
    chance = random.Random(7)
    seeds = [message(*_RECORDS[at : at + 4], edns=bool(at % 2)) for at in range(len(_RECORDS))]
    agreed = refused = 0
    for _ in range(6000):
        wire = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            wire[chance.randrange(len(wire))] = chance.choice(
                (0, 1, 12, 0xC0, chance.randrange(256))
            )
        if chance.random() < 0.2:
            del wire[chance.randrange(len(wire)) :]
        try:
            parsed = parse(bytes(wire))
        except WireError:
            refused += 1
            continue
        try:
            expected = oracle(bytes(wire))
        except (dns.exception.DNSException, ValueError):
            continue  # dnspython checks the inside of rdata that we pass on untouched
        if not any(part for section in expected for r in section for part in r[1:2] if part == 41):
            agreed += 1
            assert [len(s) for s in records(parsed)] == [len(s) for s in expected]
            for mine, theirs in zip(records(parsed), expected, strict=True):
                assert [r[:4] for r in mine] == [r[:4] for r in theirs]
    assert agreed > 500
    assert refused > 500


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_random_bodies_never_raise_anything_else(body, an, ns, ar):
    with suppress(WireError):
        parse(raw(body, an, ns, ar))


_NAME = st.lists(
    st.sampled_from(["a", "B", "example", "x" * 63, "\\046"]), min_size=1, max_size=3
).map(lambda parts: ".".join(parts) + ".")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_NAME, st.sampled_from(["NS", "CNAME", "PTR"]), _NAME), max_size=12))
def test_names_that_dnspython_compressed_come_out_whole(triples):
    wire = message(*(f"{owner} 5 IN {type_} {target}" for owner, type_, target in triples))
    assert records(parse(wire)) == oracle(wire)


def test_a_ttl_with_the_top_bit_counts_as_zero():
    assert parse(raw(rr(b"\0", 1, b"1234", ttl=0x80000000), an=1)).answer[0].ttl == 0
