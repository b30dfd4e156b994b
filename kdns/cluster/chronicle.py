"""What happens to services and endpoints, and when: changes of a Store become lines that are kept.

A line says what became of an address of a service as a whole, whichever slice has it: one that
moves from slice to slice, or is held on its way (store.py), has not been removed. A first state is
one line. The last RING lines are kept, and of SERVICES services when their endpoints last changed.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from kdns.cluster.events import Change
from kdns.cluster.moves import addresses
from kdns.cluster.objects import Object, Service, Slice
from kdns.cluster.store import Store

RING: Final = 1000
SERVICES: Final = 10_000

Pair = tuple[Object | None, Object | None]


class Line(Struct, gc=False):
    """Something happened."""

    number: int
    at: float
    """Unix time it was applied: from then on it is answered."""
    service: str
    what: str
    address: bytes = b""
    name: str = ""
    """The pod or hostname of the endpoint."""
    ours_s: float = 0.0
    """Since its event had come in."""
    delay_s: float | None = None
    """Since its cause, where that is known."""


class Chronicle:
    """The lines of all clusters, numbered from 1."""

    def __init__(self) -> None:
        self.newest = 0
        """The number of the last line."""
        self._ring: deque[Line] = deque(maxlen=RING)
        self._times: dict[str, tuple[float, float]] = {}

    def add(self, line: Line) -> Line:
        """Numbers and keeps a line."""
        self.newest += 1
        line.number = self.newest
        self._ring.append(line)
        return line

    def after(self, number: int, most: int) -> tuple[list[Line], int]:
        """The lines since `number`, the newest of them, and how many more there were.

        A number that is yet to come was another process's.
        """
        count = self.newest - number if number <= self.newest else self.newest
        kept = min(count, most, len(self._ring))
        return [self._ring[at] for at in range(len(self._ring) - kept, len(self._ring))], (
            count - kept
        )

    def touched(self, service: str, received: float, applied: float) -> None:
        """The endpoints of a service have changed."""
        self._times.pop(service, None)
        self._times[service] = (received, applied)
        if len(self._times) > SERVICES:
            del self._times[next(iter(self._times))]

    def times(self, service: str) -> tuple[float, float] | None:
        """When the last change of a service's endpoints had come in, and when it was applied."""
        return self._times.get(service)


