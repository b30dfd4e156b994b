"""Keeps answers in memory, bounded in number and octets, with the facts they were made from.

A shelf holds one kind of answer. Where there is no room the oldest entry leaves, unless it was hit
since it was last passed over; an entry says itself when it is over and whether its facts moved.
"""

from collections import OrderedDict
from collections.abc import Callable, MutableMapping

from msgspec import Struct

from kdns.wire import names
from kdns.wire.carried import Carried
from kdns.wire.message import Answer

LEAST_CAPACITY = 1024
_STEP = 256
"""Capacities are rounded down to a multiple of this (CoreDNS)."""
_MOST_LOOKS = 1000
"""How many entries may be passed to make room for one: a whole shelf was 35 ms."""
_OCTETS_PER_ENTRY = 2048
"""An average that bounds a shelf in octets too, for upstreams that send long answers."""

CacheKey = tuple[names.Key, int, int, bool, bool]


class Entry(Struct, gc=False):
    """A stored answer: what it says, how long, and the facts it was made from.

    perf: thousands of them live long; without `gc` the collector does not walk them.
    """

    key: CacheKey
    kind: str
    answer: Answer
    stored: float
    ttl: int
    expires: float
    """When it is over: its TTL is, or something it was made from."""
    touched: tuple[int, ...]
    mark: int
    size: int
    last: float
    """When it was hit last."""
    recheck_at: float
    """Before that time it is not asked again."""
    hits: int = 0
    """Hits, those the answer table served included."""
    counted: int = 0
    popularity: int = 0
    """Hits without a longer gap than `prefetch` allows."""
    is_refreshing: bool = False
    is_spared: bool = False

    def is_right(self, stamps: list[int]) -> bool:
        """True while none of its facts has changed."""
        return sum([stamps[at] for at in self.touched]) == self.mark


class Shelf:
    """The entries of one kind, bounded in number and octets; what was hit is spared once."""

    def __init__(
        self,
        kind: str,
        capacity: int,
        counted: MutableMapping[tuple[str, ...], float],
        label: Callable[[str, str], tuple[str, ...]],
    ) -> None:
        self.kind = kind
        self.capacity = max(capacity - capacity % _STEP, LEAST_CAPACITY)
        self.size = 0
        self._most_octets = self.capacity * _OCTETS_PER_ENTRY
        self._counted = counted
        self._held = label("coredns_cache_entries", kind)
        self._evicted = label("coredns_cache_evictions_total", kind)
        self._requests = label("coredns_cache_requests_total", "")
        self._hits = label("coredns_cache_hits_total", kind)
        self.entries: OrderedDict[CacheKey, Entry] = OrderedDict()
        """By key; only `put` and `drop` change it."""

    def put(self, entry: Entry) -> None:
        """Stores an entry; others leave where there is no room."""
        entries = self.entries
        if entry.key in entries:
            self.drop(entry.key)
        entries[entry.key] = entry
        self.size += entry.size
        evicted = looks = 0
        while len(entries) > self.capacity or self.size > self._most_octets:
            key, oldest = entries.popitem(last=False)
            looks += 1
            if oldest.is_spared and looks < _MOST_LOOKS:
                oldest.is_spared = False
                entries[key] = oldest
                continue
            self.size -= oldest.size
            if oldest.hits != oldest.counted:
                self.settle(oldest)
            evicted += 1
        if evicted:
            self._counted[self._evicted] += evicted
        if evicted != 1:
            self._counted[self._held] += 1 - evicted

    def drop(self, key: CacheKey) -> None:
        """Removes an entry, if it is there."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size
            self._counted[self._held] -= 1
            self.settle(entry)

    def settle(self, entry: Entry) -> None:
        """Counts the hits that the answer table has served from an entry since the last time."""
        served, entry.counted = entry.hits - entry.counted, entry.hits
        if served:
            self._counted[self._requests] += served
            self._counted[self._hits] += served


def size_of(answer: Answer) -> int:
    """About what an answer takes in memory."""
    if type(answer) is Carried:
        return 800 + len(answer.cargo.message) + len(answer.cargo.key)
    size = 800
    for rrset in answer.answer + answer.authority + answer.additional:
        rdatas = rrset.rdatas
        size += 150 + len(rrset.owner) + (40 + len(rdatas[0])) * len(rdatas)
        if len(rdatas) > 1:
            size += sum(map(len, rdatas)) - len(rdatas[0]) * len(rdatas)
    return size
