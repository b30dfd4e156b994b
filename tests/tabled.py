"""A Corefile served without sockets, by a real Pipeline with an answer table, and asked twice.

`ask` goes the way of a transport: the table first, then the chain. The clock stands still.
"""

from contextlib import asynccontextmanager
from random import Random

import dns.edns
import dns.flags
import dns.message
import dns.rdataclass

from kdns.observe.counters import Counters
from kdns.plugins.base import Client
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import records
from tests.fakes import Clock, at_work


class Served:
    """One listener of a Corefile."""

    def __init__(self, corefile: str, *, whole: bool = False, path: str = "Corefile") -> None:
        self.clock = Clock()
        self.services = Services(clock=self.clock, wall=self.clock, chance=Random(1))
        self.errors: list[Exception] = []
        self.assembly = build(corefile, path, self.services, self.errors)
        assert not self.errors, self.errors
        [router] = self.assembly.routers.values()
        stamps, counters = self.services.stamps, self.services.counters
        self.table = AnswerTable(stamps, Random(1), lambda peer: peer, whole=whole)
        self.pipeline = Pipeline(
            router, stamps, counters, self.clock, Random(1), table=self.table, whole=whole
        )
        self.plugins = self.assembly.plugins
        self.transport = "tcp" if whole else "udp"

    @property
    def counters(self) -> Counters:
        return self.services.counters

    async def wire(self, packet: bytes, address: str = "127.0.0.1") -> bytes | None:
        who = Client(records.address(address), 40000, self.transport, b"\x7f\0\0\1", 53)
        reply = self.pipeline.recall(packet, who.address, self.clock())
        if reply is None:
            return await self.pipeline.respond(packet, who, self.clock())
        if self.pipeline.router.wants_each:
            self.pipeline.recalled(packet, who.address, who, reply, self.clock())
        return reply

    async def ask(self, name: str, type_: str = "A", address: str = "127.0.0.1", **how: object):
        """The reply as dnspython reads it; None when there is none."""
        reply = await self.wire(query(name, type_, **how), address)
        return None if reply is None else dns.message.from_wire(reply)

    async def is_remembered(self, name: str, type_: str = "A", **how: object) -> bool:
        """True when the table soon answers equal packets by itself."""
        packet = query(name, type_, **how)
        for _ in range(8):
            if self.pipeline.recall(packet, b"\x7f\0\0\1", self.clock()) is not None:
                return True
            await self.wire(packet)
        return False


@asynccontextmanager
async def served(corefile: str, **how: object):
    """The same with its plugins at work."""
    one = Served(corefile, **how)
    async with at_work(one.plugins, one.assembly.shared):
        yield one


def query(
    name: str, type_: str = "A", *, cls: str = "IN", flags: int | None = None,
    size: int = 0, do: bool = False, options: tuple[tuple[int, bytes], ...] = (),
) -> bytes:  # fmt: skip
    """A packet; with EDNS where it says a size."""
    asked = dns.message.make_query(name, type_, rdclass=dns.rdataclass.from_text(cls), id=7)
    if flags is not None:
        asked.flags = dns.flags.Flag(flags)
    if size or do or options:
        given = [dns.edns.GenericOption(code, value) for code, value in options]
        asked.use_edns(0, dns.flags.DO if do else 0, payload=size or 1232, options=given)
    return asked.to_wire()
