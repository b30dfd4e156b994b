"""Clauses of RFC 6891 and RFC 9715: an OPT answers an OPT, and its size bounds the reply."""

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group, Skipped
from kdns.conformance.octets import walk
from kdns.conformance.packets import Edns, query
from kdns.wire import types

EDNS = Group("EDNS and sizes (RFC 6891, 9715)")
_OTHER = b"\1x\0\0\1\0\1\0\0\0\0\0\4\0\0\0\0"
"""An A record."""
_OPT = Edns().record()
_USUAL = 1232
_UNFRAGMENTED = 1400
_LARGEST = 65535


def _with_records(case: Case, *records: bytes) -> bytes:
    """A query for the zone's SOA record with these records in the additional section."""
    packet = query(case.target.zone, "SOA")
    return packet[:10] + len(records).to_bytes(2, "big") + packet[12:] + b"".join(records)


@EDNS.clause(
    "rfc6891-opt-unasked",
    "A query without OPT gets a reply without OPT.",
    "RFC 6891 §7",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.missing()):
        for transport in case.target.transports:
            reply = await case.ask(name, transport=transport)
            case.expect(not reply.message.has_opt, "no OPT record, for none was sent")


@EDNS.clause(
    "rfc6891-opt",
    "A query with OPT is answered with OPT.",
    "RFC 6891 §6.1.1, RFC 8906 §8.2.1",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.missing()):
        reply = await case.ask(name, edns=Edns())
        case.expect(reply.message.has_opt, "an OPT record")


@EDNS.clause(
    "rfc6891-opt-tcp", "EDNS is spoken over TCP, too.", "RFC 8906 §3.2.7", needs=("name", "tcp")
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.name, transport="tcp", edns=Edns())
    case.expect(reply.message.has_opt, "an OPT record")


@EDNS.clause(
    "rfc6891-one-opt",
    "The OPT of a reply is one, in the additional section.",
    "RFC 6891 §6.1.1",
    needs=("name",),
)
async def _(case: Case) -> None:
    packet = query(case.target.name, edns=Edns(size=1220))
    came = await case.send(packet)
    found = [record.section for record in walk(came[0]).of(types.OPT)] if came else []
    case.expect(found in ([], ["additional"]), "one OPT record", f"OPT records in {found}")


@EDNS.clause("rfc6891-two-opts", "A query with two OPTs is FORMERR.", "RFC 6891 §6.1.1")
async def _(case: Case) -> None:
    reply = await case.exchange(_with_records(case, _OPT, _OPT))
    case.expect(reply.rcode == "FORMERR", "FORMERR")


@EDNS.clause(
    "rfc6891-opt-owner",
    "A query whose OPT has another owner than the root is FORMERR.",
    "RFC 6891 §6.1.2",
    level="should",
)
async def _(case: Case) -> None:
    reply = await case.exchange(_with_records(case, b"\1x" + _OPT))
    case.expect(reply.rcode == "FORMERR", "FORMERR")


@EDNS.clause(
    "rfc6891-half-option",
    "A query whose OPT ends within an option is FORMERR.",
    "RFC 6891 §6.1.2",
    level="should",
)
async def _(case: Case) -> None:
    reply = await case.exchange(_with_records(case, Edns(options=b"\0\x64\0").record()))
    case.expect(reply.rcode == "FORMERR", "FORMERR")


@EDNS.clause(
    "rfc6891-opt-anywhere",
    "The OPT of a query may stand before or behind another record.",
    "RFC 6891 §6.1.1",
    level="should",
)
async def _(case: Case) -> None:
    for records in ((_OTHER, _OPT), (_OPT, _OTHER)):
        reply = await case.exchange(_with_records(case, *records))
        case.expect(reply.rcode == "NOERROR" and reply.message.has_opt, "NOERROR and an OPT record")


@EDNS.clause(
    "rfc6891-badvers", "A query with EDNS of another version is BADVERS.", "RFC 6891 §6.1.3"
)
async def _(case: Case) -> None:
    for version in (1, 2, 255):
        reply = await case.ask(case.target.zone, "SOA", edns=Edns(version=version))
        case.expect(reply.rcode == "BADVERS", f"BADVERS for version {version}")


@EDNS.clause(
    "rfc6891-version", "BADVERS names the version that the server speaks: 0.", "RFC 6891 §6.1.3"
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.zone, "SOA", edns=Edns(version=1))
    if reply.message.has_opt:
        seen = f"version {reply.message.version}\n{reply}"
        case.expect(reply.message.version == 0, "an OPT record of version 0", seen)


@EDNS.clause(
    "rfc6891-size-small",
    "A size below 512 counts as 512.",
    "RFC 6891 §6.2.3",
    needs=("big",),
)
async def _(case: Case) -> None:
    usual = await case.ask(case.target.big, edns=Edns(size=512))
    for size in (0, 1, 511):
        reply = await case.ask(case.target.big, edns=Edns(size=size))
        seen, expected = (len(one.values("A")) for one in (reply, usual))
        case.expect(seen == expected, f"{expected} records with size {size}, as with 512")


@EDNS.clause(
    "rfc6891-size-kept",
    "A UDP reply is never larger than the size in the query's OPT.",
    "RFC 6891 §6.2.3",
    needs=("big",),
)
async def _(case: Case) -> None:
    for size in (512, 513, 700, 1232):
        reply = await case.ask(case.target.big, edns=Edns(size=size))
        seen = len(reply.packet)
        case.expect(seen <= size, f"{size} octets at most", f"{seen} octets\n{reply}")


@EDNS.clause(
    "rfc6891-size-used",
    "A larger size lets a larger reply through.",
    "RFC 6891 §6.2.3",
    level="should",
    needs=("big",),
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.big, edns=Edns(size=_USUAL))
    if not reply.message.answer:
        raise Skipped(f"{case.target.big} may have more than {_USUAL} octets of addresses")
    is_whole = "tc" not in reply.flags
    size = len(reply.packet)
    case.expect(is_whole or size > 512, f"more than 512 octets with size {_USUAL}", f"{size}")


@EDNS.clause(
    "rfc6891-size-named",
    "The size in the OPT of a reply is 512 or more.",
    "RFC 6891 §6.2.3",
    level="should",
    needs=("name",),
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.name, edns=Edns())
    if reply.message.has_opt:
        case.expect(reply.message.size >= 512, "512 or more", f"{reply.message.size}\n{reply}")


@EDNS.clause("rfc6891-do", "DO is copied into the reply's OPT.", "RFC 3225 §3, RFC 8906 §8.2.8")
async def _(case: Case) -> None:
    reply = await case.ask(case.target.zone, "SOA", edns=Edns(flags=0x8000))
    if reply.message.has_opt:
        case.expect(reply.message.do, "DO in the OPT record")


@EDNS.clause(
    "rfc9715-unfragmented",
    "A UDP reply stays below 1,400 octets, however many the query allows.",
    "RFC 9715 §3.1",
    level="should",
    needs=("big", "tcp"),
)
async def _(case: Case) -> None:
    whole = await case.ask(case.target.big, transport="tcp", edns=Edns(size=_LARGEST))
    if len(whole.packet) <= _UNFRAGMENTED:
        raise Skipped(f"{case.target.big} has no more than {_UNFRAGMENTED} octets of addresses")
    reply = await case.ask(case.target.big, edns=Edns(size=_LARGEST))
    size = len(reply.packet)
    case.expect(size <= _UNFRAGMENTED, "1400 octets at most", f"{size} octets")
