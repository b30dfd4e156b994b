"""Clauses of RFC 1034 and 1035, and of what clarified them: header, question, broken packets.

Each looks at one rule only: what else is wrong with a reply is another clause's to say.
"""

import struct

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group
from kdns.conformance.octets import walk
from kdns.conformance.packets import Edns, query
from kdns.wire import names, types

MESSAGES = Group("Messages (RFC 1034, 1035, 9619)")
_NAME_AT = 12
_QUERIES = 20
_ATTEMPTS = 2
"""Where silence is a likely fault: enough for a datagram that was lost."""
_REPLY_BITS = types.AA | types.RA | 5


@MESSAGES.clause(
    "rfc1035-id", "A reply carries the id of its query.", "RFC 1035 §4.1.1", needs=("name",)
)
async def _(case: Case) -> None:
    for transport in case.target.transports:
        for id_ in (0, 1, 0x1234, 0xFFFF):
            packet = struct.pack("!H", id_) + query(case.target.name)[2:]
            await _expect_id(case, packet, transport)


@MESSAGES.clause(
    "rfc1035-id-of-each",
    "The same question under many ids gets a reply under each of them.",
    "RFC 1035 §4.1.1",
    needs=("tcp",),
)
async def _(case: Case) -> None:
    packet = query(case.target.missing())
    for id_ in range(1, _QUERIES):
        await _expect_id(case, struct.pack("!H", id_) + packet[2:], "tcp")


@MESSAGES.clause(
    "rfc1035-rd-copied",
    "RD is in a reply what it was in the query.",
    "RFC 1035 §4.1.1",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.missing()):
        for flags in (0, types.RD):
            reply = await case.ask(name, flags=flags)
            expected = f"RD {'set' if flags else 'clear'}, as in the query"
            case.expect(reply.message.flags & types.RD == flags, expected)


@MESSAGES.clause(
    "rfc1035-reply-bits",
    "AA, RA and a response code in a query change nothing.",
    "RFC 1035 §4.1.1",
    level="should",
    needs=("name",),
)
async def _(case: Case) -> None:
    plain = await case.ask(case.target.name)
    odd = await case.ask(case.target.name, flags=types.RD | _REPLY_BITS)
    expected = f"the flags of an ordinary reply: {plain.message.flags:#06x}"
    case.expect(odd.message.flags == plain.message.flags, expected)


@MESSAGES.clause(
    "rfc1035-opcode-copied",
    "A reply has the opcode of its query, also of one that the server does not know.",
    "RFC 1035 §4.1.1",
)
async def _(case: Case) -> None:
    for opcode in (1, 2, 6, 15):
        reply = await case.ask(case.target.zone, "SOA", opcode=opcode)
        seen = reply.message.flags >> 11 & 0xF
        case.expect(seen == opcode, f"opcode {opcode}", f"opcode {seen}\n{reply}")


