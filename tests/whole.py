"""A server of a whole Corefile without sockets, with a table or without: asked as transports ask it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from kdns.cluster.cluster import Cluster
from kdns.cluster.store import Event
from kdns.plugins.base import Client
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.service import Service
from kdns.wire.names import format_address
from tests.fakes import Clock

WALL = 1_700_000_000.0


class Fixed(Random):
    """Chance that always falls on the same place, so that two servers rotate alike."""

    def random(self) -> float:
        return 0.4


class Whole:
    """The first listener of a Corefile; time stands until a test moves it."""

    def __init__(self, clock: Clock | None = None, *, has_table: bool = True) -> None:
        self.clock = clock or Clock()
        self.services = Services(chance=Fixed(1), clock=self.clock, wall=lambda: WALL)
        self.has_table = has_table
        self.service: Service
        self.pipeline: Pipeline

    async def start(self, corefile: str, folder: Path) -> None:
        """Serves this Corefile, in place of the one before."""
        errors: list = []
        assembly = build(corefile, str(folder / "Corefile"), self.services, errors)
        assert not errors, errors
        router = next(iter(assembly.routers.values()))
        if hasattr(self, "service"):
            await self.service.reload(assembly)
            return
        self.service = Service(assembly, self.services)
        await self.service.start(listen=False)
        self.pipeline = self.service.pipeline(router, whole=False)
        if not self.has_table:
            self.pipeline.table = None

    @property
    def clusters(self) -> list[Cluster]:
        return [one for one in self.services.shared.values() if isinstance(one, Cluster)]

    def happen(self, event: Event, at: float = WALL) -> None:
        """A change in the cluster."""
        for cluster in self.clusters:
            self.services.stamps.bump(cluster.store.apply(event, at).keys)

    async def ask(self, packet: bytes, address: bytes, port: int = 4000) -> bytes | None:
        """As a transport asks: the table first, then the chain."""
        now, host = self.clock(), format_address(address)
        peer = (host, port) if len(address) == 4 else (host, port, 0, 0)
        reply = self.pipeline.recall(packet, peer, now)
        if reply is None:
            client = Client(address, port, "udp", b"\x7f\0\0\1", 53)
            reply = await self.pipeline.respond(packet, client, now)
        return reply


@asynccontextmanager
async def whole(
    corefile: str, folder: Path, clock: Clock | None = None, *, has_table: bool = True
) -> AsyncIterator[Whole]:
    """A Whole from its start to its stop."""
    made = Whole(clock, has_table=has_table)
    try:
        await made.start(corefile, folder)
        yield made
    finally:
        if hasattr(made, "service"):
            await made.service.stop()
            await asyncio.sleep(0)
