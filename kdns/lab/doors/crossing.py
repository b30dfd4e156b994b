"""A connection to a port of a pod, made in the pod as a container runtime makes it; what a client
sends waits here until the pod takes it, and the client when that is too much.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from kdns.lab.errors import Obj
from kdns.lab.ground.base import NO_PLACE, Ground
from kdns.lab.ground.splice import reset

MOST = 512
"""Connections that all clients have forwarded at once."""
MOST_HELD = 1 << 20
"""Octets that wait for pods, of one client."""
SILENT_S = 10.0
"""How long a pod may say nothing after its client has said its last."""
PIECE = 32 * 1024
_CONNECT_S = 10.0
_LINGER_S = 1.0
_LOCALHOST = ("127.0.0.1", "::1")


def port(text: str) -> int:
    """A number of a port as clients write it; 0 for what is none."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 6
    return int(text) if is_number and int(text) < 65536 else 0


class UnreachableError(Exception):
    """Nobody in the pod takes the connection; says why."""


class Ways:
    """Connections into pods."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._open = 0

    @asynccontextmanager
    async def joined(self, pod: Obj, port: int) -> AsyncIterator[socket.socket]:
        """One, for as long as the block lasts; raises UnreachableError."""
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if self._open >= MOST:
            raise UnreachableError(f"{MOST} connections are forwarded already: end one of them")
        self._open += 1
        try:
            try:
                connection = await self._connect(pod, port)
            except (OSError, TimeoutError) as error:
                why = f"error forwarding port {port} to pod {name}: {_said(error)}"
                raise UnreachableError(why) from None
            try:
                yield connection
            except BaseException:
                reset(connection)
                raise
            finally:
                connection.close()
        finally:
            self._open -= 1

    async def _connect(self, pod: Obj, port: int) -> socket.socket:
        """To the first address that takes it; raises what the first of them says."""
        first: OSError | None = None
        own = str(pod["status"]["podIP"])
        for address in self._addresses(pod, own):
            try:
                return await self._dial(address, port, own)
            except (OSError, TimeoutError) as error:
                where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
                first = first or OSError(error.errno, f"dial tcp {where}: {_reason(error)}")
        assert first
        raise first

    def _addresses(self, pod: Obj, own: str) -> tuple[str, ...]:
        """In a pod with a network of its own its localhost: what listens only there is reached,
        and no policy keeps it away."""
        if pod["spec"].get("hostNetwork"):
            return (own,)
        stand = self._ground.stand_of(own)
        if stand is None or stand.uid != pod["metadata"]["uid"]:
            raise OSError(errno.ENETUNREACH, NO_PLACE)
        return _LOCALHOST if self._ground.has_spaces else (own,)

    async def _dial(self, address: str, port: int, source: str) -> socket.socket:
        made = self._ground.outgoing(address, "TCP", source=source)
        try:
            target = self._ground.target(address, port)
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.get_running_loop().sock_connect(made, target)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            made.close()
            raise
        return made


def _said(error: OSError) -> str:
    return error.strerror or str(error)


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    return f"connect: {error.strerror.lower()}" if error.strerror else "i/o timeout"


class Held:
    """How much of what a client has sent still waits; above MOST_HELD he has to wait, too."""

    def __init__(self) -> None:
        self._size = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    def change(self, size: int) -> None:
        """More has come, or (below 0) some has gone."""
        self._size += size
        if self._size < MOST_HELD:
            self._has_room.set()
        else:
            self._has_room.clear()

    async def room(self) -> None:
        """Waits until there is some."""
        await self._has_room.wait()


class Crossing:
    """What passes on one connection."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._waiting = bytearray()
        self._woken = asyncio.Event()
        self._is_end = False
        self._is_deaf = False
        self._is_silent = False
        self._limit: asyncio.Timeout | None = None

    def put(self, octets: bytes) -> None:
        """What the client says."""
        if not (self._is_deaf or self._is_end):
            self._waiting += octets
            self._held.change(len(octets))
            self._woken.set()

    def finish(self) -> None:
        """The client has said its last."""
        self._is_end = True
        self._woken.set()

    def forget(self) -> None:
        """Whatever waits, or is still to come, is for nobody."""
        self._is_deaf = True
        self._held.change(-len(self._waiting))
        self._waiting.clear()

    async def carry(
        self, connection: socket.socket, give: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Until the pod has said its last, or has broken off; `give` passes on what it says."""
        sending = asyncio.ensure_future(self._send(connection))
        try:
            with suppress(OSError):
                while piece := await self._heard(connection):
                    await give(piece)
                    await asyncio.sleep(0)  # while both are fast, neither call lets others run
            if self._waiting:
                await asyncio.wait({sending}, timeout=_LINGER_S)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            self.forget()

    async def _heard(self, connection: socket.socket) -> bytes:
        async with asyncio.timeout(SILENT_S if self._is_silent else None) as self._limit:
            piece = await asyncio.get_running_loop().sock_recv(connection, PIECE)
        self._limit = None
        return piece

    async def _send(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting or not self._is_end:
                await self._woken.wait()
                self._woken.clear()
                while self._waiting:
                    piece = bytes(self._waiting[:PIECE])
                    await loop.sock_sendall(connection, piece)
                    await asyncio.sleep(0)
                    if self._is_deaf:
                        return
                    del self._waiting[: len(piece)]
                    self._held.change(-len(piece))
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.forget()
            return
        self._is_silent = True
        if self._limit:
            self._limit.reschedule(loop.time() + SILENT_S)
