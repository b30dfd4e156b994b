"""A DNS pod of the lab: what comes to its ports goes on to the DNS server, which stands elsewhere.

The server sees the pod's address. Health and metrics go there, too, if something listens.
"""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from contextlib import suppress

from kdns.lab.ground.base import Listener, Transport
from kdns.lab.kubelet.programs.base import Exit, Role
from kdns.lab.kubelet.programs.serving import Peer, Serve, Serving

DEFAULTS: tuple[tuple[int, Transport], ...] = (
    (53, "UDP"), (53, "TCP"), (9153, "TCP"), (8080, "TCP"), (8181, "TCP"),
)  # fmt: skip
"""Where the manifest declares no ports: DNS, metrics, health, ready."""
IDLE_S = 30.0
_ANSWER_S = 6.0
_MOST = 1024
"""Questions that wait for their answers."""
_PIECE = 65536


class Relay:
    """The relay of one container."""

    def __init__(self, role: Role, ports: Sequence[tuple[int, Transport]]) -> None:
        self._role = role
        self._ports = ports
        self._serving = Serving(role)
        self._waiting: set[asyncio.Task[None]] = set()

    def start(self, ended: Callable[[Exit], None]) -> None:
        """Listens on its ports; raises OSError."""
        del ended  # it relays until it is stopped
        for port, transport in self._ports:
            if transport == "TCP":
                self._serving.tcp(port, self._stream(port))
            else:
                self._serving.udp(port, self._question)

    def terminate(self) -> None:
        """Goes on, so that connections can come to their end."""

    def stop(self) -> None:
        """Ends all connections and forgets who waits."""
        self._serving.close()
        for task in self._waiting:
            task.cancel()

    def _question(self, listener: Listener, packet: bytes, peer: Peer) -> None:
        if len(self._waiting) >= _MOST:
            return
        task = asyncio.get_running_loop().create_task(self._answer(listener, packet, peer))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _answer(self, listener: Listener, packet: bytes, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError), self._outgoing("UDP") as one:
            one.connect(self._target(listener.port))
            one.send(packet)
            async with asyncio.timeout(_ANSWER_S):
                answer = await loop.sock_recv(one, _PIECE)
            if listener.socket.fileno() >= 0:
                listener.socket.sendto(answer, peer)

    def _stream(self, port: int) -> Serve:
        async def serve(reader: StreamReader, writer: StreamWriter, peer: str) -> None:
            del peer
            one = self._outgoing("TCP")
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await asyncio.get_running_loop().sock_connect(one, self._target(port))
                back, forth = await asyncio.open_connection(sock=one)
            except BaseException:
                one.close()
                raise
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(reader, forth))
                    group.create_task(_pump(back, writer))
            except* (OSError, TimeoutError):
                pass
            finally:
                forth.close()

        return serve

    def _outgoing(self, transport: Transport) -> socket.socket:
        ground = self._role.ground
        source = next((one for one in self._role.addresses if ":" not in one), "")
        return ground.outgoing(ground.ranges.dns, transport, source=source)

    def _target(self, port: int) -> tuple[str, int]:
        ground = self._role.ground
        return ground.target(ground.ranges.dns, port)


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    """Carries bytes one way, and the end with them."""
    while True:
        async with asyncio.timeout(IDLE_S):
            piece = await reader.read(_PIECE)
        if not piece:
            break
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
