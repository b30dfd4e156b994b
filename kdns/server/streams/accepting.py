"""A listening TCP socket and its connections, whatever is spoken on them.

Bounds: connections, and seconds for what is waited for. Time is kept by one sweep a second over all
connections, never by a timer each. At the bound a client with most connections gives up one.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Protocol

from kdns.server.pipeline import Pipeline
from kdns.server.sockets import BACKLOG
from kdns.server.streams.crowded import surplus
from kdns.server.streams.named import Prefaced
from kdns.server.streams.secured import Secured
from kdns.server.streams.turns import Turns
from kdns.server.terms import Terms

LAST_TURNS = 8
"""Turns the loop makes then in any case: that time may have passed while the machine did others'
work, and from accepting to reading a loop needs some turns."""
MAX_UNDERWAY = 10_000
"""Queries of all connections under way; beyond it, connections are not read."""
PART = 64
"""Of so many connections one to give up is found at once."""
LAST_READ_S = 0.02
"""How long connections are still read at the stop: what lies in the kernel reaches us by then."""


class Spoken(Protocol):
    """What a listener knows of a connection: a protocol, at any stage of it."""

    transport: asyncio.Transport
    underway: int
    """Queries that are not answered yet."""
    waits_since: float

    @property
    def is_idle(self) -> bool:
        """Nothing has begun that is to be over soon."""

    def close(self) -> None:
        """Takes no more queries; closes when all that were taken are answered."""

    def settle(self) -> None:
        """Goes on where there is room again."""


class StreamListener:
    """One listening TCP socket and its connections."""

    def __init__(
        self,
        sock: socket.socket,
        pipeline: Pipeline,
        clock: Callable[[], float],
        make: Callable[["StreamListener"], asyncio.Protocol],
        *,
        transport: str = "tcp",
        offers: tuple[str, ...] = (),
        terms: Terms | None = None,
    ) -> None:
        self.sock = sock
        self.pipeline = pipeline
        self.clock = clock
        self.transport = transport
        """What its clients came by, as Client has it."""
        self.terms = terms or Terms()
        self.is_wide = sock.family == socket.AF_INET6
        """Clients may come over IPv6."""
        self.connections: OrderedDict[Spoken, None] = OrderedDict()
        """By how long they have been waited for, the longest first."""
        self._surplus: list[Spoken] = []
        """Connections to give up next, the last one first."""
        self.heard_at = float("-inf")
        """When a message was last read."""
        self.underway = 0
        """Queries of all connections that are not answered yet."""
        self.held: dict[Spoken, None] = {}
        """Connections that are not read until there are fewer of these."""
        self.shaking: dict[Secured, None] = {}
        """Those that are in the middle of a TLS handshake."""
        self.turns = Turns()
        self.pouring: set[asyncio.Task[None]] = set()
        """Replies of many messages that are being sent."""
        self._make = partial(make, self)
        self._offers = offers
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    def _protocol(self) -> asyncio.Protocol:
        """What a new connection begins with, by the terms of this moment."""
        terms = self.terms
        make: Callable[[], asyncio.Protocol] = self._make
        if terms.keyring is not None:
            make = partial(Secured, self, terms.keyring.context(self._offers), self._make)
        return Prefaced(self, terms.trust, make) if terms.trust is not None else make()

    async def start(self) -> None:
        """Begins to accept."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=self.sock)
        self.sock.listen(BACKLOG)  # the loop has set it to the accepts it does at a time
        self._sweeper = loop.call_later(1, self._sweep)

    async def stop(self, grace_s: float) -> None:
        """Stops accepting, answers what is under way, closes every connection.

        A client whose connection was made, but not yet accepted, would find it reset: those are
        taken in first. They, and whoever has just sent a query, are read once more.
        """
        if self._server is not None:
            await self._accept_waiting(self._server)
            self._server.close()
            for _ in range(LAST_TURNS):  # uvloop has accepted all the while
                await asyncio.sleep(0)
        for connection in list(self.connections):
            connection.close()
        if self.connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._emptied], timeout=grace_s)
        for connection in list(self.connections):
            connection.transport.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _accept_waiting(self, server: asyncio.Server) -> None:
        await self._take_in()
        await asyncio.sleep(LAST_READ_S)
        for sock in server.sockets:  # what asyncio accepts of a server that closes is lost
            asyncio.get_running_loop().remove_reader(sock.fileno())
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0)
        await self._take_in()

    async def _take_in(self) -> None:
        """Accepts whoever waits for that."""
        for _ in range(BACKLOG):
            try:
                sock, _ = self.sock.accept()
            except OSError:
                break
            sock.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, sock)

    def add(self, connection: Spoken) -> None:
        """Takes a connection in; at the bound another one makes room."""
        if len(self.connections) >= self.terms.max_connections:
            excess = self._excess()
            self.pipeline.counters.add("kdns_connections_closed_total", "bound")
            excess.transport.abort()
            self.drop(excess)
        self.connections[connection] = None

    def _excess(self) -> Spoken:
        """The connection to give up: one of the client that has most of them."""
        while True:
            if not self._surplus:
                self._surplus = surplus(self.connections, len(self.connections) // PART + 1)[::-1]
            found = self._surplus.pop()
            if found in self.connections:
                return found

    def answered(self) -> None:
        """A query is answered: those that waited for room go on."""
        self.underway -= 1
        if self.held and self.underway <= MAX_UNDERWAY // 2:
            held, self.held = self.held, {}
            for connection in held:
                asyncio.get_running_loop().call_soon(connection.settle)

    def renew(self, connection: Spoken) -> None:
        """Notes that waiting for this one begins anew."""
        if connection in self.connections:
            self.connections.move_to_end(connection)

    def drop(self, connection: Spoken) -> None:
        """Forgets a connection that was lost."""
        self.connections.pop(connection, None)
        self.held.pop(connection, None)
        if not self.connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _sweep(self) -> None:
        """Closes what has been waited for too long."""
        now = self.clock()
        idle_s, read_s = self.terms.idle_s, self.terms.read_s
        for connection in list(self.connections):
            if connection.underway:
                continue
            allowed = idle_s if connection.is_idle else read_s
            if now - connection.waits_since >= allowed:
                self.pipeline.counters.add("kdns_connections_closed_total", "time")
                if connection.transport.is_closing():
                    connection.transport.abort()  # it reads nothing: a close would wait for ever
                connection.transport.close()
        self._sweeper = asyncio.get_running_loop().call_later(1, self._sweep)
