"""The listeners of one container, and whoever has come to them: connections and packets.

A connection that goes wrong ends alone; more than MOST at a time are turned away.
"""

import asyncio
import errno
import logging
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from kdns.lab.ground.base import Listener, Transport
from kdns.lab.kubelet.programs.base import Role

log = logging.getLogger("kdns.lab")

MOST = 512
_BATCH = 32
_LARGEST = 65535
_REST_S = 0.5
_NO_FAMILY = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_OVER = (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError)
"""How a connection may end whose other side does not keep to the rules."""

Serve = Callable[[StreamReader, StreamWriter, str], Awaitable[None]]
"""What a connection from an address gets."""
Peer = tuple[str, int] | tuple[str, int, int, int]
Take = Callable[[Listener, bytes, Peer], None]
"""What becomes of a packet."""


class Serving:
    """All that one container serves."""

    def __init__(self, role: Role) -> None:
        self._ground = role.ground
        self._role = role
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Listener] = []
        self._serves: dict[Listener, Serve] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def tcp(self, port: int, serve: Serve) -> None:
        """Serves connections to a port of the pod; raises OSError."""
        for listener in self._listen(port, "TCP"):
            self._serves[listener] = serve
            self._loop.add_reader(listener.socket, self._accept, listener, serve)

    def udp(self, port: int, take: Take) -> None:
        """Takes packets to a port of the pod; raises OSError."""
        for listener in self._listen(port, "UDP"):
            self._loop.add_reader(listener.socket, _receive, listener, take)

    def close(self) -> None:
        """Ends them; connections, also those that wait, have a moment to come to their end."""
        listeners, self._listeners = self._listeners, []
        for one in listeners:
            if one.socket.fileno() >= 0:
                self._loop.remove_reader(one.socket)
                if serve := self._serves.pop(one, None):
                    self._accept(one, serve)
            self._ground.listeners.close(one)
        self._loop.call_later(_REST_S, self._cut)

    def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _listen(self, port: int, transport: Transport) -> list[Listener]:
        found = listening(self._role, port, transport)
        self._listeners += found
        return found

    def _accept(self, listener: Listener, serve: Serve) -> None:
        for _ in range(_BATCH):
            try:
                client, peer = listener.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._rest(listener, serve, error)
                return
            if len(self._tasks) >= MOST:
                client.close()
                continue
            client.setblocking(False)
            task = self._loop.create_task(_served(client, str(peer[0]), serve))
            self._tasks.add(task)
            task.add_done_callback(partial(self._done, client))

    def _rest(self, listener: Listener, serve: Serve, error: OSError) -> None:
        """Too many files are open, say: the connections wait for a moment."""
        log.warning("kubelet: %s: cannot accept a connection: %s", self._role.name, error)
        self._loop.remove_reader(listener.socket)
        self._loop.call_later(_REST_S, self._resume, listener, serve)

    def _resume(self, listener: Listener, serve: Serve) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener.socket, self._accept, listener, serve)

    def _done(self, client: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            client.close()  # its task may never have begun
        if not task.cancelled() and (error := task.exception()):
            log.error("kubelet: %s: a connection failed: %r", self._role.name, error)


def listening(role: Role, port: int, transport: Transport) -> list[Listener]:
    """Listens on a port of all addresses of a pod; raises OSError.

    A family that the machine lacks is left out, if the pod has another.
    """
    found: list[Listener] = []
    failure: OSError | None = None
    for address in role.addresses:
        try:
            found.append(role.ground.listen(address, port, transport, at=role.uid))
        except OSError as error:
            failure = error
            if error.errno not in _NO_FAMILY:
                break
    if failure and (not found or failure.errno not in _NO_FAMILY):
        for one in found:
            role.ground.listeners.close(one)
        raise failure
    return found


async def _served(client: socket.socket, peer: str, serve: Serve) -> None:
    try:
        reader, writer = await asyncio.open_connection(sock=client)
    except OSError:
        client.close()
        return
    try:
        with suppress(*_OVER):
            await serve(reader, writer, peer)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()  # asyncio reports an end that nobody has asked about
    except asyncio.CancelledError:
        writer.transport.abort()
        raise


def _receive(listener: Listener, take: Take) -> None:
    for _ in range(_BATCH):
        try:
            packet, peer = listener.socket.recvfrom(_LARGEST)
        except OSError:
            return
        with suppress(OSError):
            take(listener, packet, peer)
