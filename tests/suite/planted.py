"""A server that is right, and wrong in one way on demand: a right server behind an editing proxy.

The right one is kdns without sockets; the proxy answers for it over UDP and TCP on one loopback
port, and a Fault says what it does to replies, to datagrams and to connections.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import dns.message

from tests.running import free_port

HOST = "127.0.0.1"
Ask = Callable[[bytes, bool], Awaitable[bytes | None]]
"""The right server: a packet, and whether it came over TCP."""


@dataclass(frozen=True)
class Said:
    """A query, and the right reply to it."""

    query: bytes
    reply: bytes
    tcp: bool

    @cached_property
    def asked(self) -> dns.message.Message | None:
        """The query as dnspython reads it; None where it cannot."""
        return read(self.query)

    @cached_property
    def message(self) -> dns.message.Message | None:
        """The reply, one record per RRset; None where there is nothing to read."""
        return read(self.reply)

    @property
    def name(self) -> str:
        """The name asked for, as spelled, with its final dot; empty where there is none."""
        asked = self.asked
        return str(asked.question[0].name) if asked and asked.question else ""

    @property
    def type(self) -> int:
        """The type asked for; 0 where there is none."""
        asked = self.asked
        return int(asked.question[0].rdtype) if asked and asked.question else 0


def read(packet: bytes) -> dns.message.Message | None:
    """A message with each record by itself; None for what is none."""
    try:
        return dns.message.from_wire(packet, one_rr_per_rrset=True)
    except Exception:  # whatever it says of what clauses send on purpose
        return None


Edit = Callable[[Said], bytes | None]


@dataclass(frozen=True)
class Fault:
    """What a server does wrong, and the clause that must notice."""

    clause: str
    edit: Edit = lambda said: said.reply
    """The reply that goes out instead; None for none."""
    answers_silence: Callable[[bytes, bool], bytes | None] = lambda query, tcp: None
    """What is said where the right server says nothing."""
    closes_after: int = 0
    """TCP: hangs up after so many replies."""
    is_hasty: bool = False
    """TCP: takes each segment for whole messages, and forgets a part of one."""
    takes_one: bool = False
    """TCP: heeds only the first message of a segment."""
    has_tcp: bool = True
    other_port: bool = False
    """UDP: answers from another port than the one asked."""


RIGHT = Fault("none")


class Planted:
    """An async context manager that answers on `port`; `fault` may be changed at any time."""

    def __init__(self, ask: Ask, fault: Fault = RIGHT) -> None:
        self.ask = ask
        self.fault = fault
        self.port = free_port()
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams: set[_Stream] = set()

    async def __aenter__(self) -> "Planted":
        loop = asyncio.get_running_loop()
        self._tcp = await loop.create_server(lambda: _Stream(self), HOST, self.port)
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), (HOST, self.port)
        )
        self._elsewhere, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, (HOST, free_port())
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tcp.close()
        self._udp.close()
        self._elsewhere.close()
        for stream in tuple(self._streams):
            stream.transport.abort()
        await asyncio.sleep(0)

    async def reply(self, query: bytes, *, tcp: bool) -> bytes | None:
        """What this server says to a query."""
        right = await self.ask(query, tcp)
        if right is None:
            return self.fault.answers_silence(query, tcp)
        return self.fault.edit(Said(query, right, tcp))

    def spawn(self, work: Awaitable[None]) -> None:
        """Runs to its end, or to the server's."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def datagram(self, query: bytes, address: tuple[str, int]) -> None:
        """Answers one datagram."""
        reply = await self.reply(query, tcp=False)
        if reply is not None:
            (self._elsewhere if self.fault.other_port else self._udp).sendto(reply, address)

    def joined(self, stream: "_Stream") -> None:
        """Another connection."""
        self._streams.add(stream)

    def left(self, stream: "_Stream") -> None:
        """One connection less."""
        self._streams.discard(stream)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Planted) -> None:
        self.server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.server.spawn(self.server.datagram(data, addr))


class _Stream(asyncio.Protocol):
    """One TCP connection: replies leave in the order of the queries."""

    transport: asyncio.Transport

    def __init__(self, server: Planted) -> None:
        self.server = server
        self.held = b""
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.said = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.joined(self)
        if not self.server.fault.has_tcp:
            transport.abort()
            return
        self.server.spawn(self.serve())

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.left(self)
        self.queue.put_nowait(None)

    def data_received(self, data: bytes) -> None:
        self.held += data
        for query in self.messages():
            self.queue.put_nowait(query)

    def eof_received(self) -> bool:
        self.queue.put_nowait(None)
        return True

    def messages(self) -> Iterable[bytes]:
        """The whole messages that have come."""
        fault = self.server.fault
        while len(self.held) >= 2 and len(self.held) >= 2 + int.from_bytes(self.held[:2], "big"):
            end = 2 + int.from_bytes(self.held[:2], "big")
            query, self.held = self.held[2:end], self.held[end:]
            yield query
            if fault.takes_one:
                self.held = b""
        if fault.is_hasty:
            self.held = b""

    async def serve(self) -> None:
        """Answers until the asker is done."""
        while (query := await self.queue.get()) is not None:
            reply = await self.server.reply(query, tcp=True)
            if reply is None or self.transport.is_closing():
                continue
            self.transport.write(len(reply).to_bytes(2, "big") + reply)
            self.said += 1
            if self.said == self.server.fault.closes_after:
                break
        with contextlib.suppress(RuntimeError):
            self.transport.close()
