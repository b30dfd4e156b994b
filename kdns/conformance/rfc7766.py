"""Clauses of RFC 7766: DNS over TCP, many queries on a connection, framed wherever they break."""

import asyncio

from kdns.conformance.case import Case, Connection
from kdns.conformance.clauses import Failed, Group
from kdns.conformance.packets import Edns, Reply, query, read
from kdns.wire import names, shown

TCP = Group("TCP (RFC 7766)")
_SEVERAL = 6
"""One query less than this is the other clause's to complain about."""
_PIPELINED = 20
_MANY = 150
_IDLE_S = 1.0
_PAUSE_S = 0.1


def _frame(packet: bytes) -> bytes:
    return len(packet).to_bytes(2, "big") + packet


def _queries(case: Case, count: int) -> list[bytes]:
    """Queries of several outcomes, each with an id of its own."""
    target = case.target
    queries = [
        query(target.missing(), "A") if at % 2 else query(target.zone, "SOA") for at in range(count)
    ]
    return [id_.to_bytes(2, "big") + packet[2:] for id_, packet in enumerate(queries, 1)]


async def _collect(case: Case, connection: Connection, asked: list[bytes]) -> None:
    """Fails unless each query gets its reply, in whichever order."""
    left = {packet[:2] for packet in asked}
    while left:
        came = await connection.receive()
        case.expect(came[:2] in left, "a reply to one of the queries", f"id {came[:2].hex()}")
        left.remove(came[:2])


@TCP.clause("rfc7766-tcp", "A query over TCP is answered.", "RFC 7766 §5, RFC 8906 §8.1.5")
async def _(case: Case) -> None:
    reply = await case.ask(case.target.zone, "NAPTR", transport="tcp")
    case.expect(reply.rcode in ("NOERROR", "NXDOMAIN"), "an answer")


@TCP.clause(
    "rfc7766-same-answers",
    "TCP and UDP give the same answers.",
    "RFC 7766 §5",
    needs=("name", "tcp"),
)
async def _(case: Case) -> None:
    target = case.target
    for name, type_ in ((target.name, "A"), (target.missing(), "A"), (target.zone, "SOA")):
        one, other = [
            await case.ask(name, type_, transport=transport, edns=Edns(size=4096))
            for transport in ("udp", "tcp")
        ]
        case.expect(_seen(one) == _seen(other), f"over TCP what UDP says:\n{one}")


@TCP.clause(
    "rfc7766-keeps-open",
    "A connection carries one query after the other.",
    "RFC 7766 §6.2.1",
    needs=("tcp",),
)
async def _(case: Case) -> None:
    async with case.connection() as connection:
        for packet in _queries(case, _SEVERAL):
            await connection.send(_frame(packet))
            await _collect(case, connection, [packet])


@TCP.clause(
    "rfc7766-idle",
    "A connection that is quiet for a second stays open.",
    "RFC 7766 §6.2.3",
    level="should",
    needs=("tcp",),
)
async def _(case: Case) -> None:
    [packet] = _queries(case, 1)
    async with case.connection() as connection:
        await connection.send(_frame(packet))
        await _collect(case, connection, [packet])
        is_closed = await connection.is_closed(_IDLE_S)
        case.expect(not is_closed, f"an open connection after {_IDLE_S:g} s", "it was closed")


@TCP.clause(
    "rfc7766-pipelining",
    "Queries that come in one segment are all answered.",
    "RFC 7766 §6.2.1.1",
    needs=("tcp",),
)
async def _(case: Case) -> None:
    asked = _queries(case, _PIPELINED)
    async with case.connection() as connection:
        await connection.send(b"".join(map(_frame, asked)))
        await _collect(case, connection, asked)


@TCP.clause(
    "rfc7766-many",
    "A connection carries more than a hundred queries.",
    "RFC 7766 §6.2.1",
    level="should",
    needs=("tcp",),
)
async def _(case: Case) -> None:
    asked = _queries(case, _MANY)
    async with case.connection() as connection:
        for at, packet in enumerate(asked):
            try:
                await connection.send(_frame(packet))
                await _collect(case, connection, [packet])
            except (Failed, OSError):
                if at < _SEVERAL:
                    return
                raise Failed(f"{_MANY} replies", f"the connection ended after {at}") from None


@TCP.clause(
    "rfc7766-split",
    "A message may come octet by octet.",
    "RFC 7766 §8",
    needs=("tcp",),
)
async def _(case: Case) -> None:
    [packet] = _queries(case, 1)
    async with case.connection() as connection:
        for octet in _frame(packet):
            await connection.send(bytes((octet,)))
            await asyncio.sleep(0)
        await _collect(case, connection, [packet])


@TCP.clause(
    "rfc7766-half-close",
    "What was asked before the asker closes his side is answered.",
    "RFC 7766 §6.2.4",
    level="should",
    needs=("tcp",),
)
async def _(case: Case) -> None:
    asked = _queries(case, 1)
    async with case.connection() as connection:
        await connection.send(_frame(asked[0]))
        connection.finish()
        await _collect(case, connection, asked)


@TCP.clause(
    "rfc7766-whole",
    "What UDP had to cut is whole over TCP.",
    "RFC 7766 §5, RFC 2181 §9",
    needs=("big", "tcp"),
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.big, transport="tcp")
    case.expect("tc" not in reply.flags, "no TC")


@TCP.clause(
    "rfc7766-size",
    "A size in the query's OPT does not bound a reply over TCP.",
    "RFC 6891 §6.2.3, RFC 7766 §8",
    needs=("big", "tcp"),
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.big, transport="tcp", edns=Edns(size=512))
    large = await case.ask(case.target.big, transport="tcp", edns=Edns(size=4096))
    seen, expected = (len(one.values("A")) for one in (reply, large))
    case.expect(seen == expected, f"{expected} records with size 512, as with 4096")


@TCP.clause(
    "rfc7766-after-garbage",
    "A message that is none does no harm to the queries behind it on the connection.",
    "RFC 7766 §8",
    level="should",
    needs=("tcp",),
)
async def _(case: Case) -> None:
    broken = query(case.target.zone)[:20]
    [packet] = _queries(case, 1)
    async with case.connection() as connection:
        await connection.send(_frame(broken))
        await asyncio.sleep(_PAUSE_S)
        await connection.send(_frame(packet))
        came = await connection.receive()
        if came[:2] == broken[:2]:
            came = await connection.receive()
        case.expect(read(came, "tcp", 0.0).packet[:2] == packet[:2], "the reply to the second")


def _seen(reply: Reply) -> tuple[str, int, list[str], list[str]]:
    """What must be the same: code, flags, and the records of answer and authority as sets."""
    sections = (reply.message.answer, reply.message.authority)
    answer, authority = (sorted(map(_ageless, shown.records(rrsets))) for rrsets in sections)
    return reply.rcode, reply.message.flags, answer, authority


def _ageless(line: str) -> str:
    """A record without its TTL, which may have gone down, and without a serial that goes up."""
    owner, _, cls, type_, rdata = line.split(None, 4)
    if type_ == "SOA":
        rdata = " ".join(rdata.split()[:2])
    return f"{names.format(names.parse_key(owner))} {cls} {type_} {rdata}"
