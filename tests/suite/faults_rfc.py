"""A fault for each clause of the RFCs: header, question, RRsets, negative answers, letter case."""

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

from kdns.wire import types
from tests.suite.edits import (
    bits,
    changed,
    code,
    counts,
    empty,
    every,
    flags,
    name,
    plain,
    rcode,
    tcp,
    type_,
    udp,
    unreadable,
    where,
    without,
)
from tests.suite.planted import Edit, Fault, Said

WEB, BIG, MISSING = name("web."), name("many."), name("missing-")
PARENT = dns.name.from_text("local.")


def remembered() -> Edit:
    """A memory of whole replies, ids and all."""
    kept: dict[tuple[bytes, bool], bytes] = {}
    return lambda said: kept.setdefault((said.query[2:], said.tcp), said.reply)


def doubled_soa(message: dns.message.Message) -> None:
    """A second SOA record, of another serial."""
    [record] = message.answer
    other = record[0].replace(serial=record[0].serial + 1)
    message.answer.append(dns.rrset.from_rdata(record.name, record.ttl, other))


def uneven(message: dns.message.Message) -> None:
    """The first record lives longer."""
    message.answer[0].ttl += 1


def twin(message: dns.message.Message) -> None:
    """The first record stands at the end, too."""
    message.answer.append(message.answer[0])


def strange_owner(message: dns.message.Message) -> None:
    """The SOA of a zone above."""
    for record in message.authority:
        record.name = PARENT


def long_lived(message: dns.message.Message) -> None:
    """A SOA record that holds for more than a day."""
    for record in (*message.answer, *message.authority):
        if record.rdtype == dns.rdatatype.SOA:
            record.ttl = 100_000
            record.items = {record[0].replace(minimum=100_000): None}


def longer(message: dns.message.Message) -> None:
    """Negative answers live longer than they should."""
    for record in message.authority:
        record.ttl += 1000


def referring(message: dns.message.Message) -> None:
    """The zone's servers beside a negative answer."""
    message.authority.append(dns.rrset.from_text("cluster.local.", 5, "IN", "NS", "ns.test."))


