"""Accepts connections, says which pod answered in the words of what it plays, and closes politely.

Which protocol is spoken is told by the image, else by the port.
"""

import asyncio
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from itertools import count

from kdns.lab.ground.base import Listener
from kdns.lab.kubelet.programs import banners, images
from kdns.lab.kubelet.programs.base import Exit, Role
from kdns.lab.kubelet.programs.serving import Peer, Serve, Serving

IDLE_S = 30.0
"""For what a client has to say."""
PATIENCE_S = 1.0
"""For a client that speaks first, where most do; nc says nothing."""
_MOST = 8 * 1024
_WORDS = 64
_KINDS = {
    "mysql": "mysql", "mysql-server": "mysql", "mariadb": "mysql", "percona": "mysql",
    "postgres": "postgres", "postgresql": "postgres", "redis": "redis", "valkey": "redis",
}  # fmt: skip
_BY_PORT = {3306: "mysql", 5432: "postgres", 6379: "redis"}


class Greeter:
    """The greeter of one container."""

    def __init__(self, role: Role, ports: Sequence[int]) -> None:
        self._role = role
        self._ports = ports
        self._serving = Serving(role)
        self._count = count(1)

    def start(self, ended: Callable[[Exit], None]) -> None:
        """Listens on its ports; raises OSError."""
        del ended  # it serves until it is stopped
        for port in self._ports:
            self._serving.tcp(port, self._served(port))

    def terminate(self) -> None:
        """Goes on, so that connections can come to their end."""

    def stop(self) -> None:
        """Ends all connections."""
        self._serving.close()

    def _served(self, port: int) -> Serve:
        name = images.name_of(str(self._role.container.get("image", "")))
        kind = _KINDS.get(name) or _BY_PORT.get(port, "")
        speak = {"mysql": self._mysql, "postgres": self._postgres, "redis": self._redis}.get(kind)

        async def serve(reader: StreamReader, writer: StreamWriter, peer: str) -> None:
            self._role.record.write(f"{peer} connected to port {port}")
            async with asyncio.timeout(IDLE_S):
                if speak:
                    await speak(reader, writer, peer)
                else:
                    await self._line(reader, writer, name, port)

        return serve

    def _said(self) -> str:
        role = self._role
        address = next(iter(role.addresses), "")
        return f"pod {role.name} ({address}) of the lab has answered; nothing is stored here"

    async def _line(self, reader: StreamReader, writer: StreamWriter, name: str, port: int) -> None:
        """A greeting, and an answer to the first thing said."""
        address = next(iter(self._role.addresses), "")
        writer.write(banners.line(f"Hello from {self._role.name} ({address}): {name} on {port}"))
        await writer.drain()
        await _first(reader)

    async def _mysql(self, reader: StreamReader, writer: StreamWriter, peer: str) -> None:
        writer.write(banners.mysql_greeting(next(self._count)))
        await writer.drain()
        login = await _first(reader)
        user = (
            login[36:].partition(b"\0")[0].decode(errors="replace")[:32] if len(login) > 36 else ""
        )
        said = f"Access denied for user '{user}'@'{peer}': {self._said()}"
        writer.write(banners.mysql_refusal(said, login[3] + 1 if len(login) > 3 else 2))

    async def _postgres(self, reader: StreamReader, writer: StreamWriter, peer: str) -> None:
        del peer
        first = await _first(reader)
        while len(first) >= 8 and struct.unpack_from(">I", first, 4)[0] in banners.TLS_REQUESTS:
            writer.write(b"N")
            first = await _first(reader)
        is_binary = first[:1] == b"\0"
        said = self._said()
        writer.write(
            banners.postgres_refusal(said) if is_binary else banners.line(f"Postgres: {said}")
        )

    async def _redis(self, reader: StreamReader, writer: StreamWriter, peer: str) -> None:
        del peer
        while words := await _command(reader):
            writer.write(banners.redis_reply(words, self._said()))
            await writer.drain()
            if words[0].upper() == b"QUIT":
                return


class Packets:
    """Answers each packet with the pod's name."""

    def __init__(self, role: Role, ports: Sequence[int]) -> None:
        self._role = role
        self._ports = ports
        self._serving = Serving(role)

    def start(self, ended: Callable[[Exit], None]) -> None:
        """Binds its ports; raises OSError."""
        del ended
        for port in self._ports:
            self._serving.udp(port, self._answer)

    def terminate(self) -> None:
        """Goes on, so that connections can come to their end."""

    def stop(self) -> None:
        """Answers no more."""
        self._serving.close()

    def _answer(self, listener: Listener, packet: bytes, peer: Peer) -> None:
        self._role.record.write(f"{peer[0]} sent {len(packet)} bytes")
        address = next(iter(self._role.addresses), "")
        listener.socket.sendto(f"Hello from {self._role.name} ({address})\n".encode(), peer)


async def _first(reader: StreamReader) -> bytes:
    """What a client says first, if anything soon."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read(_MOST)
    except TimeoutError:
        return b""


async def _command(reader: StreamReader) -> list[bytes]:
    """A command of Redis' protocol, inline or an array; empty at the end."""
    line = await reader.readline()
    if not line.startswith(b"*"):
        return line.split()[:_WORDS] or ([b""] if line else [])
    words = []
    for _ in range(_number(line, _WORDS)):
        size = _number(await reader.readline(), _MOST)
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


def _number(line: bytes, most: int) -> int:
    """What stands behind the sign of a header; raises ValueError."""
    found = int(line[1:])
    if not 0 <= found <= most:
        raise ValueError(found)
    return found