class Recorder:
    """Writes down what happens in one Store; the Feed says when a change has been applied."""

    def __init__(
        self,
        chronicle: Chronicle,
        store: Store,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._chronicle = chronicle
        self._store = store
        self._clock = clock
        self._wall = wall
        self.came_at: float | None = None
        """By the clock: when what is applied now had come in; None where that is not known."""
        self._pending: list[Pair] = []
        self._held: dict[str, set[bytes]] = {}
        """By service: addresses that are in no slice any more, but answered still."""
        self._fresh: dict[tuple[str, str, str], list[Line]] = {}
        """Lines whose cause may yet be told, by namespace, name and version of the slice."""
        self._fresh_count = 0
        self._at = self._ours_s = 0.0

    def note(self, old: Object | None, new: Object | None) -> None:
        """An object becomes another; told by the Store, within the change."""
        if self._store.has_synced and type(new or old) in _KINDS:
            self._pending.append((old, new))

    def listed(self) -> None:
        """The first state is whole."""
        self._begin()
        self._write("", f"listed: {len(self._store.services)} services")

    def applied(self, change: Change) -> None:
        """A change has been applied, and those who remember answers were told."""
        if self._pending:
            self._begin()
            self._record()
        if self._held and not change.keys.isdisjoint(self._held):
            self._begin()
            self._look_at_held(change)

    def caused(self, slice_: Slice, at: float) -> None:
        """Says when, in Unix time, that happened which changed this slice."""
        lines = self._fresh.pop((slice_.namespace, slice_.name, slice_.version), ())
        self._fresh_count -= len(lines)
        for line in lines:
            line.delay_s = max(line.at - at, line.ours_s)

    def _begin(self) -> None:
        self._at = self._wall()
        self._ours_s = max(self._clock() - self.came_at, 0.0) if self.came_at is not None else 0.0

    def _record(self) -> None:
        pending, self._pending = self._pending, []
        groups: dict[str, list[tuple[Slice | None, Slice | None]]] = {}
        for old, new in pending:
            if isinstance(new, Service) or isinstance(old, Service):
                self._record_service(old, new)
                continue
            known = [one for one in (old, new) if isinstance(one, Slice) and not one.cluster]
            for key in dict.fromkeys(one.key for one in known):
                was, now = (
                    one if isinstance(one, Slice) and one.key == key else None for one in (old, new)
                )
                groups.setdefault(key, []).append((was, now))
        for key, pairs in groups.items():
            self._record_slices(key, pairs)

    def _record_service(self, old: Object | None, new: Object | None) -> None:
        known = new or old
        assert isinstance(known, Service)
        if not (isinstance(old, Service) and isinstance(new, Service)):
            self._write(known.key, "service removed" if new is None else "service added")
        elif replace(old, version=new.version, labels=new.labels) != new:
            self._write(known.key, "changed")

    def _record_slices(self, key: str, pairs: list[tuple[Slice | None, Slice | None]]) -> None:
        """Tells what became of a service's addresses when some of its slices did."""
        self._chronicle.touched(key, self._at - self._ours_s, self._at)
        names = {one.name for pair in pairs for one in pair if one is not None}
        for old, new in pairs:
            lines: list[Line] = []
            for address in _differing(old, new):
                olds = [one for one, _ in pairs if one is not None]
                lines += self._record_address(key, address, olds, names)
            if old is not None and new is not None and old.ports != new.ports:
                lines.append(self._write(key, "changed"))
            if lines and new is not None and new.version:
                self._await_cause(new, lines)

    def _record_address(
        self, key: str, address: bytes, olds: list[Slice], names: set[str]
    ) -> list[Line]:
        # perf: up to a thousand addresses change at once; 3 us each
        rows = [row for row in self._store.endpoints_at(address) if row[0].key == key]
        held = self._held.get(key)
        was: bool | None = None
        if held is not None and address in held:
            was = True
        source, place = None, 0
        for old in olds:
            for place in old.find(address):
                source = old
                was = bool(was) or old.is_ready(place)
        now: bool | None = None
        is_in_slice = False
        for slice_, at in rows:
            is_held = "~" in slice_.name
            is_in_slice = is_in_slice or not is_held
            is_ready = slice_.is_ready(at)
            if not is_held and slice_.name not in names:
                was = bool(was) or is_ready
            now = bool(now) or is_ready
            source, place = slice_, at
        self._hold(key, address, is_held=now is not None and not is_in_slice)
        name = source and (source.pod(place) or source.hostname(place))
        return [self._write(key, what, address, name or "") for what in _told(was, now)]

    def _hold(self, key: str, address: bytes, *, is_held: bool) -> None:
        if is_held:
            self._held.setdefault(key, set()).add(address)
        elif key in self._held:
            self._held[key].discard(address)
            if not self._held[key]:
                del self._held[key]

    def _look_at_held(self, change: Change) -> None:
        """Tells what is gone for good."""
        for key in change.keys & self._held.keys():
            assert isinstance(key, str)
            for address in sorted(self._held[key]):
                rows = [row for row in self._store.endpoints_at(address) if row[0].key == key]
                is_held = bool(rows) and all("~" in slice_.name for slice_, _ in rows)
                self._hold(key, address, is_held=is_held)
                if not rows:
                    self._write(key, "removed", address)

    def _write(self, key: str, what: str, address: bytes = b"", name: str = "") -> Line:
        return self._chronicle.add(Line(0, self._at, key, what, address, name, self._ours_s))

    def _await_cause(self, slice_: Slice, lines: list[Line]) -> None:
        if self._fresh_count > RING:
            self._fresh.clear()
            self._fresh_count = 0
        self._fresh[slice_.namespace, slice_.name, slice_.version] = lines
        self._fresh_count += len(lines)


_KINDS = (Service, Slice)


def _told(was: bool | None, now: bool | None) -> tuple[str, ...]:
    """What became of an address that was there and ready, or there (False), or not (None)."""
    if was == now:
        return ()
    if now is None:
        return ("removed",)
    if was is None:
        return ("added",) if now else ("added", "not ready")
    return ("ready",) if now else ("not ready",)


def _differing(old: Slice | None, new: Slice | None) -> Iterable[bytes]:
    """The addresses that one has and the other has not, or not as ready, in order."""
    if old is None or new is None or old.width != new.width:
        return dict.fromkeys([*_all(old), *_all(new)])
    differ: dict[bytes, None] = {}
    if old.addresses != new.addresses:
        before, after = _middles(old, new)
        were, are = set(before), set(after)
        differ = dict.fromkeys(one for one in (*before, *after) if (one in were) != (one in are))
    if old.unready or new.unready:
        were, are = ({one.address(at) for at in one.unready} for one in (old, new))
        differ |= dict.fromkeys(sorted(were ^ are))
    return differ


def _all(slice_: Slice | None) -> list[bytes]:
    return [] if slice_ is None else addresses(slice_)


def _middles(old: Slice, new: Slice) -> tuple[list[bytes], list[bytes]]:
    """The addresses of each that are left without a common beginning and end.

    perf: mostly one address of a hundred goes or comes.
    """
    a, b, width = old.addresses, new.addresses, old.width
    least = min(len(a), len(b))
    start = _alike(a[:least], b[:least], "big") // width
    least -= start * width
    tail = _alike(a[len(a) - least :], b[len(b) - least :], "little") // width
    return (
        [a[at : at + width] for at in range(start * width, len(a) - tail * width, width)],
        [b[at : at + width] for at in range(start * width, len(b) - tail * width, width)],
    )


def _alike(a: bytes, b: bytes, order: Literal["big", "little"]) -> int:
    """How many octets are alike from the beginning on, or (`little`) from the end back."""
    differ = int.from_bytes(a, order) ^ int.from_bytes(b, order)
    return len(a) - (differ.bit_length() + 7) // 8
