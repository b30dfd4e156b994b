"""Carries what comes to a socket of the machine to an address of the played cluster, and back.

TCP: a bounded number of connections, each as fast as its slower side, reset where the target
refuses. UDP: a socket to the target for each asker; the longest silent of too many is forgotten.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from kdns.lab.ground.base import Ground, Transport
from kdns.lab.ground.splice import reset, splice

_LOG = logging.getLogger("kdns.lab")
MOST_CONNECTIONS = 512
MOST_ASKERS = 512
IDLE_S = 30.0
_CONNECT_S = 10.0
_REST_S = 0.1
_BURST = 64
"""Datagrams read before others have their turn."""
_LARGEST = 65_535
_Asker = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where it leads to; with `is_open` the target sees the asker's address, not ours."""

    ground: Ground
    address: str
    port: int
    is_open: bool = False

    def socket(self, transport: Transport, asker: _Asker) -> socket.socket:
        """For one asker, not yet connected; raises OSError."""
        source = str(asker[0]) if self.is_open else ""
        return self.ground.outgoing(self.address, transport, source=source)

    @property
    def place(self) -> tuple[str, int]:
        """What to connect to; raises OSError."""
        return self.ground.target(self.address, self.port)


async def carry(outside: socket.socket, target: Target) -> None:
    """Serves a socket (UDP, or TCP and listening) until it is cancelled; closes all it opened."""
    with outside:
        if outside.type == socket.SOCK_DGRAM:
            await _Datagrams(outside, target).run()
        else:
            await _carry_connections(outside, target)


# TCP


async def _carry_connections(outside: socket.socket, target: Target) -> None:
    loop = asyncio.get_running_loop()
    free = asyncio.Semaphore(MOST_CONNECTIONS)  # at the limit others wait in the kernel's queue
    async with asyncio.TaskGroup() as carried:
        while True:
            await free.acquire()
            try:
                accepted, asker = await loop.sock_accept(outside)
            except OSError as error:  # the client has gone, or there are no descriptors left
                free.release()
                _LOG.debug("a relay to %s could not accept: %s", target.address, error)
                await asyncio.sleep(_REST_S)
                continue
            task = carried.create_task(_carry_connection(accepted, asker, target))
            task.add_done_callback(lambda _: free.release())


async def _carry_connection(accepted: socket.socket, asker: _Asker, target: Target) -> None:
    accepted.setblocking(False)
    try:
        onward = await _connect(asker, target)
    except (OSError, TimeoutError):
        reset(accepted)
        return
    except asyncio.CancelledError:
        accepted.close()
        raise
    await splice(accepted, onward)


async def _connect(asker: _Asker, target: Target) -> socket.socket:
    onward = target.socket("TCP", asker)
    try:
        async with asyncio.timeout(_CONNECT_S):
            await asyncio.get_running_loop().sock_connect(onward, target.place)
    except BaseException:
        onward.close()
        raise
    return onward


# UDP


@dataclass(eq=False, slots=True)
class _Way:
    """To the target, for one asker."""

    socket: socket.socket
    used: float


@dataclass(eq=False, slots=True)
class _Datagrams:
    outside: socket.socket
    target: Target
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    ways: dict[_Asker, _Way] = field(default_factory=dict)
    """The longest silent comes first."""

    async def run(self) -> None:
        self.loop.add_reader(self.outside.fileno(), self._take_in)
        try:
            while True:
                await asyncio.sleep(IDLE_S / 4)
                self._forget(self.loop.time() - IDLE_S)
        finally:
            self.loop.remove_reader(self.outside.fileno())
            for asker in list(self.ways):
                self._drop(asker)

    def _forget(self, before: float) -> None:
        for asker in [one for one, way in self.ways.items() if way.used < before]:
            self._drop(asker)

    def _drop(self, asker: _Asker) -> None:
        way = self.ways.pop(asker)
        self.loop.remove_reader(way.socket.fileno())
        way.socket.close()

    def _take_in(self) -> None:
        for _ in range(_BURST):
            try:
                packet, asker = self.outside.recvfrom(_LARGEST)
            except OSError:  # nothing more, or an asker has closed its socket
                return
            try:
                self._way(asker).socket.send(packet)
            except OSError as error:  # nobody listens there, now
                _LOG.debug("a relay to %s lost a datagram: %s", self.target.address, error)

    def _way(self, asker: _Asker) -> _Way:
        way = self.ways.pop(asker, None) or self._new_way(asker)
        way.used = self.loop.time()
        self.ways[asker] = way
        return way

    def _new_way(self, asker: _Asker) -> _Way:
        if len(self.ways) >= MOST_ASKERS:
            self._drop(next(iter(self.ways)))
        made = self.target.socket("UDP", asker)
        try:
            made.connect(self.target.place)
            self.loop.add_reader(made.fileno(), self._give_back(made, asker))
        except OSError:
            made.close()
            raise
        return _Way(made, 0.0)

    def _give_back(self, way: socket.socket, asker: _Asker) -> Callable[[], None]:
        def act() -> None:
            for _ in range(_BURST):
                try:
                    packet = way.recv(_LARGEST)
                except OSError:
                    return
                with suppress(OSError):
                    self.outside.sendto(packet, asker)

        return act
