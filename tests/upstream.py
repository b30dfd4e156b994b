"""A scripted upstream on loopback sockets, UDP and TCP: it can delay, drop, lie, truncate, close.

The script is a function (plain or async) from what was Asked to what is sent: None drops, bytes
are one message, a list is several, CLOSE ends the TCP connection. To delay, await an event.
"""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.running import free_port

CLOSE = object()


@dataclass(frozen=True)
class Asked:
    """One query as it arrived."""

    wire: bytes
    transport: str
    peer: tuple[Any, ...]

    @property
    def message(self) -> dns.message.Message:
        return dns.message.from_wire(self.wire)

    @property
    def name(self) -> str:
        return self.message.question[0].name.to_text()


Script = Callable[[Asked], Any]


def reply(
    asked: Asked,
    *answer: str,
    rcode: str = "NOERROR",
    flags: str = "RA",
    authority: tuple[str, ...] = (),
    additional: tuple[str, ...] = (),
    options: tuple[Any, ...] | None = None,
    payload: int = 1232,
) -> dns.message.Message:
    """A reply to what was asked; records are "owner TTL CLASS TYPE rdata"."""
    query = asked.message
    out = dns.message.make_response(query)
    out.flags = dns.flags.from_text("QR " + flags) | (query.flags & dns.flags.RD)
    if options is not None:
        out.use_edns(0, payload=payload, options=list(options))
    out.set_rcode(dns.rcode.from_text(rcode))
    for section, lines in ((out.answer, answer), (out.authority, authority)):
        section.extend(_rrset(line) for line in lines)
    out.additional.extend(_rrset(line) for line in additional)
    return out


def wire(message: dns.message.Message) -> bytes:
    """The message as bytes, sections in the order they were given."""
    return message.to_wire(max_size=65535)


def _rrset(line: str) -> dns.rrset.RRset:
    owner, ttl, cls, type_, rdata = line.split(None, 4)
    return dns.rrset.from_text(owner, int(ttl), cls, type_, rdata)


def answers(*lines: str, **more: Any) -> Script:
    """The script that always gives this reply."""
    return lambda asked: wire(reply(asked, *lines, **more))


def drops(_: Asked) -> None:
    """The script of a server that never answers."""


def with_id(message: bytes, change: int = 1) -> bytes:
    """The message with another id."""
    id_ = (int.from_bytes(message[:2], "big") + change) & 0xFFFF
    return id_.to_bytes(2, "big") + message[2:]


class _Stream(asyncio.Protocol):
    """One TCP connection to the scripted upstream."""

    def __init__(self, server: "Upstream") -> None:
        self.server = server
        self.held = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.peer = transport.get_extra_info("peername")
        self.server.connections += 1
        self.server.streams.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.streams.discard(self)
        self.server.grew.set()

    def data_received(self, data: bytes) -> None:
        self.held += data
        while len(self.held) >= 2 and len(self.held) >= 2 + int.from_bytes(self.held[:2], "big"):
            end = 2 + int.from_bytes(self.held[:2], "big")
            asked, self.held = Asked(self.held[2:end], "tcp", self.peer), self.held[end:]
            self.server.run(asked, self.send)

    def send(self, message: Any) -> None:
        if message is CLOSE:
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write(len(message).to_bytes(2, "big") + message)


@dataclass
class Upstream(asyncio.DatagramProtocol):
    """`async with Upstream(script) as up:` listens on one port of 127.0.0.1 until the end."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    """TCP connections accepted so far."""
    streams: set[_Stream] = field(default_factory=set)

    async def __aenter__(self) -> "Upstream":
        self.grew = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self.port = free_port()
        self._tcp = await loop.create_server(lambda: _Stream(self), "127.0.0.1", self.port)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._udp.close()
        self._tcp.close()
        await asyncio.sleep(0)
        while self.streams:
            self.grew.clear()
            self.hang_up()
            await self.grew.wait()
        await asyncio.sleep(0)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def names(self) -> list[str]:
        """The names asked so far."""
        return [asked.name for asked in self.asked]

    def transports(self) -> list[str]:
        """The transports used so far."""
        return [asked.transport for asked in self.asked]

    async def received(self, count: int) -> None:
        """Waits until that many queries have arrived."""
        while len(self.asked) < count:
            self.grew.clear()
            await self.grew.wait()

    def hang_up(self) -> None:
        """Closes every TCP connection, as a restarting server does."""
        for stream in tuple(self.streams):
            stream.transport.abort()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        def send(message: Any) -> None:
            if message is not CLOSE:
                self._udp.sendto(message, addr)

        self.run(Asked(data, "udp", addr), send)

    def run(self, asked: Asked, send: Callable[[Any], None]) -> None:
        """Plays the script for one query."""
        self.asked.append(asked)
        self.grew.set()
        out = self.script(asked)
        if not inspect.isawaitable(out):
            _send(out, send)
            return

        async def later() -> None:
            _send(await out, send)

        task = asyncio.get_running_loop().create_task(later())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _send(out: Any, send: Callable[[Any], None]) -> None:
    for message in out if isinstance(out, list) else [out]:
        if message is not None:
            send(message)
