"""The answer table: remembers what the chain said, and knows when that stopped being right.

Theory of operation (design.md §3). One table per listener and transport, two keys:

* `views`, by the packet from byte 2 on, exactly as received. A View holds the finished reply for
  that packet. `recall` is this look-up: no scan, no await, no allocation but the reply.
* `entries`, by the folded question. An Entry holds the whole message of one answer with its
  patches, so that another letter case, cookie or EDNS size does not run the chain again. A View is
  always rendered from an Entry.

An Entry is right while `now < until` and the sum of its stamps is the sum noted when they were
touched. Stamps only grow, so one sum stands for all of them; and while the generation stands still
nothing has changed at all, so a hit compares two numbers. What moves without making the answer
wrong is patched: the SOA serial when it moved, ageing TTLs once a second, rotation at every copy.

Answers that differ by class of asker stand behind a Fork: the classifiers they name, and an Entry
(or View) per class. Its generation is never the current one, so a Fork costs other hits nothing.

Nothing is admitted at first sight: the doorkeeper, one array of hashes, must have seen the question
before, so a flood of names asked once leaves no trace. Bytes are bounded; the ring (SIEVE) evicts
what was not hit since the hand last passed. An Entry outlives its Views.
"""

from array import array
from collections.abc import Callable, Hashable
from random import Random
from struct import pack_into
from typing import Any

from kdns.plugins.base import Classifier, Hit, Ledger, Stamps
from kdns.server.items import NEVER, Entry, Fork, Item, View, next_tick, serial_in
from kdns.server.router import Block
from kdns.wire.encode import WireAnswer, cut
from kdns.wire.message import Answer, Question

OVERHEAD_BYTES = 440
"""What an item costs beside its bytes: Struct, tuples, dict slot, ring place (tracemalloc: 430)."""
LOOKS = 1000
"""How far the hand goes for one item. A whole round, where all was hit, would take 11 ms."""

_DOOR = 0xFFFF
_ALL = (1 << 64) - 1


