"""A Corefile becomes a running server that is asked without a socket, as its transports ask it."""

from collections.abc import Callable
from pathlib import Path

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import Client
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.service import Service
from kdns.wire import records
from tests.fakes import Clock

WALL = 1_700_000_000.0
"""The one second at which everything happens, so that serials and TTLs repeat."""


class Socketless:
    """An async context manager: plugins run from entry to exit, no socket opens."""

    def __init__(
        self,
        corefile: Path,
        text: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.services = Services(wall=lambda: WALL, clock=clock or Clock())
        errors: list[ConfigError] = []
        text = corefile.read_text() if text is None else text
        self.assembly = build(text, str(corefile), self.services, errors)
        assert not errors, "\n".join(map(str, errors))
        self._service = Service(self.assembly, self.services)
        self.pipelines: dict[bool, Pipeline] = {}
        """Of the first listener, by whether it is a stream."""

    async def __aenter__(self) -> "Socketless":
        await self._service.start(listen=False)
        router = next(iter(self.assembly.routers.values()))
        for whole in (False, True):
            self.pipelines[whole] = self._service.pipeline(router, whole=whole)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._service.stop()

    async def ask(
        self, packet: bytes, *, tcp: bool = False, client: str = "127.0.0.1"
    ) -> bytes | None:
        """The reply to a packet: what the table remembers, else what the chain says."""
        pipeline = self.pipelines[tcp]
        now = self.services.clock()
        reply = pipeline.recall(packet, (client, 40000), now)
        if reply is not None:
            return reply
        asker = Client(records.address(client), 40000, "tcp" if tcp else "udp", b"\x7f\0\0\1", 53)
        return await pipeline.respond(packet, asker, now)