def from_class_in(said: Said) -> bytes:
    """An address of class IN whatever class was asked."""
    end = said.query.index(b"\0", 12) + 5
    head = said.query[:2] + b"\x84\0\0\1\0\1\0\0\0\0"
    return head + said.query[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x0a\0\0\1"


def pointing_forward(said: Said) -> bytes:
    """The owner of the first record is a pointer to itself."""
    end = len(said.query) - 11 if said.query[11] else len(said.query)
    return said.reply[:end] + (0xC000 | end).to_bytes(2, "big") + said.reply[end + 2 :]


def long_name(said: Said) -> bool:
    """A name of more than 250 octets."""
    return len(said.query) > 250 and said.asked is not None


def odd_octets(said: Said) -> bool:
    """A label holds what is no printable ASCII."""
    labels = said.asked.question[0].name if said.asked and said.asked.question else ()
    return any(not 0x20 < octet < 0x7F for label in labels for octet in label)


def below_missing(said: Said) -> bool:
    """Below a name that does not exist."""
    return ".missing-" in said.name and outside_svc(said)


def outside_svc(said: Said) -> bool:
    """About no name of services."""
    return ".svc." not in said.name and said.message is not None


def undesired(said: Said) -> bool:
    """Asked without RD."""
    return not bits(types.RD)(said)


def upper(said: Said) -> bool:
    """Some letter of the name is a capital."""
    return said.name != said.name.lower()


def lowered(said: Said) -> bytes:
    """The question in lower case."""
    end = 12 + len(said.name) + 1
    return said.reply[:12] + said.reply[12:end].lower() + said.reply[end:]


def folded(query: bytes, is_tcp: bool) -> tuple[bytes, bool]:
    """Sets the bit of lower case in all octets of the first two labels, whatever they are."""
    out, at = bytearray(query), 12
    for _ in range(2):
        if at >= len(out) or at + 1 + out[at] > len(out):
            break
        end = at + 1 + out[at]
        for here in range(at + 1, end):
            out[here] |= 0x20 if 0x0D <= out[here] < 0x1A else 0
        at = end
    return bytes(out), is_tcp


def as_over_tcp(query: bytes, is_tcp: bool) -> tuple[bytes, bool]:
    """What has neither EDNS nor RD is answered as if there were no limit."""
    return query, is_tcp or (b"\4many" in query[:18] and not query[11] and not query[2] & 1)


FAULTS = (
    Fault("rfc1035-id", where(
        every(tcp, WEB, lambda said: said.query[:2] == b"\xff\xff"),
        lambda said: b"\0\0" + said.reply[2:],
    )),
    Fault("rfc1035-id-of-each", where(every(tcp, MISSING, plain), remembered())),
    Fault("rfc1035-rd-copied", flags(put=types.RD)),
    Fault("rfc1035-rd-copied", where(MISSING, flags(take=types.RD))),
    Fault("rfc1035-reply-bits", where(bits(types.RA), flags(put=5))),
    Fault("rfc1035-opcode-copied", flags(take=0x7800)),
    Fault("rfc1035-aa", where(lambda said: said.reply[6:8] != b"\0\0", flags(take=types.AA))),
    Fault("rfc1035-soa", where(
        every(type_("SOA"), lambda said: said.reply[6:8] == b"\0\1"), changed(doubled_soa)
    )),
    Fault("rfc1035-ns", where(type_("NS"), without("answer", "NS"))),
    Fault("rfc1035-question", where(
        type_("TYPE4711"), lambda said: said.reply.replace(b"\x12\x67", b"\0\1", 1)
    )),
    Fault("rfc1035-compression", where(every(type_("HINFO"), WEB), pointing_forward)),
    Fault("rfc1035-whole", where(every(WEB, plain), lambda said: said.reply + b"\0")),
    Fault("rfc1035-whole", where(every(MISSING, plain, tcp), lambda said: said.reply + b"\0")),
    Fault("rfc1035-udp-512", rewrite=as_over_tcp),
    Fault("rfc1035-class", where(
        lambda said: said.asked is not None and bool(said.asked.question)
        and said.asked.question[0].rdclass != types.IN,
        from_class_in,
    )),
    Fault("rfc1035-longest-name", where(long_name, rcode(types.FORMERR))),
    Fault("rfc1035-longest-label", where(name("y" * 63), rcode(types.FORMERR))),
    Fault("rfc2181-any-octet", where(odd_octets, rcode(types.FORMERR))),
    Fault("rfc1035-response", answers_silence=lambda query, _: query if len(query) > 12 else None),
    Fault("rfc1035-no-header", answers_silence=lambda query, _: (
        query.ljust(12, b"\0") if len(query) < 12 else None
    )),
    Fault("rfc9619-two-questions", where(counts(2, 0, 0, 0), rcode(types.NOERROR))),
    Fault("rfc1035-no-question", where(counts(0, 0, 0, 0), rcode(types.SERVFAIL))),
    Fault("rfc1035-broken-name", where(every(udp, unreadable), rcode(types.SERVFAIL))),
    Fault("rfc1035-counts", where(counts(1, 1, 0, 1), rcode(types.SERVFAIL))),
    Fault("rfc2181-same-address", elsewhere=every(type_("HINFO"), name("cluster."))),
    Fault("rfc2181-ttls", where(every(BIG, type_("A"), tcp, plain), changed(uneven))),
    Fault("rfc2181-no-twins", where(every(BIG, type_("A"), tcp, plain), changed(twin))),
    Fault("rfc2181-ttl-31-bits", where(
        every(WEB, plain, type_("A")),
        lambda said: said.reply.replace(b"\xc0\x0c\0\1\0\1\0", b"\xc0\x0c\0\1\0\1\x80", 1),
    )),
    Fault("rfc2181-tc", where(every(udp, plain, undesired), flags(take=types.TC))),
    Fault("rfc2181-no-tc", where(every(udp, plain, WEB), flags(put=types.TC))),
    Fault("rfc3597-unknown-type", where(type_("TYPE1000"), rcode(types.NOTIMP))),
    Fault("rfc3597-unknown-record", where(
        every(counts(1, 0, 0, 1), lambda said: b"\xff\x0a" in said.query), rcode(types.FORMERR)
    )),
    Fault("rfc2308-nxdomain", where(
        every(MISSING, outside_svc, code("NXDOMAIN")), rcode(types.NOERROR)
    )),
    Fault("rfc2308-no-data", where(every(WEB, type_("MX")), rcode(types.NXDOMAIN))),
    Fault("rfc2308-nxdomain-soa", where(
        every(MISSING, code("NXDOMAIN")), without("authority", "SOA")
    )),
    Fault("rfc2308-no-data-soa", where(
        every(type_("MX"), empty, code("NOERROR")), without("authority", "SOA")
    )),
    Fault("rfc2308-aa", where(empty, flags(take=types.AA))),
    Fault("rfc2308-soa-owner", where(empty, changed(strange_owner))),
    Fault("rfc2308-ttl", where(empty, changed(longer))),
    Fault("rfc2308-ttl-short", where(outside_svc, changed(long_lived))),
    Fault("rfc2308-no-referral", where(empty, changed(referring))),
    Fault("rfc8020-below", where(below_missing, rcode(types.NOERROR))),
    Fault("rfc8020-above", where(
        every(name("svc.cluster."), type_("TYPE65280")), rcode(types.NXDOMAIN)
    )),
    Fault("rfc8020-any-type", where(every(WEB, type_("TXT")), rcode(types.NXDOMAIN))),
    Fault("rfc4343-match", where(every(upper, name("cluster.")), rcode(types.NXDOMAIN))),
    Fault("rfc4343-question", where(upper, lowered)),
    Fault("rfc4343-ascii-letters", rewrite=folded),
)  # fmt: skip
