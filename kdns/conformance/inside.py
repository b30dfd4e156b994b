"""Runs a command in the room: `python -m kdns.conformance.inside FOLDER COMMAND …`.

We are root in namespaces of our own: loopback is brought up, the folder's files cover those of
/etc, and port 53 leads to the relay that the folder has. Ends with the command's exit code.
"""

import asyncio
import fcntl
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from kdns.conformance.room import FILES, RELAY, TCP, UDP, Streams, both_ways

_HOST, _PORT = "127.0.0.1", 53
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


class _Datagrams(asyncio.DatagramProtocol):
    """Each query goes its own way to the relay."""

    transport: asyncio.DatagramTransport

    def __init__(self, relay: Path) -> None:
        self._relay = relay
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # 3.11's is none by class

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.ensure_future(self._ask(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, query: bytes, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_unix_connection(self._relay)
        writer.write(UDP + len(query).to_bytes(2, "big") + query)
        framed = await reader.read()
        writer.close()
        if framed:
            self.transport.sendto(framed[2:], address)


async def _run(folder: Path, argv: Sequence[str]) -> int:
    """Serves port 53 while the command runs."""
    relay = folder / RELAY

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        its_reader, its_writer = await asyncio.open_unix_connection(relay)
        its_writer.write(TCP)
        await both_ways((reader, writer), (its_reader, its_writer))

    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: _Datagrams(relay), (_HOST, _PORT))
    async with await asyncio.start_server(Streams(stream), _HOST, _PORT):
        process = await asyncio.create_subprocess_exec(*argv)
        return await process.wait()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("16xH", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[0]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _cover_files(folder: Path) -> None:
    for name in FILES:
        if Path("/etc", name).exists():
            command = ["mount", "--bind", str(folder / name), f"/etc/{name}"]
            subprocess.run(command, check=True)  # noqa: S603 - the folder is our own


if __name__ == "__main__":
    _raise_loopback()
    _cover_files(Path(sys.argv[1]))
    sys.exit(asyncio.run(_run(Path(sys.argv[1]), sys.argv[2:])))
