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

    Where only some are silent they are asked once more with patience: a busy machine is no finding.
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
        await asyncio.wait(protocol.replies.values(), timeout=wait_s)
        found = [protocol.replies[port] for port in ports]
        return [future.result() if future.done() else None for future in found]
    finally:
        transport.close()


async def _tcp(packet: bytes, ports: list[int], wait_s: float, client: str) -> list[bytes | None]:
    with socket.socket() as chosen:
        chosen.bind((client, 0))
        mine = chosen.getsockname()
    return list(await asyncio.gather(*[_tcp_one(packet, port, mine, wait_s) for port in ports]))


async def _tcp_one(packet: bytes, port: int, mine: tuple[str, int], wait_s: float) -> bytes | None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # One client port for all servers: what reads it (whoami, log) then says the same.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.bind(mine)
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(wait_s):
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
