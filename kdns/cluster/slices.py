"""The slices of a Store: by name, by service and by address, with endpoints on the move held.

Local and multicluster slices share one set of names, as they do in the API, and have a view by
service each. Only local endpoints are found by address: PTR knows no others.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import count, repeat
from typing import cast

from msgspec.structs import replace

from kdns.cluster.addresses import AddressIndex
from kdns.cluster.moves import QUIET_S, Hold, addresses, leaving, marks, subset
from kdns.cluster.objects import Slice

Owner = tuple[str, str]
"""A service key and the source cluster, empty for a local service."""

AT_ONCE = 16
"""Holds that end in one go; what a service of 10,000 endpoints held would take too long."""


class SliceTable:
    """Slices and their indexes. Every method that changes it says which keys it moved."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._slots: list[Slice | None] = []
        self._free: list[int] = []
        self._local: dict[str, tuple[Slice, ...]] = {}
        self._imported: dict[str, tuple[Slice, ...]] = {}
        self._index = AddressIndex()
        self._holds: dict[Owner, list[Hold]] = {}
        self._count_holds = 0
        self._due: float | None = None
        self._settled_at = float("-inf")

    def frozen(self) -> "SliceTable":
        """The slices of all services as they are now, to be found by service alone."""
        kept = SliceTable()
        kept._local, kept._imported = dict(self._local), dict(self._imported)
        return kept

    def get(self, namespace: str, name: str) -> Slice | None:
        """The slice of this name."""
        number = self._numbers.get(namespace, {}).get(name)
        return None if number is None else self._slots[number]

    def names(self) -> Iterator[tuple[str, str]]:
        """Namespace and name of every slice that was put; what is named may be taken out."""
        for namespace in list(self._numbers):
            for name in list(self._numbers.get(namespace, ())):
                if "~" not in name:
                    yield namespace, name

    def all(self) -> list[Slice]:
        """Every slice that was put."""
        return [s for s in self._slots if s is not None and "~" not in s.name]

    def of(self, key: str) -> tuple[Slice, ...]:
        """The slices of a service, by name."""
        return self._local.get(key, ())

    def imported(self, key: str) -> tuple[Slice, ...]:
        """The multicluster slices of a service, by name."""
        return self._imported.get(key, ())

    def at(self, address: bytes) -> list[tuple[Slice, int]]:
        """Every local slice and index with this address, by namespace and name."""
        numbers = self._index.numbers(address)
        if len(numbers) > 1:
            numbers = sorted(set(numbers), key=self._order)
        found = []
        for number in numbers:  # perf: bench once PTR; mostly one
            slice_ = self._slots[number]
            if slice_ is not None:
                for at in slice_.find(address):
                    found.append((slice_, at))  # noqa: PERF401
        return found

    def _order(self, number: int) -> tuple[str, str]:
        slice_ = self._slots[number]
        return (slice_.namespace, slice_.name) if slice_ is not None else ("", "")

    def tidy(self) -> Iterator[None]:
        """Makes the next changes cheap, bit by bit."""
        return self._index.tidy()

    def put(self, namespace: str, name: str, new: Slice | None) -> set[Hashable]:
        """Sets or, with None, takes out a slice; nothing is held."""
        old = self.get(namespace, name)
        if old == new:
            return set()
        number = self._number(namespace, name)
        if old is None and new is not None:
            return self._put_new(new, number)
        before, after = _indexed(old), _indexed(new)
        if before != after:
            left, come = set(before), set(after)
            for address in left - come:
                self._index.remove(address, number)
            for address in come - left:
                self._index.add(address, number)
        self._slots[number] = new
        if old is not None and (new is None or _owner(old) != _owner(new)):
            self._show(old, None)
        if new is not None:
            self._show(new, new)
        else:
            self._forget(namespace, name, number)
        return diff(old, new, before, after)

    def _put_new(self, new: Slice, number: int) -> set[Hashable]:
        """What `put` does where there was nothing."""  # perf: bench-cluster, a fifth of the time
        self._slots[number] = new
        self._show(new, new)
        moved: set[Hashable] = set(_indexed(new))
        self._index.add_all(cast("set[bytes]", moved), number)
        moved.add(new.key)
        return moved

    def change(
        self, namespace: str, name: str, new: Slice | None, *, exists: bool, wall: float
    ) -> set[Hashable]:
        """Puts a slice, and holds what `old` loses on evidence of a move (see moves.py).

        `exists` says whether the service of the old slice is there.
        """
        old = self.get(namespace, name)
        moved = self.put(namespace, name, new)
        if not moved:
            return moved
        is_moving = old is not None and _owner(old) in self._holds
        if self._holds:
            for owner in {_owner(slice_) for slice_ in (old, new) if slice_ is not None}:
                moved |= self._shrink(owner, new, wall)
        if old is None or not exists:
            return moved
        return moved | self._hold(old, new, wall, is_moving=is_moving)

    def release(self, key: str, *, imported: bool) -> set[Hashable]:
        """Ends all holds of a service, or of an imported one."""
        ended = [o for o in self._holds if o[0] == key and bool(o[1]) == imported]
        return self._end(ended, lambda _: True)

    def release_some(self) -> set[Hashable]:
        """Ends some holds, whether or not their time is up; says nothing when none is left."""
        return self._end(list(self._holds), lambda _: True, AT_ONCE)

    def settle(self, wall: float) -> set[Hashable]:
        """Ends holds whose time is up, so many at a time."""
        due = self.settles_at
        if due is None or self._settled_at <= wall < due:
            self._settled_at = wall
            return set()
        self._settled_at = wall
        return self._end(list(self._holds), lambda hold: hold.is_over(wall), AT_ONCE)

    @property
    def settles_at(self) -> float | None:
        """When the next hold ends unless something happens."""
        if self._due is None and self._holds:
            self._due = min(hold.due for holds in self._holds.values() for hold in holds)
        return self._due

    def _number(self, namespace: str, name: str) -> int:
        names = self._numbers.setdefault(namespace, {})
        number = names.get(name)
        if number is None:
            number = self._free.pop() if self._free else len(self._slots)
            if number == len(self._slots):
                self._slots.append(None)
            names[name] = number
        return number

    def _forget(self, namespace: str, name: str, number: int) -> None:
        self._free.append(number)
        names = self._numbers[namespace]
        del names[name]
        if not names:
            del self._numbers[namespace]

    def _show(self, slice_: Slice, new: Slice | None) -> None:
        """Sets the slice of this name in the view of its service."""
        views = self._imported if slice_.cluster else self._local
        key = slice_.key
        if new is not None and key not in views:
            views[key] = (new,)
            return
        view = [other for other in views.get(key, ()) if other.name != slice_.name]
        if new is not None:
            view.append(new)
            view.sort(key=lambda s: s.name)
        if view:
            views[key] = tuple(view)
        else:
            views.pop(key, None)

    def _owned(self, owner: Owner) -> list[Slice]:
        """The slices of a service and cluster, the held ones among them."""
        key, cluster = owner
        view = self.imported(key) if cluster else self.of(key)
        return [s for s in view if s.cluster == cluster]

    def _hold(
        self, old: Slice, new: Slice | None, wall: float, *, is_moving: bool
    ) -> set[Hashable]:
        """Holds what left `old`, if there is a slice to go to or others were on the move."""
        owner = _owner(old)
        slices = self._owned(owner)
        if not (is_moving or any(s.width == old.width and s.name != old.name for s in slices)):
            return set()
        first = [new] if new is not None and _owner(new) == owner else []
        endpoints = leaving(old, first + [s for s in _real(slices) if s is not new])
        if not endpoints:
            return set()
        self._count_holds += 1
        piece = subset(old, endpoints, f"{old.name}~{self._count_holds}")
        self._holds.setdefault(owner, []).append(Hold(piece, wall, wall + QUIET_S))
        self._due = None
        return self.put(piece.namespace, piece.name, piece)

    def _shrink(self, owner: Owner, new: Slice | None, wall: float) -> set[Hashable]:
        """Takes out of the holds what shows up in a slice; the rest waits on."""
        moved: set[Hashable] = set()
        arrived = marks(new) if new is not None and _owner(new) == owner else set()
        for hold in self._holds.get(owner, []):
            piece = hold.piece
            if new is not None and not hold.marks.isdisjoint(arrived):
                stay = leaving(piece, [new])
                if len(stay) < piece.count:
                    hold.piece = subset(piece, stay, piece.name)
                    moved |= self.put(piece.namespace, piece.name, hold.piece if stay else None)
            hold.extend(wall)
        self._keep(owner, [hold for hold in self._holds.get(owner, ()) if hold.piece.count])
        return moved

    def _end(
        self, owners: Iterable[Owner], ends: Callable[[Hold], bool], most: int | None = None
    ) -> set[Hashable]:
        moved: set[Hashable] = set()
        for owner in owners:
            ended = [hold for hold in self._holds[owner] if ends(hold)][:most]
            for hold in ended:
                moved |= self.put(hold.piece.namespace, hold.piece.name, None)
            gone = set(map(id, ended))
            self._keep(owner, [hold for hold in self._holds[owner] if id(hold) not in gone])
            if most is not None:
                most -= len(ended)
                if not most:
                    break
        return moved

    def _keep(self, owner: Owner, holds: list[Hold]) -> None:
        self._due = None
        if holds:
            self._holds[owner] = holds
        else:
            self._holds.pop(owner, None)