class AnswerTable:
    """Both keys, the doorkeeper and the ring. It knows nothing of chains or sockets."""

    def __init__(
        self,
        stamps: Stamps,
        chance: Random,
        address_of: Callable[[Any], bytes],  # Any: a peer as the transport has it
        limit_bytes: int = 16 << 20,
        *,
        whole: bool = False,
    ) -> None:
        self.stamps = stamps
        self.whole = whole  # streams: no reply is cut to what its asker takes
        self.limit_bytes = limit_bytes
        self._address_of = address_of
        self.size_bytes = 0
        self.views: dict[Hashable, Any] = {}  # Any: Views, and Items that stand in for them
        self.pending: list[View] = []
        """Views with hits that nobody was told of yet."""
        self.telling: list[View] = []
        """Those whose turn to be told has come."""
        self.entries: dict[Hashable, Item] = {}
        self._random = chance.random
        self._doors = array("Q", bytes(8 * _DOOR + 8))
        self._ring: list[Item | None] = []
        """None where an item was evicted, which is behind the hand only."""
        self._hand = 0
        self._holes = 0

    def recall(
        self, packet: bytes, peer: Hashable, now: float, *, is_v6: bool = False
    ) -> bytes | None:
        """The reply to a packet that was answered before, if that answer still stands."""
        view = self.view(packet, peer, now)
        if view is None:
            return None
        if not view.hits:
            self.pending.append(view)
        view.hits += 1
        if is_v6:
            view.hits_v6 += 1
        if not view.rotating:
            return packet[:2] + view.head
        return packet[:2] + view.head + self._records(view) + view.foot

    def view(self, packet: bytes, peer: Hashable, now: float) -> View | None:
        """The View of a packet, if it still stands."""
        view = self.views.get(packet[2:])
        if view is None:
            return None
        if view.gen == self.stamps.generation and now < view.until:
            return view  # type: ignore[no-any-return]  # perf: `views` holds nothing but Views
        return self._renewed(view, packet, peer, now)

    def find(self, fold: bytes, question: Question, address: bytes, now: float) -> Entry | None:
        """The Entry of a folded question, if it still stands and fits the asker's letter case."""
        name = question.name
        item = self.entries.get(fold)
        if item is None and name == question.key:
            return None
        if type(item) is not Entry or item.answer.is_case_bound:
            item = self._find_for(fold, question, address)
            if item is None:
                return None
        is_current = item.gen == self.stamps.generation and now < item.until and now < item.tick
        if not (is_current or self._stands(item, now)):
            return None
        item.is_spared = True
        for credit in item.credits:
            credit.hits += 1
        return item

    def _find_for(self, fold: bytes, question: Question, address: bytes) -> Entry | None:
        """The Entry for one letter case or class of askers."""
        name = question.name
        for key in (fold,) if name == question.key else (fold, fold + name):
            item = self.entries.get(key)
            if item is not None and item.fork is not None:
                item = item.fork.members.get(item.fork.class_of(address))
            if isinstance(item, Entry) and not (item.answer.is_case_bound and item.name != name):
                return item
        return None

    def remember(
        self,
        key: bytes,
        question: Question,
        address: bytes,
        now: float,
        answer: Answer,
        wire: WireAnswer,
        ledger: Ledger,
        block: Block | None,
    ) -> Entry | None:
        """Keeps an answer under its key: the folded question, and the name if its case matters.

        None when it is not kept. Owed before: `admits`.
        """
        ledger.settle()
        if now >= ledger.until or not ledger.is_right():
            return None
        size = OVERHEAD_BYTES + len(wire.wire) + 2 * len(key)
        entry = Entry(self.entries, key, size, name=question.name, answer=wire)
        entry.type, entry.do, entry.size_asked = question.type, question.do, question.size
        entry.gen, entry.until = self.stamps.generation, ledger.until
        entry.touched, entry.mark = tuple(ledger.touched), ledger.mark
        entry.size += 8 * len(entry.touched)
        if answer.serial is not None and wire.serial_at:
            entry.serial = answer.serial
            entry.serial_now = serial_in(wire)
            if entry.serial_now != answer.serial.serial:
                entry.gen = NEVER  # it moved while something was waited for
        if answer.aging is not None:
            entry.aging = answer.aging
            entry.tick = next_tick(answer.aging[0], now)
        entry.plugin, entry.block, entry.credits = answer.plugin, block, ledger.credits
        if ledger.finish is not None:
            entry.size_most = ledger.finish.size
        entry.metadata = ledger.told
        self._put(entry, ledger.audience, address)
        return entry

    def reply(
        self,
        entry: Entry,
        packet: bytes,
        question: Question,
        limit: int,
        address: bytes,
        now: float,
    ) -> bytes:
        """The reply to this packet from an Entry that stands; the second like it becomes a View."""
        name, key, answer, size = question.name, packet[2:], entry.answer, question.size
        if size > entry.size_most:
            size = entry.size_most
            if not self.whole:
                limit = min(limit, max(size, 512))
        is_again = self.admits(key)
        if not is_again and answer.block is None and len(answer.wire) <= limit:
            # perf: bench noisy; what a View would hold, of which nobody speaks again
            wire = answer.wire
            if (at := answer.opt_at) and size != entry.size_asked:
                wire = wire[: at + 3] + size.to_bytes(2, "big") + wire[at + 5 :]
            if name != entry.name:
                return packet[:2] + wire[2:12] + name + wire[answer.name_end :]
            return packet[:2] + wire[2:]
        view = View(self.views, key)
        view.entry, view.size_asked, view.limit = entry, size, limit
        self._render(view, name, now)
        if is_again:
            classifiers: tuple[Classifier, ...] = ()
            if entry.stand_in is not None and entry.stand_in.fork is not None:
                classifiers = entry.stand_in.fork.classifiers
            view.size = OVERHEAD_BYTES + len(packet) + len(view.head) + len(view.foot)
            entry.views += 1
            self._put(view, classifiers, address)
        if not view.rotating:
            return packet[:2] + view.head
        return packet[:2] + view.head + self._records(view) + view.foot

    def begin_telling(self) -> None:
        """Has all that was given up to now told next, what is being told first."""
        self.telling = self.pending + self.telling
        self.pending.clear()

    def take_hits(self, most: int) -> dict[Block, list[Hit]]:
        """What was given since it was last told, of so many views, by the block that answered."""
        taken: dict[Block, list[Hit]] = {}
        views, self.telling[-most:] = self.telling[-most:], []
        for view in views:
            entry = view.entry
            assert entry is not None
            self._credit(view)
            if entry.block is not None:
                taken.setdefault(entry.block, []).append(view.hit())
            view.is_spared = view.was_hit()
            view.hits = view.hits_v6 = view.credited = view.passed = 0
        return taken

    def _credit(self, view: View) -> None:
        """Lets those who want to know count the hits they do not know of yet."""
        assert view.entry is not None
        for credit in view.entry.credits:
            credit.hits += view.hits - view.credited
        view.credited = view.hits

    def fresh(self) -> "AnswerTable":
        """An empty one like it. This one is then to be cleared: items and homes form cycles."""
        other = AnswerTable(self.stamps, Random(), self._address_of, self.limit_bytes)
        other._random, other._doors, other.whole = self._random, self._doors, self.whole
        return other

    def shrink(self, most: int) -> bool:
        """Forgets so many items; False when none were left."""
        gone, self._ring[-most:] = self._ring[-most:], []
        for item in filter(None, gone):
            self._drop(item)
        self._hand = min(self._hand, len(self._ring))
        return bool(gone)

    def clear(self) -> None:
        """Forgets everything."""
        self.shrink(len(self._ring) or 1)

    # What stands, and how it is kept right

    def _stands(self, entry: Entry, now: float) -> bool:
        """True when nothing the entry depends on has moved; patches what moved harmlessly."""
        if now >= entry.until:
            return False
        if entry.gen != self.stamps.generation:
            values = self.stamps.values
            if sum([values[at] for at in entry.touched]) != entry.mark:
                return False
            entry.gen = self.stamps.generation
        if entry.serial is not None and entry.serial.serial != entry.serial_now:
            entry.serial_now = entry.serial.serial
            self._patch(entry, entry.answer.serial_at, entry.serial_now)
        if now >= entry.tick and entry.aging is not None:
            stored, ttl = entry.aging
            entry.tick = next_tick(stored, now)
            self._patch(entry, entry.answer.ttl_at, max(ttl - int(now - stored), 0))
        return True

    def _patch(self, entry: Entry, places: tuple[int, ...], value: int) -> None:
        wire = bytearray(entry.answer.wire)
        for at in places:
            pack_into("!I", wire, at, value & 0xFFFFFFFF)
        entry.answer.wire = bytes(wire)
        entry.edition += 1

    def _renewed(self, item: Item, packet: bytes, peer: Hashable, now: float) -> View | None:
        """The View behind an item that was not found right at once."""
        if item.fork is not None:
            behind = item.fork.members.get(item.fork.class_of(self._address_of(peer)))
            if behind is None or (behind.gen == self.stamps.generation and now < behind.until):
                return behind  # type: ignore[return-value]  # perf: a View, as all behind views
            item = behind
        if not isinstance(item, View) or item.entry is None:
            return None
        entry = item.entry
        self._credit(item)
        if not self._stands(entry, now):
            return None
        if item.edition != entry.edition:
            self._render(item, packet[12 : entry.answer.name_end], now)
        item.gen, item.until = entry.gen, min(entry.until, entry.tick)
        return item

    def _render(self, view: View, name: bytes, now: float) -> None:
        """Writes an Entry's message for one asker: his letter case, his EDNS size, his limit."""
        entry = view.entry
        assert entry is not None
        answer = entry.answer
        wire = answer.wire
        if name != entry.name:
            wire = wire[:12] + name + wire[answer.name_end :]
        if at := answer.opt_at:
            wire = wire[: at + 3] + view.size_asked.to_bytes(2, "big") + wire[at + 5 :]
        reply = cut(wire, answer.name_end, answer.opt_at, view.limit)
        view.gen, view.until, view.edition = entry.gen, min(entry.until, entry.tick), entry.edition
        view.head, view.foot, view.rotating = reply[2:], b"", 0
        if answer.block is not None:
            start, stride, count = answer.block
            opt = len(wire) - answer.opt_at if answer.opt_at else 0
            kept = count if reply is wire else (len(reply) - opt - start) // stride
            if kept > 0:
                view.rotating = min(kept, count)
                view.head = reply[2:start]
                view.foot = reply[start + view.rotating * stride :]

    def _records(self, view: View) -> bytes:
        """As many address records as the reply holds, from a random one on."""
        assert view.entry is not None
        answer = view.entry.answer
        assert answer.block is not None
        start, stride, count = answer.block
        end = start + count * stride
        first = start + int(self._random() * count) * stride
        size = view.rotating * stride
        records = answer.wire[first : min(first + size, end)]
        return records + answer.wire[start : start + size - len(records)]

    # Who comes in, and who goes

    def admits(self, key: Hashable) -> bool:
        """True when the doorkeeper saw this key before; it has now."""
        mark = hash(key) & _ALL
        at = mark & _DOOR
        if self._doors[at] == mark:
            return True
        self._doors[at] = mark
        return False

    def _put(self, item: Item, classifiers: tuple[Classifier, ...], address: bytes) -> None:
        """Lets an item in, in place of the one under its key, behind a Fork if classes differ."""
        old = item.home.get(item.key)
        if classifiers:
            if old is None or old.fork is None or not set(classifiers) <= set(old.fork.classifiers):
                joined = classifiers
                if old is not None and old.fork is not None:
                    joined = tuple(dict.fromkeys(old.fork.classifiers + classifiers))
                stand_in = Item(item.home, item.key, fork=Fork(joined, {}))
                item.home[item.key] = stand_in
            else:
                stand_in = old
            assert stand_in.fork is not None
            item.stand_in = stand_in
            item.home, item.key = stand_in.fork.members, stand_in.fork.class_of(address)
        item.home[item.key] = item
        self._ring.append(item)
        self.size_bytes += item.size
        for _ in range(LOOKS):
            if self.size_bytes <= self.limit_bytes or not self._ring:
                break
            self._advance()

    def _advance(self) -> None:
        """Moves the hand one place, from the oldest to the newest and round again."""
        is_round = self._hand >= len(self._ring)
        if is_round or 2 * self._holes > len(self._ring):
            # Not at the end alone: a flood that is never hit adds as fast as the hand goes.
            spared = [item for item in self._ring[: self._hand] if item is not None]
            self._ring[: self._hand] = spared
            self._hand = 0 if is_round else len(spared)
            self._holes = 0
            return
        item = self._ring[self._hand]
        if item is not None:
            is_current = item.home.get(item.key) is item
            is_busy = isinstance(item, Entry) and item.views > 0
            if is_busy or (is_current and item.was_hit()):
                item.is_spared = False
            else:
                self._evict(item)
        self._hand += 1

    def _evict(self, item: Item) -> None:
        self._ring[self._hand] = None
        self._holes += 1
        self._drop(item)

    def _drop(self, item: Item) -> None:
        self.size_bytes -= item.size
        if isinstance(item, View) and item.entry is not None:
            item.entry.views -= 1
        if item.home.get(item.key) is item:
            del item.home[item.key]
        stand_in = item.stand_in
        if stand_in is None or stand_in.fork is None or stand_in.fork.members:
            return
        if stand_in.home.get(stand_in.key) is stand_in:
            del stand_in.home[stand_in.key]
