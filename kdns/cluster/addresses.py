"""An index from packed addresses to numbers in eight octets an entry.

Entries are sorted 64-bit integers, 32 bits of the address's hash above the number, in 1024 short
arrays: adding and removing move one short array, so no change ever costs a rebuild. Two addresses
may share a hash; whoever asks looks the address up in what the number stands for.
"""

from array import array
from bisect import bisect_left, insort

_SHARDS = 1024


class AddressIndex:
    """A multiset of (address, number)."""

    __slots__ = ("_shards",)

    def __init__(self) -> None:
        self._shards = [array("Q") for _ in range(_SHARDS)]

    def add(self, address: bytes, number: int) -> None:
        """Adds a pair."""
        mixed = hash(address)
        insort(self._shards[mixed % _SHARDS], _tag(mixed) | number)

    def remove(self, address: bytes, number: int) -> None:
        """Takes out a pair that was added."""
        mixed = hash(address)
        shard = self._shards[mixed % _SHARDS]
        entry = _tag(mixed) | number
        at = bisect_left(shard, entry)
        assert shard[at] == entry, "only what was added is removed"
        del shard[at]

    def numbers(self, address: bytes) -> list[int]:
        """The numbers that may have this address, all that have it among them."""
        mixed = hash(address)
        shard = self._shards[mixed % _SHARDS]
        tag = _tag(mixed)
        at = bisect_left(shard, tag)
        found = []
        while at < len(shard) and shard[at] ^ tag < 1 << 32:
            found.append(shard[at] & 0xFFFFFFFF)
            at += 1
        return found


def _tag(mixed: int) -> int:
    return mixed & 0xFFFFFFFF00000000
