"""The slices of a Store: by name, by service and by address, with endpoints on the move held.

Local and multicluster slices share one set of names, as they do in the API, and have a view by
service each. Only local endpoints are found by address: PTR knows no others.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator

from msgspec.structs import replace

from kdns.cluster.addresses import AddressIndex
from kdns.cluster.moves import QUIET_S, Hold, leaving, subset
from kdns.cluster.objects import Slice

Owner = tuple[str, str]
"""A service key and the source cluster, empty for a local service."""


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

    def get(self, namespace: str, name: str) -> Slice | None:
        """The slice of this name."""
        number = self._numbers.get(namespace, {}).get(name)
        return None if number is None else self._slots[number]

    def names(self) -> list[tuple[str, str]]:
        """Namespace and name of every slice that was put."""
        return [
            (n, name) for n, names in self._numbers.items() for name in names if "~" not in name
        ]

    def of(self, key: str) -> tuple[Slice, ...]:
        """The slices of a service, by name."""
        return self._local.get(key, ())

    def imported(self, key: str) -> tuple[Slice, ...]:
        """The multicluster slices of a service, by name."""
        return self._imported.get(key, ())

    def at(self, address: bytes) -> Iterator[tuple[Slice, int]]:
        """Every local slice and index with this address, by namespace and name."""
        found = [self._slots[number] for number in set(self._index.numbers(address))]
        known = [slice_ for slice_ in found if slice_ is not None]
        for slice_ in sorted(known, key=lambda s: (s.namespace, s.name)):
            for at in slice_.find(address):
                yield slice_, at

    def put(self, namespace: str, name: str, new: Slice | None) -> set[Hashable]:
        """Sets or, with None, takes out a slice; nothing is held."""
        old = self.get(namespace, name)
        if new is not None and new.labels:
            new = replace(new, labels=())
        if old == new:
            return set()
        number = self._number(namespace, name)
        before, after = _addresses(old), _addresses(new)
        for address in before - after:
            self._index.remove(address, number)
        for address in after - before:
            self._index.add(address, number)
        self._slots[number] = new
        if old is not None:
            self._show(old, None)
        if new is not None:
            self._show(new, new)
        else:
            self._forget(namespace, name, number)
        return diff(old, new)

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
        for owner in {_owner(slice_) for slice_ in (old, new) if slice_ is not None}:
            moved |= self._shrink(owner, wall)
        return moved | self._hold(old, wall) if old is not None and exists else moved

    def release(self, key: str, *, imported: bool) -> set[Hashable]:
        """Ends all holds of a service, or of an imported one."""
        ended = [o for o in self._holds if o[0] == key and bool(o[1]) == imported]
        return self._end(ended, lambda _: True)

    def release_all(self) -> set[Hashable]:
        """Ends all holds."""
        return self._end(list(self._holds), lambda _: True)

    def settle(self, wall: float) -> set[Hashable]:
        """Ends the holds whose time is up."""
        return self._end(list(self._holds), lambda hold: hold.is_over(wall))

    @property
    def settles_at(self) -> float | None:
        """When the next hold ends unless something happens."""
        return min((hold.due for holds in self._holds.values() for hold in holds), default=None)

    def _number(self, namespace: str, name: str) -> int:
        names = self._numbers.setdefault(namespace, {})
        if name not in names:
            names[name] = self._free.pop() if self._free else len(self._slots)
            if names[name] == len(self._slots):
                self._slots.append(None)
        return names[name]

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

    def _hold(self, old: Slice, wall: float) -> set[Hashable]:
        owner = _owner(old)
        slices = self._owned(owner)
        if not any(s.width == old.width and s.name != old.name for s in slices):
            return set()
        endpoints = leaving(old, _real(slices))
        if not endpoints:
            return set()
        self._count_holds += 1
        piece = subset(old, endpoints, f"{old.name}~{self._count_holds}")
        self._holds.setdefault(owner, []).append(Hold(piece, wall, wall + QUIET_S))
        return self.put(piece.namespace, piece.name, piece)

    def _shrink(self, owner: Owner, wall: float) -> set[Hashable]:
        """Takes out of the holds what shows up again; the rest waits on."""
        moved: set[Hashable] = set()
        slices = _real(self._owned(owner)) if owner in self._holds else []
        for hold in self._holds.get(owner, []):
            piece = hold.piece
            stay = leaving(piece, slices)
            if len(stay) < piece.count:
                hold.piece = subset(piece, stay, piece.name)
                moved |= self.put(piece.namespace, piece.name, hold.piece if stay else None)
            hold.extend(wall)
        self._drop(owner, lambda hold: not hold.piece.count)
        return moved

    def _end(self, owners: Iterable[Owner], ends: Callable[[Hold], bool]) -> set[Hashable]:
        moved: set[Hashable] = set()
        for owner in owners:
            for hold in filter(ends, self._holds[owner]):
                moved |= self.put(hold.piece.namespace, hold.piece.name, None)
            self._drop(owner, ends)
        return moved

    def _drop(self, owner: Owner, ends: Callable[[Hold], bool]) -> None:
        left = [hold for hold in self._holds.get(owner, ()) if not ends(hold)]
        if left:
            self._holds[owner] = left
        else:
            self._holds.pop(owner, None)


def _real(slices: Iterable[Slice]) -> list[Slice]:
    """The slices that are not held pieces of former ones."""
    return [s for s in slices if "~" not in s.name]


def diff(old: Slice | None, new: Slice | None) -> set[Hashable]:
    """The facts that differ: the services, and the addresses whose PTR answers do."""
    if old is not None and new is not None and _content(old) == _content(new):
        return set()
    moved: set[Hashable] = {slice_.key for slice_ in (old, new) if slice_ is not None}
    before, after = _facts(old), _facts(new)
    moved.update(a for a in before.keys() | after.keys() if before.get(a) != after.get(a))
    return moved


def _content(slice_: Slice) -> Slice:
    return replace(slice_, version="", labels=())


def _owner(slice_: Slice) -> Owner:
    return slice_.key, slice_.cluster


def _addresses(slice_: Slice | None) -> set[bytes]:
    """What the address index knows of a slice."""
    if slice_ is None or slice_.cluster:
        return set()
    return {slice_.address(at) for at in range(slice_.count)}


def _facts(slice_: Slice | None) -> dict[bytes, tuple[Hashable, ...]]:
    """What the PTR answers of each address depend on."""
    facts: dict[bytes, tuple[Hashable, ...]] = {}
    if slice_ is None or slice_.cluster:
        return facts
    for at in range(slice_.count):
        fact = (slice_.key, slice_.is_ready(at), slice_.hostname(at), slice_.pod(at))
        address = slice_.address(at)
        facts[address] = (*facts.get(address, ()), fact)
    return facts
