"""What a check is given: the target, verbs to ask it over real sockets, and to say what it expects.

Every question and reply is kept as evidence. Only a time-out is tried again, as a stub would.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from kdns.client.line import strerror
from kdns.conformance.clauses import Evidence, Failed
from kdns.conformance.packets import Edns, Reply, query, read
from kdns.conformance.target import Target
from kdns.wire import types

PATIENCE_S = 1.5
ATTEMPTS = 3
_LONGEST = 65535
_KEPT = 30
"""Exchanges kept as evidence, the last ones."""


class Connection:
    """A TCP connection to the server: bytes as given, messages as framed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, octets: bytes) -> None:
        """Writes these octets, whatever they are."""
        self._writer.write(octets)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """The next message."""
        try:
            async with asyncio.timeout(PATIENCE_S * 2):
                size = int.from_bytes(await self._reader.readexactly(2), "big")
                return await self._reader.readexactly(size)
        except TimeoutError:
            raise Failed("a message on the connection", "it went quiet") from None
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Failed("a message on the connection", f"it was closed ({_said(error)})") from None

    def finish(self) -> None:
        """Closes our side: nothing more will be asked."""
        self._writer.write_eof()

    async def is_closed(self, within_s: float) -> bool:
        """True when the server closes it within this time, sending nothing more."""
        try:
            async with asyncio.timeout(within_s):
                return not await self._reader.read(1)
        except TimeoutError:
            return False
        except OSError:
            return True


@dataclass(slots=True)
class Case:
    """One clause being tried."""

    target: Target
    evidence: list[Evidence] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    last: Reply | None = None

    async def ask(
        self,
        name: str | bytes,
        type_: str | int = "A",
        *,
        transport: str = "udp",
        flags: int = types.RD,
        opcode: int = types.QUERY,
        cls: int = types.IN,
        edns: Edns | None = None,
    ) -> Reply:
        """Asks and brings the reply; fails the clause when none comes."""
        packet = query(name, type_, flags=flags, opcode=opcode, cls=cls, edns=edns)
        return await self.exchange(packet, transport=transport)

    async def resolve(self, name: str, type_: str = "A") -> Reply:
        """Asks as a stub does: EDNS over UDP, and again over TCP what was truncated."""
        reply = await self.ask(name, type_, edns=Edns())
        if "tc" in reply.flags:
            return await self.ask(name, type_, transport="tcp", edns=Edns())
        return reply

    async def exchange(self, packet: bytes, *, transport: str = "udp") -> Reply:
        """Sends a packet as it is and reads the reply that has its id."""
        came = await self.send(packet, transport=transport)
        if came is None:
            raise Failed("a reply", f"none within {ATTEMPTS * PATIENCE_S:g} s over {transport}")
        self.last = reply = read(came[0], transport, came[1])
        return reply

    async def send(
        self, packet: bytes, *, transport: str = "udp", attempts: int = ATTEMPTS
    ) -> tuple[bytes, float] | None:
        """The raw reply and how long it took; None when there is none after some attempts."""
        once = self._over_tcp if transport == "tcp" else self._over_udp
        loop = asyncio.get_running_loop()
        for _ in range(attempts):
            began = loop.time()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    came = await once(packet)
            except TimeoutError:
                self._keep(packet, None, loop.time() - began, transport)
                continue
            except (OSError, asyncio.IncompleteReadError) as error:
                said = _said(error)
                self._keep(packet, None, loop.time() - began, f"{transport}, {said}")
                raise Failed(f"a reply over {transport}", said) from None
            took = loop.time() - began
            self._keep(packet, came, took, transport)
            return came, took
        return None

    async def is_silent(self, packet: bytes) -> bool:
        """True when a packet gets no reply, although the server answers what is sent behind it.

        The packet's id must not be one that a reply could have by chance: only its own counts.
        """
        loop = asyncio.get_running_loop()
        with self._socket() as sock:
            await loop.sock_sendall(sock, packet)
            for _ in range(3):
                await self.ask(self.target.zone, "SOA")
            try:
                async with asyncio.timeout(0.2):
                    came = await loop.sock_recv(sock, _LONGEST)
            except TimeoutError:
                self._keep(packet, None, 0.0, "udp")
                return True
            self._keep(packet, came, 0.0, "udp")
            return False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A TCP connection to the server."""
        try:
            async with asyncio.timeout(PATIENCE_S * 2):
                reader, writer = await asyncio.open_connection(self.target.host, self.target.port)
        except (OSError, TimeoutError) as error:
            raise Failed("a TCP connection", _said(error) or "none in time") from None
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                async with asyncio.timeout(PATIENCE_S):
                    await writer.wait_closed()  # else asyncio may report its break

    def expect(self, condition: object, expected: str, seen: object = None) -> None:
        """Fails the clause unless the condition holds; the last reply is what was seen."""
        if not condition:
            said = self.last if seen is None else seen
            raise Failed(expected, str(said))

    def note(self, text: str) -> None:
        """Keeps a figure for the report."""
        self.notes.append(text)

    async def _over_udp(self, packet: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with self._socket() as sock:
            await loop.sock_sendall(sock, packet)
            while True:
                came = await loop.sock_recv(sock, _LONGEST)
                if came[:2] == packet[:2]:
                    return came

    async def _over_tcp(self, packet: bytes) -> bytes:
        async with self.connection() as connection:
            await connection.send(len(packet).to_bytes(2, "big") + packet)
            return await connection.receive()

    def _socket(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.target.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            sock.connect((self.target.host, self.target.port))
        except OSError:
            sock.close()
            raise
        return sock

    def _keep(self, packet: bytes, came: bytes | None, took_s: float, transport: str) -> None:
        self.evidence.append(Evidence(packet, came, took_s, transport))
        del self.evidence[:-_KEPT]


def _said(error: OSError | asyncio.IncompleteReadError) -> str:
    return strerror(error) if isinstance(error, OSError) else str(error)
