"""A look-up as glibc makes it, over plain sockets from the pod's own address, in a given time."""

import asyncio
import socket
from functools import partial

from kdns.client.search import walk
from kdns.client.search_terms import Failure, Heard, Walk
from kdns.lab.tools.asking import CUT, LARGEST, resolv_of
from kdns.lab.tools.pod import Pod


def walked(pod: Pod, name: str, kinds: tuple[int, ...], within_s: float | None = None) -> Walk:
    """The walk of a libc over the pod's nameservers; raises TimeoutError."""
    resolv = resolv_of(pod)
    ask = partial(_heard, pod, resolv.timeout_s)
    return asyncio.run(asyncio.wait_for(walk(name, kinds, resolv, "glibc", ask), within_s))


async def _heard(
    pod: Pod, patience_s: float, server: tuple[str, int], packet: bytes, transport: str
) -> Heard:
    """What came of one question to one server."""
    place = pod.place(*server)
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    try:
        with pod.socket(place, kind) as one:
            one.setblocking(False)
            async with asyncio.timeout(patience_s):
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
    while (reply := await loop.sock_recv(one, LARGEST))[:2] != packet[:2]:
        pass
    return reply


async def _streamed(one: socket.socket, packet: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(one, len(packet).to_bytes(2, "big") + packet)
    found = b""
    while len(found) < 2 or len(found) < 2 + int.from_bytes(found[:2], "big"):
        more = await loop.sock_recv(one, LARGEST)
        if not more:
            raise ConnectionResetError(CUT)
        found += more
    return found[2:]