@MESSAGES.clause(
    "rfc1035-aa",
    "An answer from the zone is authoritative (AA).",
    "RFC 1035 §4.1.1",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name, type_ in ((case.target.name, "A"), (case.target.zone, "SOA")):
        reply = await case.ask(name, type_)
        case.expect("aa" in reply.flags, "AA")


@MESSAGES.clause(
    "rfc1035-soa", "The apex of the zone has one SOA record.", "RFC 1035 §3.3.13, RFC 2181 §6.1"
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.zone, "SOA")
    case.expect(len(reply.values("SOA")) == 1, f"one SOA record of {case.target.zone}")


@MESSAGES.clause(
    "rfc1035-ns", "The apex of the zone names its servers (NS).", "RFC 1034 §4.2.1, RFC 2181 §6.1"
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.zone, "NS")
    case.expect(reply.values("NS"), f"NS records of {case.target.zone}")


@MESSAGES.clause(
    "rfc1035-question",
    "The question section comes back octet by octet.",
    "RFC 1035 §4.1.2",
    needs=("name",),
)
async def _(case: Case) -> None:
    target = case.target
    for name, type_ in ((target.name, "A"), (target.missing(), "SRV"), (target.zone, "TYPE4711")):
        for transport in case.target.transports:
            packet = query(name.lower(), type_)
            reply = await case.exchange(packet, transport=transport)
            case.expect(reply.packet[4:6] == b"\0\1", "one question in the reply")
            seen = reply.packet[_NAME_AT : len(packet)]
            case.expect(seen == packet[_NAME_AT:], f"question {packet[12:].hex()}", seen.hex())


@MESSAGES.clause(
    "rfc1035-compression",
    "Compression pointers lead back to names that stand before them.",
    "RFC 1035 §4.1.4",
    needs=("name",),
)
async def _(case: Case) -> None:
    target = case.target
    asked = [(target.name, "A"), (target.name, "HINFO"), (target.zone, "SOA")]
    asked += [(target.zone, "NS"), (target.missing(), "A"), (target.big or target.name, "A")]
    for name, type_ in asked:
        for transport in case.target.transports:
            packet = query(name, type_, edns=Edns())
            came = await case.send(packet, transport=transport)
            case.expect(came, "a reply", "none")
            walk(came[0] if came else b"")


@MESSAGES.clause(
    "rfc1035-whole",
    "A message ends where its last record ends.",
    "RFC 1035 §4.1",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.missing()):
        for transport in case.target.transports:
            reply = await case.ask(name, transport=transport)
            rest = reply.packet[walk(reply.packet).end :]
            case.expect(not rest, "nothing behind the last record", f"{rest.hex()}\n{reply}")


@MESSAGES.clause(
    "rfc1035-udp-512",
    "Without EDNS, a UDP reply has at most 512 octets.",
    "RFC 1035 §2.3.4",
    needs=("big",),
)
async def _(case: Case) -> None:
    for flags in (types.RD, 0):
        reply = await case.ask(case.target.big, flags=flags)
        size = len(reply.packet)
        case.expect(size <= 512, "512 octets at most", f"{size} octets\n{reply}")


@MESSAGES.clause(
    "rfc1035-class",
    "A question in another class is not answered with records of class IN.",
    "RFC 1035 §3.2.4",
    needs=("name",),
)
async def _(case: Case) -> None:
    for cls in (types.CH, types.HS, 4711):
        reply = await case.ask(case.target.name, cls=cls)
        strangers = [rrset for rrset in reply.message.answer if rrset.cls == types.IN]
        case.expect(not strangers, f"no record of class IN for {types.class_name(cls)}")


@MESSAGES.clause("rfc1035-longest-name", "A name of 255 octets is looked up.", "RFC 1035 §2.3.4")
async def _(case: Case) -> None:
    apex = names.parse(case.target.zone)
    room = names.LONGEST - len(apex)
    sizes = [62] * (room // 63)
    if rest := room % 63:
        sizes = [*sizes, rest - 1] if rest > 1 else [*sizes[:-1], 61, 0]
    name = b"".join(bytes((size,)) + b"x" * size for size in sizes if size) + apex
    reply = await case.ask(name)
    case.expect(reply.rcode in ("NXDOMAIN", "NOERROR"), f"a name of {len(name)} octets looked up")


@MESSAGES.clause("rfc1035-longest-label", "A label of 63 octets is looked up.", "RFC 1035 §2.3.4")
async def _(case: Case) -> None:
    reply = await case.ask("y" * 63 + "." + case.target.zone)
    case.expect(reply.rcode in ("NXDOMAIN", "NOERROR"), "a name with such a label looked up")


@MESSAGES.clause("rfc2181-any-octet", "A label may hold any octet.", "RFC 1035 §3.1, RFC 2181 §11")
async def _(case: Case) -> None:
    apex = names.parse(case.target.zone)
    for label in (b"a.b", b"\0", b"\xff\xfe", b" ", b"\\", b"_"):
        packet = query(bytes((len(label),)) + label + apex)
        reply = await case.exchange(packet)
        case.expect(reply.rcode in ("NXDOMAIN", "NOERROR"), f"a name with {label!r} looked up")


@MESSAGES.clause(
    "rfc1035-response",
    "A response is not answered: or two servers answer each other for ever.",
    "RFC 1035 §4.1.1, RFC 8906 §3",
    needs=("name",),
)
async def _(case: Case) -> None:
    packet = query(case.target.name, flags=types.QR)
    case.expect(await case.is_silent(packet), "no reply to a response", "a reply")


@MESSAGES.clause(
    "rfc1035-no-header",
    "What is shorter than a header is not answered.",
    "RFC 1035 §4.1.1",
    level="should",
)
async def _(case: Case) -> None:
    for size in (1, 2, 11):
        packet = query(case.target.zone)[:size]
        case.expect(await case.is_silent(packet), f"no reply to {size} octets", "a reply")


@MESSAGES.clause("rfc9619-two-questions", "A query with two questions is FORMERR.", "RFC 9619 §4")
async def _(case: Case) -> None:
    packet = query(case.target.zone, "SOA")
    body = packet[_NAME_AT:] * 2
    await _expect_formerr(case, packet[:4] + struct.pack("!4H", 2, 0, 0, 0) + body)


@MESSAGES.clause(
    "rfc1035-no-question",
    "A query without a question is FORMERR.",
    "RFC 1035 §4.1.2",
    level="should",
)
async def _(case: Case) -> None:
    await _expect_formerr(case, query(case.target.zone)[:4] + bytes(8))


@MESSAGES.clause(
    "rfc1035-broken-name",
    "A question whose name cannot be read is FORMERR.",
    "RFC 1035 §4.1.1",
    level="should",
)
async def _(case: Case) -> None:
    packet = query(case.target.zone)
    head, tail = packet[:_NAME_AT], packet[-4:]
    broken = {
        "it runs out": packet[:20],
        "a label type of 01": head + b"\x41" + packet[13:],
        "a label type of 10": head + b"\x81" + packet[13:],
        "a pointer to itself": head + b"\xc0\x0c" + tail,
        "a pointer forward": head + b"\xc0\x40" + tail,
        "over 255 octets": head + (b"\x3f" + b"x" * 63) * 4 + b"\0" + tail,
    }
    for how, octets in broken.items():
        await _expect_formerr(case, octets, f" ({how})")


@MESSAGES.clause(
    "rfc1035-counts",
    "A query that promises records which are not there is answered or FORMERR.",
    "RFC 1035 §4.1.1",
    level="should",
)
async def _(case: Case) -> None:
    packet = query(case.target.zone, "SOA")
    for counts in ((1, 1, 0, 1), (1, 65535, 65535, 65535)):
        reply = await case.exchange(packet[:4] + struct.pack("!4H", *counts) + packet[_NAME_AT:])
        expected = "the answer or FORMERR"
        case.expect(reply.rcode in ("NOERROR", "FORMERR"), expected)


async def _expect_id(case: Case, packet: bytes, transport: str) -> None:
    """A datagram under another id is nobody's reply: it counts as none."""
    came = await case.send(packet, transport=transport, attempts=_ATTEMPTS)
    seen = came[0][:2].hex() if came else "no reply under it"
    case.expect(seen == packet[:2].hex(), f"id {packet[:2].hex()}", seen)


async def _expect_formerr(case: Case, packet: bytes, which: str = "") -> None:
    came = await case.send(packet, attempts=_ATTEMPTS)
    case.expect(came, f"FORMERR{which}", "no reply")
    rcode = types.rcode_name(came[0][3] & 0xF) if came else ""
    case.expect(rcode == "FORMERR", f"FORMERR{which}", rcode)
