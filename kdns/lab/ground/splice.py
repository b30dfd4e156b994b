"""Joins two connected TCP sockets: bytes pass both ways, ends as ends, breaks as breaks.

Each side is read only when the other has taken what was read before.
"""

import asyncio
import socket
import struct
from contextlib import suppress

_PIECE = 65_536
_NOW = struct.pack("ii", 1, 0)


async def splice(one: socket.socket, other: socket.socket) -> None:
    """Until both sides have ended, or one has broken off; closes both."""
    try:
        for side in (one, other):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            side.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await _both(one, other)
    except BaseException as error:
        reset(one)
        reset(other)
        if not isinstance(error, OSError):
            raise
    finally:
        one.close()
        other.close()


def reset(connection: socket.socket) -> None:
    """Closes a connection so that the other side sees it break."""
    with suppress(OSError):  # the other side was faster
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
    connection.close()


async def _both(one: socket.socket, other: socket.socket) -> None:
    ways = [asyncio.ensure_future(_pass(one, other)), asyncio.ensure_future(_pass(other, one))]
    try:
        await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(source, _PIECE):
        await loop.sock_sendall(target, piece)
        await asyncio.sleep(0)  # while both sides are fast, neither call lets others run
    with suppress(OSError):  # it has closed already
        target.shutdown(socket.SHUT_WR)
