"""One UDP socket: when it is read, one packet or many, when it rests, and how it ends.

Packets become replies in `batches`, or `singly` where `mmsg` does not fit; answers that had to be
waited for leave through `late`. On a wildcard address the reply leaves from the address that was
asked (IP_PKTINFO). A reply the kernel has no room for waits its turn (`outbox`); a packet is only
read while there is room for its reply.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import cache

from kdns.server.peers import Bound, ask_for_local_addresses
from kdns.server.pipeline import Pipeline
from kdns.server.sockets import turn_away
from kdns.server.udp.batches import Batches
from kdns.server.udp.mmsg import COUNT, refusal
from kdns.server.udp.outbox import Outbox
from kdns.server.udp.overload import Overload
from kdns.server.udp.singly import Singly

log = logging.getLogger("kdns.server")

BATCHES = 4
"""Batches a wake-up may read before other sockets and timers get their turn."""
LONG_S = 0.0005
SELDOM = 16
"""A wake-up takes one packet, and looks whether another waits when the one before was so long ago
(the loop was away, or there is time), and else once in so many times."""


class UdpListener:
    """One bound UDP socket and the pipeline behind it."""

    def __init__(self, sock: socket.socket, pipeline: Pipeline, clock: Callable[[], float]) -> None:
        self.sock = sock
        self.pipeline = pipeline
        self.clock = clock
        self.heard_at = float("-inf")
        """When packets were last read."""
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(sock, pipeline, self._resume)
        self._waiting = self._outbox.waiting
        bound = Bound.of(sock)
        self._overload = Overload(sock, pipeline, clock, bound.where)
        self._is_reading = False
        self._stopped: asyncio.Future[None] | None = None
        if bound.is_wildcard:
            ask_for_local_addresses(sock)
        way = Batches if _fits() else Singly
        self._way: Batches | Singly = way(
            sock, pipeline, self._outbox, self._overload, clock, self._sent
        )
        self._late = self._way.late
        self._one = self._way.one
        self._is_busy = False
        """True while wake-ups find more than one packet."""
        self._wakes = 0

    @property
    def underway(self) -> int:
        """Packets that wait for an answer."""
        return self._late.underway

    def start(self) -> None:
        """Begins to read."""
        self._is_reading = True
        self._loop.add_reader(self.sock, self._wake)

    async def stop(self, grace_s: float) -> None:
        """Answers what is in the queue and under way, closes the socket.

        New packets go to whoever else listens on the port. Where nobody does they are refused, so
        that a client need not wait; at most half of the time goes to a queue that never empties.
        """
        turn_away(self.sock)
        began = self._loop.time()
        looks = 2  # the first may come before a packet that was on its way to this queue
        while looks and self._loop.time() - began < grace_s / 2:
            is_over = not self._read() and self._is_reading
            looks = looks - 1 if is_over else 2
            await asyncio.sleep(0 if self._is_reading else 0.01)
        self._pause()
        if self.underway or self._waiting:
            self._stopped = self._loop.create_future()
            left_s = began + grace_s - self._loop.time()
            await asyncio.wait([self._stopped], timeout=max(left_s, 0))
        self._outbox.close()
        self._overload.close()
        self.sock.close()

    def _wake(self) -> None:
        """Takes one packet and goes back to sleep, or many while there are many."""
        # perf: paced. A wake-up finds its caches cold, so it does little and looks seldom.
        if self._is_busy or self._waiting:
            self._read()
            return
        now = self.clock()
        if not self._one(now):
            return
        is_long = now - self.heard_at > LONG_S
        self.heard_at = now
        self._wakes = wakes = self._wakes + 1
        if (is_long or not wakes % SELDOM) and not self._waiting and self._one(self.clock()):
            self._read()

    def _read(self) -> int:
        """Answers a batch, or some; says how many packets there were."""
        total = 0
        for _ in range(BATCHES):
            now, room = self.clock(), self._room()
            count = self._way.some(room, now) if room else 0
            total += count
            if count < COUNT:
                break
        else:
            self._overload.full(now)
        if total:
            self.heard_at = now
        self._is_busy = total > 1 or self._overload.sift is not None  # which is to see each
        return total

    def _room(self) -> int:
        """How many packets may be read; none while a reply waits, and then reading pauses."""
        if self._waiting:
            self._pause()
            return 0
        return COUNT

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self.sock)

    def _sent(self) -> None:
        """Answers that were waited for have left."""
        if self._is_reading:
            self.pipeline.tell_due()
        else:
            self._resume()

    def _resume(self) -> None:
        """Goes on reading when there is room again, or ends the stop when nothing is left."""
        self.pipeline.tell_due()
        if self._stopped is not None:
            if not self.underway and not self._waiting and not self._stopped.done():
                self._stopped.set_result(None)
        elif not self._waiting:
            self.start()


@cache
def _fits() -> bool:
    """True where packets move in batches; says once where they do not."""
    why = refusal()
    if why:
        log.debug("UDP packets are read and sent one by one, without recvmmsg: %s", why)
    return not why
