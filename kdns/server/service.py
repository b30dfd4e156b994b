"""Runs an Assembly: starts plugins, opens sockets, serves until told to stop, stops gracefully.

Order matters: plugins have their data before a socket opens, and sockets have answered everything
they accepted before plugins stop. A background task that ends with an error ends the server.
"""

import asyncio
import gc
import logging

from kdns.server.assembly import Assembly, Services
from kdns.server.crew import Crew, Runners
from kdns.server.pipeline import Pipeline
from kdns.server.router import Router
from kdns.server.sockets import open_pair
from kdns.server.stream import TcpListener
from kdns.server.table import AnswerTable
from kdns.server.udp import UdpListener, address_of

GRACE_S = 5.0
"""How long queries under way may take at stop (CoreDNS: 5 s)."""

log = logging.getLogger("kdns.server")


class Service:
    """One running server: an Assembly behind sockets."""

    def __init__(self, assembly: Assembly, services: Services) -> None:
        self.assembly = assembly
        self.services = services
        self.pipelines: list[Pipeline] = []
        self.addresses: list[tuple[str, int]] = []
        """Where it listens, real ports."""
        self._udp: list[UdpListener] = []
        self._tcp: list[TcpListener] = []
        self._runners = Runners(self._failed)
        self._crew = Crew(assembly, self._runners, self._failed)
        self._ended: asyncio.Future[None] | None = None

    async def start(self, *, listen: bool = True) -> None:
        """Returns when every socket is open; raises ConfigError or StartError."""
        self._ended = asyncio.get_running_loop().create_future()
        self.services.shared = self.assembly.shared
        self.services.life.plugins = tuple(self.assembly.plugins)
        try:
            await self._crew.start()
            gc.collect()
            gc.freeze()
            if listen:
                for (host, port), router in self.assembly.routers.items():
                    await self._listen(host, port, router)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> None:
        """Returns when `end` was called; raises what ended a background task."""
        assert self._ended is not None
        await self._ended

    def end(self) -> None:
        """Makes `wait` return; from now on the server is stopping."""
        self.services.life.is_stopping = True
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Answers what was accepted, then stops everything."""
        await asyncio.gather(
            *(udp.stop(grace_s) for udp in self._udp), *(tcp.stop(grace_s) for tcp in self._tcp)
        )
        await self._crew.stop()
        await self._runners.keep({})
        for pipeline in self.pipelines:
            pipeline.tell()
            if pipeline.table is not None:
                pipeline.table.clear()

    async def _listen(self, host: str, port: int, router: Router) -> None:
        datagram, stream = open_pair(host, port)
        clock = self.services.clock
        udp = UdpListener(datagram, self.pipeline(router, whole=False), clock)
        tcp = TcpListener(stream, self.pipeline(router, whole=True), clock)
        self._udp.append(udp)
        self._tcp.append(tcp)
        self.addresses.append((host, datagram.getsockname()[1]))
        udp.start()
        await tcp.start()

    def pipeline(self, router: Router, *, whole: bool) -> Pipeline:
        services = self.services
        """A pipeline with a table of its own; `stop` clears it."""
        table = AnswerTable(services.stamps, services.chance, address_of)
        pipeline = Pipeline(
            router,
            services.stamps,
            services.counters,
            services.clock,
            services.chance,
            table=table,
            whole=whole,
        )
        self.pipelines.append(pipeline)
        return pipeline

    def _failed(self, error: BaseException) -> None:
        log.error("a background task failed, the server ends", exc_info=error)
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)
