"""Plugins for tests of the server: backends that count, wait and depend as they are told."""

import asyncio
from collections.abc import Callable
from random import Random

from kdns.observe.counters import Counters
from kdns.plugins.base import SKIP, Backend, Client, Filter, Next, Plugin, Query, Result, Stamps
from kdns.server.chain import join
from kdns.server.pipeline import Pipeline
from kdns.server.router import Block, Router
from kdns.server.table import AnswerTable
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import ROOT, Key
from tests.fakes import Clock


class Told(Backend):
    """Answers from a function of the query, and counts how often it was asked."""

    name = "told"

    def __init__(self, say: Callable[[Query], Result]) -> None:
        self.say = say
        self.asked = 0

    async def answer(self, query: Query) -> Result:
        self.asked += 1
        return self.say(query)


class Waits(Backend):
    """Waits for a future before it says what it found, as a forwarder does."""

    name = "waits"

    def __init__(self, say: Callable[[Query], Result]) -> None:
        self.say = say
        self.gates: list[asyncio.Future[None]] = []

    async def answer(self, query: Query) -> Result:
        answer = self.say(query)
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return answer

    def open(self) -> None:
        for gate in self.gates:
            if not gate.done():
                gate.set_result(None)


class Rotates(Filter):
    """`loadbalance`, bare."""

    name = "rotates"

    def __init__(self) -> None:
        pass

    async def around(self, query: Query, next_: Next) -> Result:
        answer = await next_(query)
        return answer if answer is SKIP else answer.but(rotate=True)


def addresses(query: Query, *last: int, ttl: int = 5, **changes: object) -> Answer:
    """An answer with addresses 10.0.x.y at the name asked."""
    rdatas = tuple(bytes((10, 0, at >> 8, at & 255)) for at in last)
    return Answer(
        answer=(RRset(query.key, types.A, ttl, rdatas),), flags=types.AA, plugin="told"
    ).but(**changes)


ZONE = names.parse_key("cluster.local")


def soa() -> RRset:
    return records.soa_set(ZONE, 5, (b"\2ns\3dns", b"\nhostmaster"), 0, (0, 0, 0), 0)


class World:
    """A pipeline with a table, and one without, over the same plugins, facts and clock."""

    def __init__(
        self, *plugins: Plugin, zone: Key = ROOT, whole: bool = False, limit_bytes: int = 16 << 20
    ) -> None:
        self.stamps = Stamps()
        self.counters = Counters()
        self.clock = Clock()
        self.plugins = plugins
        self.router = Router([Block(zone, join(plugins), plugins, ())], recurses=False)
        self.table = AnswerTable(self.stamps, Random(1), lambda peer: peer, limit_bytes)
        self.with_table = self._pipeline(self.table, whole=whole)
        self.without = self._pipeline(None, whole=whole)

    def _pipeline(self, table: AnswerTable | None, *, whole: bool) -> Pipeline:
        return Pipeline(
            self.router, self.stamps, self.counters, self.clock, Random(1), table=table, whole=whole
        )

    async def ask(self, packet: bytes, address: bytes = b"\x7f\0\0\1") -> bytes | None:
        """As a transport asks: the table first, then the chain."""
        reply = self.with_table.recall(packet, address, self.clock())
        if reply is not None:
            return reply
        return await self.with_table.respond(packet, Client(address, 4000), self.clock())

    async def plain(self, packet: bytes, address: bytes = b"\x7f\0\0\1") -> bytes | None:
        """The whole truth: the chain alone."""
        return await self.without.respond(packet, Client(address, 4000), self.clock())
