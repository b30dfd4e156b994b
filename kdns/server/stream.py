"""TCP bytes become replies: length-prefixed messages, pipelined, answered as they are ready.

RFC 7766: a connection carries many queries, replies may overtake each other, an idle one is closed.
Bounds: connections, queries under way on each, seconds for a whole message. Time is kept by one
sweep a second over all connections, never by a timer each.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

from kdns.plugins.base import Client
from kdns.server.drive import drive
from kdns.server.pipeline import Pipeline
from kdns.server.sockets import BACKLOG
from kdns.server.udp import Peer, address_of

MAX_CONNECTIONS = 4096
MAX_UNDERWAY = 128
"""Queries under way on one connection; beyond it, its bytes stay in the kernel."""
READ_S = 3.0
"""A message begun must be whole by then; so must the first one of a connection (CoreDNS: 3 s)."""
IDLE_S = 10.0
LAST_READ_S = 0.02
"""How long connections are still read at the stop: what lies in the kernel reaches us by then."""


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, listener: "TcpListener") -> None:
        self.listener = listener
        self.pipeline = listener.pipeline
        self.underway = 0
        self.waits_since = listener.clock()
        """When the message that is being waited for began, or the connection fell idle."""
        self.is_idle = False
        self.is_closing = False
        self._buffer = b""
        self._is_full = False
        self._is_paused = False
        """Reading is held; there may be whole messages in the buffer."""
        self._is_in_batch = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer: Peer = transport.get_extra_info("peername")
        local: Peer = transport.get_extra_info("sockname")
        if not self.peer or not local:  # reset before we came to it
            self.transport.abort()
            return
        self.client = Client(
            address_of(self.peer), self.peer[1], "tcp", address_of(local), local[1]
        )
        self.listener.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closing = True
        self.listener.drop(self)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        self._read()

    def eof_received(self) -> bool:
        """The client says no more; what was asked is still answered (RFC 7766 §6.2.4)."""
        self.is_closing = True
        self._settle()
        return True

    def pause_writing(self) -> None:
        self._is_full = True
        self._hold()

    def resume_writing(self) -> None:
        self._is_full = False
        # Not at once: a transport that is closed from within this call is lost twice.
        asyncio.get_running_loop().call_soon(self._settle)

    def close(self) -> None:
        """Takes no more queries; closes when all that were taken are answered."""
        self.is_closing = True
        self._settle()

    def _read(self) -> None:
        """Answers every whole message in the buffer."""
        buffer, at = self._buffer, 0
        now = self.listener.clock()
        pipeline = self.pipeline
        observed = pipeline.router.is_observed
        self._is_in_batch = True
        while not self._is_full and self.underway < MAX_UNDERWAY and len(buffer) - at >= 2:
            end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
            if end > len(buffer):
                break
            packet = buffer[at + 2 : end]
            at = end
            reply = pipeline.recall(packet, self.peer, now)
            if reply is None:
                self.underway += 1
                drive(pipeline.respond(packet, self.client, now), self._answered)
                continue
            if observed:
                pipeline.recalled(packet, self.peer, self.client, reply, now)
            self._write(reply)
        self._is_in_batch = False
        self._buffer = buffer[at:]
        if at or self.is_idle:
            self.waits_since = now
        self.is_idle = not self._buffer
        if at:
            self.listener.heard_at = now
        pipeline.tell()
        if self.underway >= MAX_UNDERWAY or self._is_full:
            self._hold()

    def _answered(self, reply: bytes | None) -> None:
        self.underway -= 1
        if reply is not None:
            self._write(reply)
        if self._is_paused or self.is_closing:
            self._settle()
        elif self.underway == 0:
            self.waits_since = self.listener.clock()
            self.pipeline.tell()

    def _write(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(len(reply).to_bytes(2, "big") + reply)

    def _hold(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def _settle(self) -> None:
        """Goes on where there is room again; closes when nothing is left to say."""
        has_room = not self._is_full and self.underway < MAX_UNDERWAY // 2
        if self._is_paused and has_room and not self.transport.is_closing():
            self._is_paused = False
            self._read()
            if not self._is_paused and not self.transport.is_closing():
                self.transport.resume_reading()
        if self.is_closing and not (self.underway or self._is_paused or self._is_in_batch):
            self.pipeline.tell()
            self.transport.close()


class TcpListener:
    """One listening TCP socket and its connections."""

    def __init__(self, sock: socket.socket, pipeline: Pipeline, clock: Callable[[], float]) -> None:
        self.sock = sock
        self.pipeline = pipeline
        self.clock = clock
        self.connections: dict[Connection, None] = {}
        self.heard_at = float("-inf")
        """When a message was last read."""
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Begins to accept."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(partial(Connection, self), sock=self.sock)
        self.sock.listen(BACKLOG)  # the loop has set it to the accepts it does at a time
        self._sweeper = loop.call_later(1, self._sweep)

    async def stop(self, grace_s: float) -> None:
        """Stops accepting, answers what is under way, closes every connection.

        A client whose connection was made, but not yet accepted, would find it reset: those are
        taken in first. They, and whoever has just sent a query, are read once more.
        """
        if self._server is not None:
            await self._accept_waiting()
            self._server.close()
        for connection in list(self.connections):
            connection.close()
        if self.connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._emptied], timeout=grace_s)
        for connection in list(self.connections):
            connection.transport.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _accept_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(BACKLOG):
            try:
                sock, _ = self.sock.accept()
            except OSError:
                break
            sock.setblocking(False)
            await loop.connect_accepted_socket(partial(Connection, self), sock)
        await asyncio.sleep(LAST_READ_S)

    def add(self, connection: Connection) -> None:
        """Takes a connection in; at the bound the one that has waited longest makes room."""
        if len(self.connections) >= MAX_CONNECTIONS:
            oldest = min(self.connections, key=lambda c: (c.underway > 0, c.waits_since))
            self.pipeline.counters.add("kdns_connections_closed_total", "bound")
            oldest.transport.abort()
            self.drop(oldest)
        self.connections[connection] = None

    def drop(self, connection: Connection) -> None:
        """Forgets a connection that was lost."""
        self.connections.pop(connection, None)
        if not self.connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _sweep(self) -> None:
        """Closes what has been waited for too long."""
        now = self.clock()
        for connection in list(self.connections):
            if connection.underway:
                continue
            allowed = IDLE_S if connection.is_idle else READ_S
            if now - connection.waits_since >= allowed:
                self.pipeline.counters.add("kdns_connections_closed_total", "time")
                if connection.transport.is_closing():
                    connection.transport.abort()  # it reads nothing: a close would wait for ever
                connection.transport.close()
        self._sweeper = asyncio.get_running_loop().call_later(1, self._sweep)
