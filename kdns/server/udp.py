"""UDP packets become replies: one socket, read in bounded batches whenever it is readable.

Where `mmsg` fits, batches move with two system calls, and answers from the table are written into
the slots of their packets; elsewhere each packet is read and answered on its own, by the same
rules. On a wildcard address the reply leaves from the address that was asked (IP_PKTINFO). A reply
the kernel has no room for waits its turn; a packet is only read while there is room for its reply.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import cache, partial
from ipaddress import ip_address
from itertools import count as counting

from kdns.plugins.base import Client
from kdns.server.drive import drive
from kdns.server.mmsg import COUNT, Slots, refusal
from kdns.server.outbox import Outbox
from kdns.server.peers import (
    IP_PKTINFO,
    Ancillary,
    Peer,
    address_of,
    ask_for_local_addresses,
    is_over_v6,
    peer_of,
    unmapped,
)
from kdns.server.pipeline import Pipeline
from kdns.server.sockets import turn_away

log = logging.getLogger("kdns.server")

BATCH = COUNT
"""Packets that are read at once."""
BATCHES = 4
"""Batches a wake-up may read before other sockets and timers get their turn."""
CLOSE_S = 100e-6
TRIES = 8
"""perf: a wake-up takes one packet until so many came close upon each other (paced)."""
SELDOM = 64
"""One in so many looks for more in any case: slow answers keep wake-ups apart, too."""
MAX_UNDERWAY = 10_000
"""Packets that may wait for an answer at once; beyond it, packets stay in the kernel's queue."""


