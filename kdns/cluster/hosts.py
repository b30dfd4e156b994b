"""Hosts that objects of a cluster want to have, as names that exist: an index that says what moved.

A fact is a host's own wire name. A name exists while it, or one below it, is a host: so a Change
names the host and those ancestors that begin or cease to exist. `*` in front of a host is a label
as any other here; what it stands for is told by kdns.zone.hosts (RFC 4592).
"""

from collections.abc import Hashable, Iterable

from kdns.wire import names
from kdns.wire.names import ROOT, Key, parent

Owner = tuple[str, str]
"""What an object is called here: its kind, and its namespace/name."""


class HostTable:
    """Hosts by owner, and owners by host."""

    def __init__(self) -> None:
        self._of: dict[Owner, tuple[Key, ...]] = {}
        self._at: dict[Key, tuple[Owner, ...]] = {}
        self._below: dict[Key, int] = {}
        """How many hosts are at or below a name."""

    def at(self, key: Key) -> tuple[Owner, ...]:
        """Whose a host is, in a stable order."""
        return self._at.get(key, ())

    def exists(self, key: Key) -> bool:
        """True for a host and for whatever one is below of."""
        return key in self._below

    def below(self, zone: Key) -> list[Key]:
        """The hosts in a zone, by name."""
        return sorted(key for key in self._at if key.endswith(zone) and names.is_below(key, zone))

    def of(self, owner: Owner) -> tuple[Key, ...]:
        """The hosts of an object."""
        return self._of.get(owner, ())

    def put(self, owner: Owner, hosts: Iterable[str]) -> set[Hashable]:
        """Changes what an object wants; all its hosts are named, since what they say may differ."""
        new = tuple(dict.fromkeys(names.parse_key(host) for host in hosts))
        old = self._of.pop(owner, ())
        if new:
            self._of[owner] = new
        moved: set[Hashable] = {*old, *new}
        for key in set(old).difference(new):
            left = tuple(other for other in self._at.pop(key) if other != owner)
            if left:
                self._at[key] = left
            else:
                moved |= self._count(key, -1)
        for key in set(new).difference(old):
            if key not in self._at:
                moved |= self._count(key, 1)
            self._at[key] = tuple(sorted((*self._at.get(key, ()), owner)))
        return moved

    def _count(self, key: Key, by: int) -> set[Hashable]:
        """Counts a host at itself and its ancestors: those whose existence that changes."""
        moved: set[Hashable] = set()
        while key != ROOT:
            count = self._below.get(key, 0) + by
            if count:
                self._below[key] = count
            else:
                del self._below[key]
            if count == (by > 0):
                moved.add(key)
            key = parent(key)
        return moved
