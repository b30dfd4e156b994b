"""UDP packets become replies in the memory the kernel reads and writes: many at once, or one alone.

What the table has is written into the slot of its packet, which needs no more than a copy; other
packets go through the pipeline. What one packet of a batch does costs only its own reply.
"""

import socket
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from itertools import count as counting
from typing import TYPE_CHECKING, Any, cast

from kdns.observe.catalogue import DURATIONS
from kdns.plugins.base import Client
from kdns.server.peers import Bound, address_of, peer_of, unmapped
from kdns.server.pipeline import Pipeline
from kdns.server.udp.late import Late, busy
from kdns.server.udp.mmsg import COUNT, Slots
from kdns.server.udp.outbox import Outbox
from kdns.server.udp.overload import Overload

if TYPE_CHECKING:
    from kdns.server.items import View

Origin = tuple[bytes, bytes]
"""Who sent a packet and which of our addresses he asked, as the kernel wrote it."""

Places = Iterator[tuple[int, int, int]]
"""Slots, where their packets begin, and how long these are."""
Sift = Callable[[list[bytes]], Sequence[int]]

_SHORTEST = DURATIONS[0]


class Batches:
    """Reads and answers the packets of one socket, many with two system calls."""

    def __init__(
        self,
        sock: socket.socket,
        pipeline: Pipeline,
        outbox: Outbox,
        overload: Overload,
        clock: Callable[[], float],
        sent: Callable[[], None],
    ) -> None:
        self.late = Late[Origin](self._send_late, sent)
        self._overload = overload
        self._pipeline = pipeline
        self._outbox = outbox
        self._clock = clock
        bound = Bound.of(sock)
        self._local, self._port = bound.address, bound.port
        self._is_wildcard = bound.is_wildcard
        self._is_v6 = sock.family == socket.AF_INET6
        self._slots = slots = Slots(sock, with_control=bound.is_wildcard)
        self._missed = 0
        """Packets of the batch at hand that were not answered from the table."""
        # perf: paced. A wake-up finds its caches cold: what it needs is bound once.
        self._data, self._lengths, self._start = slots.data, slots.lengths, slots.starts[0]
        self._names = slots.names
        self._receive_one, self._send_one = slots.receive_one, slots.send_one
        self._stamps = pipeline.stamps
        self._bind()

    def _bind(self) -> None:
        """Looks where `one` finds copies: nowhere if somebody wants to know more than their sum."""
        table, router = self._pipeline.table, self._pipeline.router
        self._table = table  # a reload replaces and empties it; a router kept would keep plugins
        views: dict[Hashable, Any] = {}  # Any: as in the table
        self._pending: list[View] = []
        wants_all = router.wants_each or router.wants_callers or self._pipeline.is_gated
        if table is not None and not wants_all:
            views, self._pending = table.views, table.pending
        self._look = views.get

    def one(self, now: float) -> bool:
        """Answers the packet that woke us; False when there was none."""
        # perf: paced. No errno, no lists, no second look, few calls; as `_answer` otherwise.
        size = self._receive_one()
        if size < 0:
            return False  # nothing there, or an ICMP error of an earlier reply
        pipeline = self._pipeline
        if pipeline.table is not self._table:
            self._bind()
        start, data = self._start + 2, self._data
        view = self._look(data[start : start + size - 2])
        if (
            view is None
            or view.gen != self._stamps.generation
            or now >= view.until
            or view.rotating
        ):
            self._slots.sizes[0] = size
            self._finish(1, now)
            return True
        hits = view.hits
        view.hits = hits + 1
        if not hits:
            self._pending.append(view)
        if self._is_v6 and self._slots.is_v6(0):
            view.hits_v6 += 1
        head = view.head
        size = len(head)
        data[start : start + size] = head
        self._lengths[0] = size + 2
        self._send_alone()
        took, latency = self._clock() - now, pipeline.latency
        if took > _SHORTEST:
            pipeline.served(1, now)
        else:
            latency.counts[0] += 1
            latency.sum += took
        return True

    def some(self, most: int, now: float) -> int:
        """Answers what waits, so many packets at most; how many there were."""
        count = self._slots.receive(most)
        if count > 0:
            self._finish(count, now)
        return abs(count)  # also an ICMP error of an earlier reply: the next packet is not to blame

    def _finish(self, count: int, now: float) -> None:
        """Answers the packets in the first slots, and tells of it."""
        slots, pipeline = self._slots, self._pipeline
        self._missed = 0
        places: Places = zip(counting(), slots.starts, slots.sizes[:count].tolist())
        if self._overload.sift is not None:
            places = self._sifted(places, self._overload.sift, count)
        try:
            self._answer(places, slots.are_v6(count), now)
        finally:
            self._send(count)
        if count > self._missed:
            wants = pipeline.router.wants_callers
            caller = address_of(slots.name(count - 1)) if wants else b""
            pipeline.served(count - self._missed, now, caller)
        pipeline.tell_due()

    def _answer(self, places: Places, are_v6: list[bool] | None, now: float) -> None:
        """Writes answers into the slots of packets, those from the table without a detour."""
        pipeline, slots = self._pipeline, self._slots
        table, stamps, generation = pipeline.table, pipeline.stamps, pipeline.stamps.generation
        is_told = pipeline.router.wants_each
        views, pending = ({}, []) if table is None else (table.views, table.pending)
        if is_told or pipeline.is_gated:
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
                packet, reply = data[at : at + size], None
                if view is not None or is_told:
                    reply = self._recall(slot, packet, are_v6, now)
                if reply is None:
                    reply = self._ask(slot, packet, now)
                if reply is None:
                    slots.skip(slot)
                else:
                    lengths[slot] = len(reply)
                    data[at : at + len(reply)] = reply
                generation = stamps.generation
        except BaseException:
            slots.skip(slot)
            self._answer(places, are_v6, now)  # its failure is not the next one's
            raise

    def _sifted(self, places: Places, sift: Sift, count: int) -> Places:
        """Leaves out the packets of those who send more than their share."""
        data, at, end = self._data, *((8, 24) if self._is_v6 else (4, 8))
        gone = sift([data[name + at : name + end] for name in self._names[:count]])
        if not gone:
            return places
        self._missed = len(gone)
        for slot in gone:
            self._slots.skip(slot)
        left = set(range(count)).difference(gone)
        return iter([place for place in places if place[0] in left])

    def _recall(
        self, slot: int, packet: bytes, are_v6: list[bool] | None, now: float
    ) -> bytes | None:
        """What the table has for a packet that needs more than a copy."""
        pipeline, name = self._pipeline, self._slots.name(slot)
        is_v6 = are_v6 is not None and are_v6[slot]
        reply = pipeline.recall(packet, name, now, is_v6=is_v6)
        if reply is not None and pipeline.router.wants_each:
            pipeline.recalled(packet, name, self._client(slot), reply, now)
        return reply

    def _ask(self, slot: int, packet: bytes, now: float) -> bytes | None:
        """What the chain says to a packet; None when that is nothing, or comes later."""
        self._missed += 1
        if self.late.underway >= self.late.most:
            self._pipeline.counters.add("kdns_busy_total", "udp")
            return busy(packet, now)
        said = self._pipeline.reply(packet, self._client(slot), now)
        if said is None or type(said) is bytes:
            return said
        waited = cast("Awaitable[bytes | None]", said)
        return self.late.wait_for(waited, self._slots.origin(slot))

    def _client(self, slot: int) -> Client:
        # perf: nx. Octets of the sockaddr where they lie; our own address only if in doubt.
        data, at, local = self._data, self._names[slot], self._local
        port = data[at + 2] << 8 | data[at + 3]
        address = unmapped(data[at + 8 : at + 24]) if self._is_v6 else data[at + 4 : at + 8]
        if self._is_wildcard:
            local = unmapped(self._slots.asked(slot))
        return Client(address, port, "udp", local, self._port)

    # What leaves

    def _send_alone(self) -> None:
        """Sends the answer in slot 0."""
        slots = self._slots
        if self._is_wildcard:
            slots.turn_one()
        try:
            if self._send_one() < 0:
                self._send(1)
        finally:
            slots.restore_one()

    def _send(self, count: int) -> None:
        """Sends the answers in the first slots, or keeps those that there is no room for."""
        slots, outbox = self._slots, self._outbox
        try:
            failed, left = slots.send(count) if not outbox.waiting else (0, list(range(count)))
            if failed:
                outbox.fail(failed)
            for slot in left:
                outbox.keep(slots.answer(slot), peer_of(slots.name(slot)), slots.control(slot))
        finally:
            slots.restore()

    def _send_late(self, replies: list[tuple[Origin, bytes]]) -> None:
        """Sends answers to packets whose slots have others by now."""
        for first in range(0, len(replies), COUNT):
            part = replies[first : first + COUNT]
            for slot, (origin, reply) in enumerate(part):
                self._slots.place(slot, origin, reply)
            self._send(len(part))
