"""A packet goes to several servers at once, from one client port, and their replies return."""

import asyncio
import socket
import struct
from contextlib import suppress

from tests.differential.peer import HOST


async def ask(
    packet: bytes, ports: list[int], *, tcp: bool, wait_s: float, client: str = HOST
) -> list[bytes | None]:
    """Each server's reply, None from those that are silent for too long.

    Where only some are silent they are waited for with patience, and asked once more: a busy machine
    is no finding.
    """
    send = _tcp if tcp else _udp
    replies = await send(packet, ports, wait_s, client)
    if any(replies) and not all(replies):
        silent = [at for at, reply in enumerate(replies) if reply is None]
        again = await send(packet, [ports[at] for at in silent], 4 * wait_s, client)
        for at, reply in zip(silent, again, strict=True):
            replies[at] = reply
    return replies


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, ports: list[int]) -> None:
        loop = asyncio.get_running_loop()
        self.replies = {port: loop.create_future() for port in ports}

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        future = self.replies.get(addr[1])
        if future and not future.done():
            future.set_result(data)


async def _udp(packet: bytes, ports: list[int], wait_s: float, client: str) -> list[bytes | None]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Socket(ports), local_addr=(client, 0)
    )
    try:
        for port in ports:
            transport.sendto(packet, (HOST, port))
        return await _awaited([protocol.replies[port] for port in ports], wait_s)
    finally:
        transport.close()


async def _tcp(packet: bytes, ports: list[int], wait_s: float, client: str) -> list[bytes | None]:
    with socket.socket() as chosen:
        chosen.bind((client, 0))
        mine = chosen.getsockname()
    asked = [asyncio.ensure_future(_tcp_one(packet, port, mine)) for port in ports]
    try:
        return await _awaited(asked, wait_s)
    finally:
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _awaited(
    replies: list["asyncio.Future[bytes | None]"], wait_s: float
) -> list[bytes | None]:
    """What has come by then, and by much later where one has come."""
    done, others = await asyncio.wait(replies, timeout=wait_s)
    if done and others:
        await asyncio.wait(others, timeout=4 * wait_s)
    return [each.result() if each.done() else None for each in replies]


async def _tcp_one(packet: bytes, port: int, mine: tuple[str, int]) -> bytes | None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # One client port for all servers: what reads it (whoami, log) then says the same.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.bind(mine)
        with suppress(OSError, asyncio.IncompleteReadError):
            await loop.sock_connect(sock, (HOST, port))
            await loop.sock_sendall(sock, len(packet).to_bytes(2, "big") + packet)
            size = int.from_bytes(await _exactly(sock, 2), "big")
            return await _exactly(sock, size)
    return None


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    got = b""
    while len(got) < size:
        more = await loop.sock_recv(sock, size - len(got))
        if not more:
            raise asyncio.IncompleteReadError(got, size)
        got += more
    return got