def _real(slices: Iterable[Slice]) -> list[Slice]:
    """The slices that are not held pieces of former ones."""
    return [s for s in slices if "~" not in s.name]


def diff(
    old: Slice | None, new: Slice | None, before: list[bytes], after: list[bytes]
) -> set[Hashable]:
    """The facts that differ: the services, and the addresses whose PTR answers do.

    `before` and `after` are what the address index knows of the slices.
    """
    if old is not None and new is not None and _content(old) == _content(new):
        return set()
    moved: set[Hashable] = {slice_.key for slice_ in (old, new) if slice_ is not None}
    if len(moved) > 1:  # it changed hands: every address did
        return moved.union(before, after)
    were, are = _facts(old, before), _facts(new, after)
    if len(before) == len(after):  # perf: bench-cluster; most stay where they are
        pairs = [(one, other) for one, other in zip(were, are, strict=True) if one != other]
        differ = {one for one, _ in pairs} ^ {other for _, other in pairs}
    else:
        differ = set(were) ^ set(are)
    moved.update([fact[0] for fact in differ])
    return moved


def _content(slice_: Slice) -> Slice:
    return replace(slice_, version="")


def _owner(slice_: Slice) -> Owner:
    return slice_.key, slice_.cluster


def _indexed(slice_: Slice | None) -> list[bytes]:
    """What the address index knows of a slice."""
    return [] if slice_ is None or slice_.cluster else addresses(slice_)


def _facts(slice_: Slice | None, found: list[bytes]) -> Iterable[tuple[bytes, bool, str, str, int]]:
    """What the PTR answers of each address depend on; the last part is the place
    among those with the same address."""
    if slice_ is None or not found:
        return ()
    ready: Iterable[bool] = repeat(True)
    if slice_.unready:
        ready = [slice_.is_ready(at) for at in range(len(found))]
    places: Iterable[int] = repeat(0)
    if len(set(found)) < len(found):
        counts = {one: count() for one in found}
        places = [next(counts[one]) for one in found]
    names = slice_.hostnames or repeat(""), slice_.pods or repeat("")
    return zip(found, ready, *names, places, strict=False)
