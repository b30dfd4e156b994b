"""What the answer table holds: answers, replies to packets, stand-ins where askers differ.

The table's two dicts lead to Items, its ring says which goes next (server.table).
"""

from collections.abc import Hashable

from msgspec import Struct

from kdns.plugins.base import Classifier, Credit, Hit
from kdns.server.router import Block
from kdns.wire.encode import WireAnswer
from kdns.wire.message import Serial

NEVER = -1


class Item(Struct, gc=False):
    """What stands in the ring: where it lives, its size, how often it was hit."""

    home: dict[Hashable, "Item"]
    key: Hashable
    size: int = 0
    gen: int = NEVER
    """The generation in which it was last found right."""
    until: float = 0.0
    is_spared: bool = False
    """It was hit since the hand last passed."""
    fork: "Fork | None" = None
    """Set on the stand-in of answers that differ by class: it holds no answer itself."""
    stand_in: "Item | None" = None
    """The stand-in this item is behind."""

    def was_hit(self) -> bool:
        """True when it was hit since the hand last passed, which it does now."""
        return self.is_spared


class Fork(Struct, gc=False):
    """Items of one question by class of asker."""

    classifiers: tuple[Classifier, ...]
    members: dict[Hashable, Item]

    def class_of(self, address: bytes) -> Hashable:
        """The class of an asker, joined over the classifiers."""
        return tuple([classifier.classify(address) for classifier in self.classifiers])


class Entry(Item, gc=False, kw_only=True):
    """One remembered answer, its wire patched as of `edition`."""

    name: bytes
    answer: WireAnswer
    type: int = 0
    do: bool = False
    touched: tuple[int, ...] = ()
    mark: int = 0
    serial: Serial | None = None
    serial_now: int = 0
    aging: tuple[float, int] | None = None
    tick: float = float("inf")
    """When the TTLs in the wire must next be counted down."""
    edition: int = 0
    size_asked: int = 512
    """The size in its OPT: that of the first asker."""
    size_most: int = 65535
    """What an asker's size counts as at most."""
    views: int = 0
    """Views of it that stand; the hand spares it while there are any."""
    plugin: str = ""
    block: Block | None = None
    """The server block that answered, for its observers."""
    credits: tuple[Credit, ...] = ()
    metadata: dict[str, str] | None = None


class View(Item, gc=False):
    """The reply to one exact packet, from byte 2 on; around `rotating` records if there are any."""

    entry: Entry | None = None
    head: bytes = b""
    foot: bytes = b""
    rotating: int = 0
    """How many records of the entry's block go into this reply; 0 when `head` is all of it."""
    edition: int = NEVER
    size_asked: int = 512
    limit: int = 512
    hits: int = 0
    """How often it was given since that was last told; the first time puts it on `pending`."""
    hits_v6: int = 0
    """How many of these to askers over IPv6."""
    credited: int = 0
    """How many of these the entry's credits know of."""
    passed: int = 0
    """How many of these there were when the hand last passed."""

    def was_hit(self) -> bool:
        passed, self.passed = self.passed, self.hits
        return self.is_spared or self.hits != passed

    def hit(self) -> Hit:
        """What is told of it."""
        entry, asker = self.entry, self.stand_in or self
        assert entry is not None
        size = 2 + len(self.head) + len(self.foot)
        if self.rotating and entry.answer.block is not None:
            size += self.rotating * entry.answer.block[1]
        packet = b"\0\0" + asker.key  # type: ignore[operator]  # the first key is a packet
        code, counts = self.head[1] & 0xF, (self.hits, self.hits_v6)
        return Hit(packet, len(packet), entry.type, entry.do, size, code, entry.plugin, *counts)


def serial_in(wire: WireAnswer) -> int:
    """The SOA serial in a message."""
    at = wire.serial_at[0]
    return int.from_bytes(wire.wire[at : at + 4], "big")


def next_tick(stored: float, now: float) -> float:
    """The next moment at which a TTL counted from `stored` goes down."""
    return stored + int(now - stored) + 1
