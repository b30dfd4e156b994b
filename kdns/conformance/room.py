"""A room for clients that know a server by /etc/resolv.conf alone: namespaces with a file of ours.

Inside, port 53 of 127.0.0.1 leads through a UNIX socket, which crosses network namespaces, to the
server under test, wherever it listens. Where the machine's own resolv.conf names the server, as in
a pod, no room is needed.
"""

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from kdns.conformance.clauses import Skipped
from kdns.conformance.target import Target

UNSHARE = (
    "unshare", "--user", "--map-root-user", "--mount", "--net", "--fork", "--kill-child",
)  # fmt: skip
FILES = {
    "resolv.conf": "nameserver 127.0.0.1\n",
    "nsswitch.conf": "hosts: dns\n",
    "hosts": "127.0.0.1 localhost\n",
}
"""What stands in the room's /etc."""
RELAY = "relay"
UDP, TCP = b"u", b"t"
"""The first octet of a connection to the relay."""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_PORT = 53
_PATIENCE_S = 5.0


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Sequence[str]]:
    """Words to put before a command, so that it asks the server; raises Skipped where none help."""
    if _is_ours(target):
        yield ()
        return
    await _look_for_namespaces()
    with tempfile.TemporaryDirectory(prefix="kdns-room-") as name:
        folder = Path(name)
        for file, text in FILES.items():
            (folder / file).write_text(text)

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await reader.readexactly(1) == TCP:
                there = await asyncio.open_connection(target.host, target.port)
                await both_ways((reader, writer), there)
            else:
                await _over_udp(target, reader, writer)

        streams = Streams(relay)
        server = await asyncio.start_unix_server(streams, folder / RELAY)
        try:
            yield *UNSHARE, sys.executable, "-m", "kdns.conformance.inside", name
        finally:
            server.close()
            streams.cancel()


def _is_ours(target: Target) -> bool:
    """True when this machine's first nameserver is the server under test."""
    with suppress(OSError, UnicodeError):
        lines = map(str.split, Path("/etc/resolv.conf").read_text().splitlines())
        named = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
        return target.port == _PORT and named[:1] == [target.host]
    return False


async def _look_for_namespaces() -> None:
    if not shutil.which("unshare") or not shutil.which("mount"):
        raise Skipped("this machine asks another server, and has no unshare (apt: util-linux)")
    process = await asyncio.create_subprocess_exec(
        *UNSHARE, "true", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    if process.returncode:
        why = error.decode(errors="replace").strip()
        raise Skipped(f"this machine asks another server, and allows no namespaces ({why})")


class Streams:
    """Takes connections, each served in a task of its own until it breaks or `cancel` is called."""

    def __init__(self, serve: Callable[..., Coroutine[None, None, None]]) -> None:
        self._serve = serve
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._until_it_breaks(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Ends all that is under way."""
        for task in self._tasks:
            task.cancel()

    async def _until_it_breaks(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._serve(reader, writer)
        await _closed(writer)


async def both_ways(one: Stream, other: Stream) -> None:
    """Octets go both ways until both sides are done."""
    try:
        await asyncio.gather(_pass_on(one[0], other[1]), _pass_on(other[0], one[1]))
    finally:
        await _closed(other[1])


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Closes a connection and asks how it ended: asyncio reports what nobody has asked about."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65536):
        writer.write(octets)
        await writer.drain()
    writer.write_eof()


async def _over_udp(
    target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One framed query becomes a datagram, and its reply a frame."""
    loop = asyncio.get_running_loop()
    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock, suppress(TimeoutError):
        sock.setblocking(False)
        sock.connect((target.host, target.port))
        await loop.sock_sendall(sock, query)
        async with asyncio.timeout(_PATIENCE_S):
            reply = await loop.sock_recv(sock, 65535)
        writer.write(len(reply).to_bytes(2, "big") + reply)
        await writer.drain()
