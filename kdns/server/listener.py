"""One address of the Corefile: its UDP and TCP sockets, and a pipeline for each.

The sockets stay while a reload puts other server blocks behind them. What those blocks remember is
dropped then: answers of the old ones are no longer right, and their Forks would pile up.
"""

import asyncio
from collections.abc import Collection

from kdns.plugins.base import Client
from kdns.server.assembly import Services
from kdns.server.peers import address_of
from kdns.server.pipeline import Pipeline
from kdns.server.router import Router
from kdns.server.sockets import open_pair
from kdns.server.stream import TcpListener
from kdns.server.table import AnswerTable
from kdns.server.udp import UdpListener


def new_pipeline(router: Router, services: Services, *, whole: bool) -> Pipeline:
    """A pipeline with a table of its own."""
    return Pipeline(
        router,
        services.stamps,
        services.counters,
        services.clock,
        services.chance,
        table=AnswerTable(services.stamps, services.chance, address_of, whole=whole),
        whole=whole,
    )


class Listener:
    """Open from its making; reads once `start` was called."""

    def __init__(
        self, host: str, port: int, router: Router, services: Services, ours: Collection[int] = ()
    ) -> None:
        datagram, stream = open_pair(host, port, ours)
        self.host = host
        self.port: int = datagram.getsockname()[1]
        """The real one, where the Corefile says 0."""
        self.pipelines = tuple(
            new_pipeline(router, services, whole=whole) for whole in (False, True)
        )
        local = address_of(datagram.getsockname())
        for pipeline, transport in zip(self.pipelines, ("udp", "tcp"), strict=True):
            pipeline.stands_at(Client(b"", 0, transport, local, self.port))
        self._udp = UdpListener(datagram, self.pipelines[0], services.clock)
        self._tcp = TcpListener(stream, self.pipelines[1], services.clock)
        self._has_started = False

    @property
    def heard_at(self) -> float:
        """When a query last came in."""
        return max(self._udp.heard_at, self._tcp.heard_at)

    async def start(self) -> None:
        """Begins to read and to accept, the first time."""
        if not self._has_started:
            self._has_started = True
            await self._tcp.start()
            self._udp.start()

    def serve(self, router: Router) -> None:
        """Puts other server blocks behind the sockets."""
        for pipeline in self.pipelines:
            if pipeline.router is not router:
                pipeline.replace(router)

    async def stop(self, grace_s: float) -> None:
        """Answers what was accepted, then closes."""
        if self._has_started:
            await asyncio.gather(self._udp.stop(grace_s), self._tcp.stop(grace_s))
        else:
            self._udp.sock.close()
            self._tcp.sock.close()
        for pipeline in self.pipelines:
            await pipeline.end()
