"""One question to one nameserver over plain sockets, from the pod's own address.

What BIND's tools do with it, server after server and name after name, is in `bind`; what libcs do
is kdns.client.search, which is given `Asker.heard`.
"""

import asyncio
import socket
import time
from dataclasses import dataclass

from kdns.client.search_terms import Failure, Heard
from kdns.lab.tools.pod import Pod

_LARGEST = 65535
_CUT = "the server closed the connection"


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks for one pod."""

    pod: Pod
    within_s: float = 5.0

    def ask(self, server: tuple[str, int], packet: bytes, transport: str = "udp") -> bytes:
        """The reply under the packet's id; raises OSError (TimeoutError when nothing came)."""
        place = self.pod.place(*server)
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        with self.pod.socket(place, kind) as one:
            one.settimeout(self.within_s)
            one.connect(place)
            if transport == "tcp":
                return _over_stream(one, packet)
            one.send(packet)
            end = time.monotonic() + self.within_s
            while (left := end - time.monotonic()) > 0:
                one.settimeout(left)
                reply = one.recv(_LARGEST)
                if reply[:2] == packet[:2]:
                    return reply
        raise TimeoutError

    async def heard(self, server: tuple[str, int], packet: bytes, transport: str) -> Heard:
        """The same for a walk."""
        place = self.pod.place(*server)
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        try:
            with self.pod.socket(place, kind) as one:
                one.setblocking(False)
                async with asyncio.timeout(self.within_s):
                    await asyncio.get_running_loop().sock_connect(one, place)
                    reply = await (_streamed if transport == "tcp" else _sent)(one, packet)
        except OSError as error:
            return Heard(error=str(error), transport=transport, failure=_failure(error))
        return Heard(reply, transport=transport)


def _failure(error: OSError) -> Failure:
    if isinstance(error, TimeoutError):
        return "silent"
    return "cut" if isinstance(error, ConnectionResetError) else "refused"


async def _sent(one: socket.socket, packet: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(one, packet)
    while (reply := await loop.sock_recv(one, _LARGEST))[:2] != packet[:2]:
        pass
    return reply


async def _streamed(one: socket.socket, packet: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(one, len(packet).to_bytes(2, "big") + packet)
    found = b""
    while len(found) < 2 or len(found) < 2 + int.from_bytes(found[:2], "big"):
        more = await loop.sock_recv(one, _LARGEST)
        if not more:
            raise ConnectionResetError(_CUT)
        found += more
    return found[2:]


def _over_stream(one: socket.socket, packet: bytes) -> bytes:
    one.sendall(len(packet).to_bytes(2, "big") + packet)
    size = int.from_bytes(_exactly(one, 2), "big")
    return _exactly(one, size)


def _exactly(one: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = one.recv(size - len(found))
        if not more:
            raise ConnectionResetError(_CUT)
        found += more
    return found
