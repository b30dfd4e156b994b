"""One address of the Corefile: its sockets by what is spoken there, and a pipeline behind each.

The sockets stay while a reload puts other server blocks behind them. What those blocks remember is
dropped then: answers of the old ones are no longer right, and their Forks would pile up.
"""

import asyncio
import socket
from collections.abc import Collection
from functools import partial
from importlib import import_module
from typing import Any, Protocol

from kdns.plugins.base import Client
from kdns.plugins.tls import GRPC, WEB
from kdns.server.assembly import Services
from kdns.server.peers import address_of
from kdns.server.pipeline import Pipeline
from kdns.server.places import DATAGRAMS, PLAIN, PROXIED, Place
from kdns.server.router import Router
from kdns.server.sockets import open_datagram, open_pair, open_stream
from kdns.server.streams.accepting import StreamListener
from kdns.server.streams.stream import TcpListener
from kdns.server.table import AnswerTable
from kdns.server.terms import Terms
from kdns.server.udp.proxies import ProxiedUdpListener
from kdns.server.udp.udp import UdpListener
from kdns.server.web.web import Web
from kdns.server.web.webservices import Doh, Grpc


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


class Part(Protocol):
    """One socket of a listener."""

    sock: socket.socket
    terms: Terms

    @property
    def heard_at(self) -> float:
        """When a query was last read."""

    async def start(self) -> None:
        """Begins to read."""

    async def stop(self, grace_s: float) -> None:
        """Answers what was accepted, then closes."""


class Listener:
    """Open from its making; reads once `start` was called."""

    def __init__(
        self,
        place: Place,
        router: Router,
        services: Services,
        terms: Terms,
        ours: Collection[int] = (),
    ) -> None:
        self.host = place.host
        self.pipelines: tuple[Pipeline, ...] = ()
        self._parts = self._opened(place, router, services, terms, ours)
        self.port: int = self._parts[0].sock.getsockname()[1]
        """The real one, where the Corefile says 0."""
        self._has_started = False

    def _opened(
        self,
        place: Place,
        router: Router,
        services: Services,
        terms: Terms,
        ours: Collection[int],
    ) -> tuple[Part, ...]:
        """What is spoken there, on sockets of its own."""
        scheme, host, port = place
        clock = services.clock
        pipeline = partial(self._pipeline, router, services)
        if scheme in {PLAIN, PROXIED}:
            datagram, stream = open_pair(host, port, ours)
            udp = pipeline("udp", datagram)
            tcp = TcpListener(stream, pipeline("tcp", stream), clock, terms=terms)
            if terms.trust is not None:
                return ProxiedUdpListener(datagram, udp, clock, terms), tcp
            return Datagrams(UdpListener(datagram, udp, clock), terms), tcp
        if scheme in DATAGRAMS:
            sock = open_datagram(host, port, ours)
            module: Any = import_module("kdns.server.web.quic")  # Any: there only with kdns[quic]
            return (module.QuicListener(sock, pipeline(scheme, sock), clock, terms),)
        sock = open_stream(host, port, ours)
        if scheme == "tls":
            return (
                TcpListener(sock, pipeline(scheme, sock), clock, transport=scheme, terms=terms),
            )
        service = Grpc() if scheme == "grpc" else Doh("https")
        web = StreamListener(
            sock,
            pipeline(scheme, sock),
            clock,
            lambda listener: Web(listener, service),
            transport=scheme,
            offers=GRPC if scheme == "grpc" else WEB,
            terms=terms,
        )
        return (web,)

    def _pipeline(
        self, router: Router, services: Services, transport: str, sock: socket.socket
    ) -> Pipeline:
        pipeline = new_pipeline(router, services, whole=transport != "udp")
        local: tuple[Any, ...] = sock.getsockname()  # Any: as the socket module has it
        pipeline.stands_at(Client(b"", 0, transport, address_of(local), local[1]))
        self.pipelines += (pipeline,)
        return pipeline

    @property
    def heard_at(self) -> float:
        """When a query last came in."""
        return max(part.heard_at for part in self._parts)

    async def start(self) -> None:
        """Begins to read and to accept, the first time."""
        if not self._has_started:
            self._has_started = True
            for part in reversed(self._parts):
                await part.start()

    def serve(self, router: Router, terms: Terms) -> None:
        """Puts other server blocks behind the sockets, and keeps to other terms."""
        for pipeline in self.pipelines:
            if pipeline.router is not router:
                pipeline.replace(router)
        for part in self._parts:
            part.terms = terms

    async def stop(self, grace_s: float) -> None:
        """Answers what was accepted, then closes."""
        if self._has_started:
            await asyncio.gather(*(part.stop(grace_s) for part in self._parts))
        else:
            for part in self._parts:
                part.sock.close()
        for pipeline in self.pipelines:
            await pipeline.end()


class Datagrams:
    """A UDP socket for plain DNS, which has no terms to keep to."""

    def __init__(self, listener: UdpListener, terms: Terms) -> None:
        self.listener = listener
        self.sock = listener.sock
        self.terms = terms

    @property
    def heard_at(self) -> float:
        """When packets were last read."""
        return self.listener.heard_at

    async def start(self) -> None:
        """Begins to read."""
        self.listener.start()

    async def stop(self, grace_s: float) -> None:
        """Answers what was accepted, then closes."""
        await self.listener.stop(grace_s)
