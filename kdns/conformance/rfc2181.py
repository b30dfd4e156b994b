"""Clauses of RFC 2181 and RFC 3597: RRsets are whole and even, unknown types are types."""

import asyncio
import socket
from collections import Counter
from contextlib import suppress

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group
from kdns.conformance.octets import walk
from kdns.conformance.packets import query
from kdns.conformance.target import Target
from kdns.wire import types

RRSETS = Group("RRsets and types (RFC 2181, 3597)")
_PATIENCE_S = 1.5
_LONGEST = 65535


@RRSETS.clause(
    "rfc2181-same-address",
    "A UDP reply comes from the address and port that were asked.",
    "RFC 2181 §4.1",
)
async def _(case: Case) -> None:
    target = case.target
    source = await _source(target, query(target.zone, "HINFO"))
    source = source or await _source(target, query(target.zone, "HINFO"))
    case.expect(source, "a reply", "none")
    asked = f"a reply from {target.host} port {target.port}"
    case.expect(source == (target.host, target.port), asked, str(source))


async def _source(target: Target, packet: bytes) -> tuple[str, int] | None:
    """Where the reply comes from, wherever that is; None when none comes."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_sendto(sock, packet, (target.host, target.port))
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    came, source = await loop.sock_recvfrom(sock, _LONGEST)
                    if came[:2] == packet[:2]:
                        host, port, *_ = source
                        return str(host), int(port)
    return None


@RRSETS.clause(
    "rfc2181-ttls",
    "The records of an RRset have one TTL.",
    "RFC 2181 §5.2",
    needs=("big", "tcp"),
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.big, transport="tcp")
    ttls = {record.ttl for record in walk(reply.packet).of(types.A)}
    case.expect(len(ttls) == 1, "one TTL", f"TTLs {sorted(ttls)}")


@RRSETS.clause(
    "rfc2181-no-twins", "No record stands twice in an RRset.", "RFC 2181 §5", needs=("big", "tcp")
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.big, transport="tcp")
    counts = Counter(reply.values("A"))
    twins = [rdata for rdata, count in counts.items() if count > 1]
    case.expect(not twins, "every record once", f"{', '.join(twins)} more than once")


@RRSETS.clause(
    "rfc2181-ttl-31-bits", "A TTL has its highest bit clear.", "RFC 2181 §8", needs=("name",)
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.missing()):
        reply = await case.ask(name)
        ttls = [record.ttl for record in walk(reply.packet).records if record.type != types.OPT]
        case.expect(all(ttl < 1 << 31 for ttl in ttls), "TTLs below 2^31", f"TTLs {ttls}")


@RRSETS.clause(
    "rfc2181-tc",
    "A reply that lacks records of the RRset has TC set.",
    "RFC 2181 §9",
    needs=("big", "tcp"),
)
async def _(case: Case) -> None:
    whole = await case.ask(case.target.big, transport="tcp")
    for flags in (types.RD, 0):
        reply = await case.ask(case.target.big, flags=flags)
        is_whole = len(reply.values("A")) >= len(whole.values("A"))
        case.expect(is_whole or "tc" in reply.flags, "TC, for records are missing")


@RRSETS.clause("rfc2181-no-tc", "A reply that fits has TC clear.", "RFC 2181 §9", needs=("name",))
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.missing()):
        reply = await case.ask(name)
        case.expect("tc" not in reply.flags, "no TC")


@RRSETS.clause(
    "rfc3597-unknown-type",
    "A type that nobody knows is asked like any other: no data, or no such name.",
    "RFC 3597 §3, RFC 8906 §8.1.2",
    needs=("name",),
)
async def _(case: Case) -> None:
    for type_ in (1000, 0xFF00, 0xFFFE):
        for name in (case.target.name, case.target.zone):
            reply = await case.ask(name, type_)
            is_no_data = reply.rcode == "NOERROR" and not reply.message.answer
            case.expect(is_no_data, f"NOERROR without an answer for TYPE{type_}")


@RRSETS.clause(
    "rfc3597-unknown-record",
    "A record of an unknown type in a query does no harm.",
    "RFC 3597 §3",
    level="should",
)
async def _(case: Case) -> None:
    packet = query(case.target.zone, "SOA")
    odd = b"\1x\0\xff\x0a\0\1\0\0\0\0\0\3abc"
    reply = await case.exchange(packet[:10] + b"\0\1" + packet[12:] + odd)
    case.expect(reply.rcode == "NOERROR" and reply.values("SOA"), "the SOA record")
