"""Tries an address and a port, as an application would, and says in words what came of it.

TCP is conclusive. Over UDP an empty datagram is sent: a closed port is told by ICMP, an open one
answers only what it understands, so that silence is the best that can be heard.
"""

import asyncio
import socket
from time import perf_counter
from typing import Final

from kdns.client.line import open_socket, strerror
from kdns.explain.said import Connection

TCP_S: Final = 2.0
UDP_S: Final = 0.5
"""An ICMP error from within a cluster comes sooner."""


async def connect(address: str, port: int, protocol: str = "TCP") -> Connection:
    """What came of it; nothing is raised, whatever the network does."""
    tries = {"TCP": _tcp, "UDP": _udp}
    protocol = protocol.upper()
    if protocol not in tries:
        return Connection(
            address, port, protocol, f"not tried: {protocol} is neither TCP nor UDP", False
        )
    try:
        outcome, is_open = await tries[protocol](address, port)
    except OSError as error:
        outcome, is_open = _refusal(error), False
    return Connection(address, port, protocol, outcome, is_open)


async def _tcp(address: str, port: int) -> tuple[str, bool]:
    began = perf_counter()
    try:
        async with asyncio.timeout(TCP_S):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return f"no answer within {TCP_S:g} s", False
    took_s = perf_counter() - began
    writer.transport.abort()  # nothing was sent: there is nothing to be polite about
    return f"connected in {took_s * 1000:.1f} ms", True


async def _udp(address: str, port: int) -> tuple[str, bool]:
    loop = asyncio.get_running_loop()
    began = perf_counter()
    with open_socket(socket.SOCK_DGRAM, address, "") as sock:
        sock.connect((address, port))
        sock.send(b"")
        has_come = asyncio.Event()
        loop.add_reader(sock, has_come.set)
        try:
            async with asyncio.timeout(UDP_S):
                await has_come.wait()
        except TimeoutError:
            return f"not refused within {UDP_S:g} s, which is all that UDP tells", True
        finally:
            loop.remove_reader(sock)
        sock.recv(1)
    return f"answered in {(perf_counter() - began) * 1000:.1f} ms", True


def _refusal(error: OSError) -> str:
    return "refused" if isinstance(error, ConnectionRefusedError) else strerror(error)