class UdpListener:
    """One bound UDP socket and the pipeline behind it."""

    def __init__(self, sock: socket.socket, pipeline: Pipeline, clock: Callable[[], float]) -> None:
        self.sock = sock
        self.pipeline = pipeline
        self.clock = clock
        self.underway = 0
        self.heard_at = float("-inf")
        """When packets were last read."""
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(sock, pipeline.counters, self._resume)
        self._waiting = self._outbox.waiting
        self._is_reading = False
        self._is_in_batch = False
        self._stopped: asyncio.Future[None] | None = None
        host, port = sock.getsockname()[:2]
        self._local = ip_address(host).packed
        self._port = port
        self._is_wildcard = not any(self._local)
        if self._is_wildcard:
            ask_for_local_addresses(sock)
        self._is_busy = False
        """True while wake-ups find more than one packet."""
        self._woken_at = float("-inf")
        self._wakes = 0
        self._close = 0
        """Wake-ups in a row that came soon after the one before."""
        self._missed = 0
        """Packets of the batch at hand that were not answered from the table."""
        self._slots = Slots(sock, with_control=self._is_wildcard) if _fits() else None

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
            self._is_busy = True
            is_over = not self._read() and self._is_reading
            looks = looks - 1 if is_over else 2
            await asyncio.sleep(0 if self._is_reading else 0.01)
        self._pause()
        if self.underway or self._waiting:
            self._stopped = self._loop.create_future()
            left_s = began + grace_s - self._loop.time()
            await asyncio.wait([self._stopped], timeout=max(left_s, 0))
        self._outbox.close()
        self.sock.close()

    def _wake(self) -> None:
        """Takes one packet and goes back to sleep, or many while there are many."""
        # perf: paced. A wake-up finds its caches cold: no second look, no ctypes, few calls.
        now = self.clock()
        self._close = self._close + 1 if now - self._woken_at < CLOSE_S else 0
        self._woken_at = now
        self._wakes += 1
        if (
            self._is_busy
            or self._close >= TRIES
            or not self._wakes % SELDOM
            or self._waiting
            or self.underway >= MAX_UNDERWAY
        ):
            self._close = 0
            self._read()
            return
        sock = self.sock
        ancillary: Ancillary = []
        try:
            if self._is_wildcard:
                packet, ancillary, _, peer = sock.recvmsg(65535, 128)
            else:
                packet, peer = sock.recvfrom(65535)
        except OSError:
            return  # nothing there, or an ICMP error of an earlier reply
        self.heard_at = now
        pipeline, table = self.pipeline, self.pipeline.table
        if table is not None and not pipeline.router.wants_each:
            view = table.views.get(packet[2:])
            if (
                view is not None
                and view.gen == pipeline.stamps.generation
                and now < view.until
                and not view.rotating
            ):
                hits = view.hits
                view.hits = hits + 1
                if not hits:
                    table.pending.append(view)
                if len(peer) == 4 and is_over_v6(peer):
                    view.hits_v6 += 1
                self._outbox.send(packet[:2] + view.head, peer, ancillary)
                caller = address_of(peer) if pipeline.router.wants_callers else b""
                pipeline.served(1, now, caller)
                return
        self._answer_alone(packet, peer, ancillary, now)

    def _answer_alone(self, packet: bytes, peer: Peer, ancillary: Ancillary, now: float) -> None:
        """Answers the one packet of a wake-up that is more than a copy."""
        self._missed = 0
        self._is_in_batch = True
        try:
            self._answer_plainly(packet, peer, ancillary, now)
        finally:
            self._is_in_batch = False
        if not self._missed:
            self._served(1, peer, now)
        self.pipeline.tell_due()

    def _read(self) -> int:
        """Answers a batch, or some; says how many packets there were."""
        now = self.clock()
        slots = self._slots
        self._is_in_batch = True
        try:
            count = self._read_each(now) if slots is None else self._read_batches(slots, now)
        finally:
            self._is_in_batch = False
        if count:
            self.heard_at = now
        self.pipeline.tell_due()
        return count

    def _room(self) -> int:
        """How many packets may be read; none while a reply waits, and then reading pauses."""
        room = 0 if self._waiting else MAX_UNDERWAY - self.underway
        if room <= 0:
            self._pause()
            return 0
        return min(room, COUNT)

    def _read_batches(self, slots: Slots, now: float) -> int:
        total = 0
        for _ in range(BATCHES):
            room = self._room()
            count = self._read_batch(slots, room, now)
            total += count
            if count < COUNT:
                break
            now = self.clock()
        self._is_busy = total > 1
        return total

    def _read_batch(self, slots: Slots, most: int, now: float) -> int:
        if not most:
            return 0
        count = slots.receive(most)
        if count <= 0:
            return -count  # an ICMP error of an earlier reply; the next packet is not to blame
        self._missed = 0
        places = zip(counting(), slots.starts, slots.sizes[:count].tolist())
        try:
            self._answer(slots, places, slots.are_v6(count), now)
        finally:
            self._send_batch(slots, count)
        if count > self._missed:
            wants = self.pipeline.router.wants_callers
            caller = address_of(slots.name(count - 1)) if wants else b""
            self.pipeline.served(count - self._missed, now, caller)
        return count

    def _answer(
        self,
        slots: Slots,
        places: Iterator[tuple[int, int, int]],
        are_v6: list[bool] | None,
        now: float,
    ) -> None:
        """Writes answers into the slots of packets, those from the table without a detour."""
        pipeline = self.pipeline
        table, stamps, generation = pipeline.table, pipeline.stamps, pipeline.stamps.generation
        views, pending = ({}, []) if table is None else (table.views, table.pending)
        is_told = pipeline.router.wants_each
        if is_told:
            views = {}
        look, data, lengths = views.get, slots.data, slots.lengths
        slot = 0
        try:
            for slot, at, size in places:
                # perf: hot. What `table.recall` does for a View that needs no more than a copy.
                view = look(data[at + 2 : at + size])
                if (
                    view is not None
                    and view.gen == generation
                    and now < view.until
                    and not view.rotating
                ):
                    hits = view.hits
                    view.hits = hits + 1
                    if not hits:
                        pending.append(view)
                    if are_v6 and are_v6[slot]:
                        view.hits_v6 += 1
                    head = view.head
                    end = len(head) + 2
                    data[at + 2 : at + end] = head
                    lengths[slot] = end
                    continue
                packet = data[at : at + size]
                reply = None
                if view is not None or is_told:
                    reply = self._recall(slots, slot, packet, are_v6, now)
                if reply is None:
                    reply = self._ask(slots, slot, packet, now)
                if reply is None:
                    slots.skip(slot)
                else:
                    slots.put(slot, reply)
                generation = stamps.generation
        except BaseException:
            slots.skip(slot)
            self._answer(slots, places, are_v6, now)  # its failure is not the next one's
            raise

    def _recall(
        self, slots: Slots, slot: int, packet: bytes, are_v6: list[bool] | None, now: float
    ) -> bytes | None:
        """What the table has for a packet that needs more than a copy."""
        pipeline, name = self.pipeline, slots.name(slot)
        is_v6 = are_v6 is not None and are_v6[slot]
        reply = pipeline.recall(packet, name, now, is_v6=is_v6)
        if reply is not None and pipeline.router.wants_each:
            pipeline.recalled(packet, name, self._client_of(slots, slot, name), reply, now)
        return reply

    def _ask(self, slots: Slots, slot: int, packet: bytes, now: float) -> bytes | None:
        """What the chain says to a packet; None when that is nothing, or comes later."""
        self._missed += 1
        name = slots.name(slot)
        waited = self.pipeline.reply(packet, self._client_of(slots, slot, name), now)
        if waited is None or isinstance(waited, bytes):
            return waited
        self._wait_for(waited, peer_of(name), slots.control(slot))
        return None

    def _client_of(self, slots: Slots, slot: int, name: bytes) -> Client:
        address = name[4:8] if len(name) == 16 else unmapped(name[8:24])
        local = unmapped(slots.asked(slot)) if self._is_wildcard else self._local
        return Client(address, name[2] << 8 | name[3], "udp", local, self._port)

    def _send_batch(self, slots: Slots, count: int) -> None:
        try:
            failed, left = slots.send(count)
            if failed:
                self._outbox.fail(failed)
            for slot in left:
                peer, ancillary = peer_of(slots.name(slot)), slots.control(slot)
                self._outbox.keep(slots.answer(slot), peer, ancillary)
        finally:
            slots.restore()

    def _read_each(self, now: float) -> int:
        """The plain way: a batch, packet by packet."""
        count, self._missed, failed = 0, 0, 0
        while count < BATCH and self._room():
            try:
                packet, peer, ancillary = self._receive()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                failed += 1  # an ICMP error of an earlier reply; the next packet is not to blame
            else:
                self._answer_plainly(packet, peer, ancillary, now)
            count += 1
        self._is_busy = count > 1
        hits = count - failed - self._missed
        if hits:
            self._served(hits, peer, now)
        return count

    def _answer_plainly(self, packet: bytes, peer: Peer, ancillary: Ancillary, now: float) -> None:
        pipeline = self.pipeline
        reply = pipeline.recall(packet, peer, now, is_v6=is_over_v6(peer))
        if reply is not None:
            if pipeline.router.wants_each:
                pipeline.recalled(packet, peer, self._client(peer, ancillary), reply, now)
            self._outbox.send(reply, peer, ancillary)
            return
        self._missed += 1
        waited = pipeline.reply(packet, self._client(peer, ancillary), now)
        if isinstance(waited, bytes):
            self._outbox.send(waited, peer, ancillary)
        elif waited is not None:
            self._wait_for(waited, peer, ancillary)

    def _served(self, hits: int, peer: Peer, now: float) -> None:
        caller = address_of(peer) if self.pipeline.router.wants_callers else b""
        self.pipeline.served(hits, now, caller)

    def _receive(self) -> tuple[bytes, Peer, Ancillary]:
        if self._is_wildcard:
            packet, ancillary, _, peer = self.sock.recvmsg(65535, 128)
            return packet, peer, ancillary
        packet, peer = self.sock.recvfrom(65535)
        return packet, peer, []

    def _client(self, peer: Peer, ancillary: Ancillary) -> Client:
        local = self._local
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                local = data[:16]
            elif level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                local = data[4:8]
        return Client(address_of(peer), peer[1], "udp", unmapped(local), self._port)

    def _wait_for(self, waited: Awaitable[bytes | None], peer: Peer, ancillary: Ancillary) -> None:
        self.underway += 1
        drive(waited, partial(self._answered, peer, ancillary))

    def _answered(self, peer: Peer, ancillary: Ancillary, reply: bytes | None) -> None:
        self.underway -= 1
        if reply is not None:
            self._outbox.send(reply, peer, ancillary)
        if self._is_in_batch:
            return
        if self._is_reading:
            self.pipeline.tell_due()
        else:
            self._resume()

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self.sock)

    def _resume(self) -> None:
        """Goes on reading when there is room again, or ends the stop when nothing is left."""
        self.pipeline.tell_due()
        if self._stopped is not None:
            if not self.underway and not self._waiting and not self._stopped.done():
                self._stopped.set_result(None)
        elif not self._waiting and self.underway < MAX_UNDERWAY:
            self.start()


@cache
def _fits() -> bool:
    """True where packets move in batches; says once where they do not."""
    why = refusal()
    if why:
        log.debug("UDP packets are read and sent one by one, without recvmmsg: %s", why)
    return not why
