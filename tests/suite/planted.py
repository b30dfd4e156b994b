"""A server that is right, and wrong in one way on demand: a right server behind an editing proxy.

The right one is kdns without sockets; the proxy answers for it over UDP and TCP on one loopback
port, and a Fault says what it does to replies, to datagrams and to connections.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import dns.message

from kdns.conformance.target import Target
from kdns.plugins.base import Client
from tests.running import free_port
from tests.serving import Serving

HOST = "127.0.0.1"
TIME_TO_CLOSE_S = 0.05
"""How long a server dawdles that forgets its queries when the asker closes."""
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

    @property
    def message(self) -> dns.message.Message | None:
        """The reply, one record per RRset, each time anew; None where there is nothing to read."""
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
Rewrite = Callable[[bytes, bool], tuple[bytes, bool]]


@dataclass(frozen=True)
class Fault:
    """What a server does wrong, and the clause that must notice."""

    clause: str
    edit: Edit = lambda said: said.reply
    """The reply that goes out instead; None for none."""
    answers_silence: Callable[[bytes, bool], bytes | None] = lambda query, tcp: None
    """What is said where the right server says nothing."""
    rewrite: Rewrite = lambda query, tcp: (query, tcp)
    """What the right server is asked instead."""
    elsewhere: Callable[[Said], bool] = lambda said: False
    """UDP: which replies come from another port than the one asked."""
    closes_after: int = 0
    """TCP: hangs up after so many replies."""
    closes_at_next: bool = False
    """TCP: hangs up when a query comes after an answer has left."""
    closes_at_error: bool = False
    """TCP: hangs up after a FORMERR."""
    drops_at_end: bool = False
    """TCP: forgets what it was asked when the asker closes his side."""
    idle_s: float = 0.0
    """TCP: hangs up after being quiet for so long."""
    is_hasty: bool = False
    """TCP: takes each segment for whole messages, and forgets a part of one."""
    takes_one: bool = False
    """TCP: heeds only the first message of a segment."""
    hangs_up: Callable[[Said], bool] = lambda said: False
    """TCP: instead of which replies the connection is closed."""

    def shows(self, exchange: "Exchange") -> bool:
        """True when something else is said than the right server does, or in another way."""
        query, tcp, said = exchange
        if self.rewrite(query, tcp) != (query, tcp):
            return True
        if said is None:
            return self.answers_silence(query, tcp) is not None
        if tcp and (self.is_of_streams or self.hangs_up(said)):
            return True
        return self.edit(said) != said.reply or self.elsewhere(said)

    @property
    def is_of_streams(self) -> bool:
        """True when connections are what it spoils."""
        closing = self.closes_after or self.closes_at_next or self.closes_at_error or self.idle_s
        return bool(closing or self.drops_at_end or self.is_hasty or self.takes_one)


RIGHT = Fault("none")
Exchange = tuple[bytes, bool, Said | None]
"""A query, whether it came over TCP, and the right reply."""


class Planted:
    """An async context manager that answers on `port`; `fault` may be changed at any time."""

    def __init__(self, ask: Ask, fault: Fault = RIGHT) -> None:
        self.ask = ask
        self.fault = fault
        self.heard: list[Exchange] = []
        """What was asked, and the right replies."""
        self.errors: list[BaseException] = []
        """What went wrong with the faults themselves: there must be none."""
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

    def seen_by(self, target: Target) -> Target:
        """The target with us as its server."""
        return replace(target, host=HOST, port=self.port)

    async def right(self, query: bytes, *, tcp: bool) -> Said | None:
        """What the right server says to a query, or to what we take it for."""
        reply = await self.ask(*self.fault.rewrite(query, tcp))
        said = None if reply is None else Said(query, reply, tcp)
        self.heard.append((query, tcp, said))
        return said

    def wrong(self, query: bytes, said: Said | None, *, tcp: bool) -> bytes | None:
        """What we say."""
        if said is None:
            return self.fault.answers_silence(query, tcp)
        return self.fault.edit(said)

    def spawn(self, work: Awaitable[None]) -> None:
        """Runs to its end, or to the server's."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.errors.append(error)

    async def datagram(self, query: bytes, address: tuple[str, int]) -> None:
        """Answers one datagram."""
        said = await self.right(query, tcp=False)
        reply = self.wrong(query, said, tcp=False)
        if reply is None:
            return
        is_elsewhere = said is not None and self.fault.elsewhere(said)
        (self._elsewhere if is_elsewhere else self._udp).sendto(reply, address)

    def joined(self, stream: "_Stream") -> None:
        """Another connection."""
        self._streams.add(stream)

    def left(self, stream: "_Stream") -> None:
        """One connection less."""
        self._streams.discard(stream)


@asynccontextmanager
async def asking(serving: Serving, fault: Fault) -> AsyncIterator[Planted]:
    """A Planted before a kdns of this process."""
    [router] = serving.service.assembly.routers.values()
    pipelines = {tcp: serving.service.pipeline(router, whole=tcp) for tcp in (False, True)}

    async def ask(packet: bytes, tcp: bool) -> bytes | None:
        client = Client(b"\x7f\0\0\1", 0, "tcp" if tcp else "udp", b"\x7f\0\0\1", 53)
        return await pipelines[tcp].respond(packet, client, serving.services.clock())

    async with Planted(ask, fault) as server:
        yield server


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
        self.has_answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.joined(self)
        self.server.spawn(self.serve())

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.left(self)
        self.queue.put_nowait(None)

    def data_received(self, data: bytes) -> None:
        if self.has_answered and self.server.fault.closes_at_next:
            self.transport.close()
        self.held += data
        for query in self.messages():
            self.queue.put_nowait(query)

    def hang_up_if(self, said: int) -> None:
        """Closes when nothing was said since."""
        if self.said == said:
            self.transport.close()

    def eof_received(self) -> bool:
        if self.server.fault.drops_at_end:
            self.transport.abort()
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
        fault = self.server.fault
        while (query := await self.queue.get()) is not None:
            said = await self.server.right(query, tcp=True)
            reply = self.server.wrong(query, said, tcp=True)
            if fault.drops_at_end:
                await asyncio.sleep(0 if self.said else TIME_TO_CLOSE_S)
            if said is not None and fault.hangs_up(said):
                break
            if reply is None or self.transport.is_closing():
                continue
            self.transport.write(len(reply).to_bytes(2, "big") + reply)
            self.said += 1
            self.has_answered = self.has_answered or reply[3] & 0xF != 1
            if self.said == fault.closes_after or (fault.closes_at_error and reply[3] & 0xF == 1):
                break
            if fault.idle_s:
                asyncio.get_running_loop().call_later(fault.idle_s, self.hang_up_if, self.said)
        with contextlib.suppress(RuntimeError):
            self.transport.close()
