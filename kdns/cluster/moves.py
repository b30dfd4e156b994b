"""Endpoints on the move: which ones a slice loses that may turn up in another slice.

The rule that this carries out, and why, stands in store.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from kdns.cluster.objects import Slice

QUIET_S = 1.0
"""The controller writes a service's slices back to back: 20 writes a second when throttled."""
LIMIT_S = 5.0
"""A hundred slices, which is 10,000 endpoints, at those 20 a second."""
_FEW = 8


@dataclass(slots=True)
class Hold:
    """Endpoints that left a slice and are still answered, as a slice of their own."""

    piece: Slice
    since: float
    due: float
    marks: frozenset[bytes | str] = field(init=False)
    """What its endpoints could be known again by."""

    def __post_init__(self) -> None:
        self.marks = frozenset(marks(self.piece))

    def extend(self, wall: float) -> None:
        """Waits on: the slices of the service are still changing."""
        self.due = min(self.since + LIMIT_S, wall + QUIET_S)

    def is_over(self, wall: float) -> bool:
        """True when its time is up, or the clock was set back."""
        return wall >= self.due or wall < self.since


def marks(slice_: Slice) -> set[bytes | str]:
    """The addresses, pods and hostnames in a slice."""
    found: set[bytes | str] = {*addresses(slice_), *(slice_.pods or ()), *(slice_.hostnames or ())}
    found.discard("")
    return found


def addresses(slice_: Slice) -> list[bytes]:
    """The packed address of every endpoint, in order."""
    packed, width = slice_.addresses, slice_.width
    return [packed[at : at + width] for at in range(0, len(packed), width)] if width else []


def leaving(old: Slice, others: Iterable[Slice]) -> list[int]:
    """The ready endpoints of `old` that none of these slices has.

    perf: the slice that follows `old` should come first: it has nearly all of them.
    """
    gone = {at: one for at, one in enumerate(addresses(old)) if at not in old.unready}
    rest = [other for other in others if other.width == old.width]
    for other in rest:
        if not gone:
            return []
        if len(gone) > _FEW:
            there = set(addresses(other))
            gone = {at: one for at, one in gone.items() if one not in there}
        else:
            gone = {at: one for at, one in gone.items() if not any(True for _ in other.find(one))}
    if not gone or not (old.pods or old.hostnames):
        return list(gone)
    pods = _among({old.pod(at) for at in gone}, (other.pods for other in rest))
    hostnames = _among({old.hostname(at) for at in gone}, (other.hostnames for other in rest))
    return [
        at
        for at in gone
        if (old.pod(at) not in pods if old.pod(at) else old.hostname(at) not in hostnames)
    ]


def _among(wanted: set[str], columns: Iterable[tuple[str, ...] | None]) -> set[str]:
    """Those names that stand in one of the columns."""
    wanted.discard("")
    found: set[str] = set()
    for column in columns:
        found.update(wanted.intersection(column or ()))
    return found


def subset(whole: Slice, endpoints: Sequence[int], name: str) -> Slice:
    """A slice of some endpoints of another; all of them are ready."""
    return replace(
        whole,
        name=name,
        addresses=b"".join(map(whole.address, endpoints)),
        unready=frozenset(),
        hostnames=tuple(map(whole.hostname, endpoints)) if whole.hostnames else None,
        pods=tuple(map(whole.pod, endpoints)) if whole.pods else None,
        zones=tuple(map(whole.zone, endpoints)) if whole.zones else None,
        nodes=tuple(map(whole.node, endpoints)) if whole.nodes else None,
        hints=tuple(map(whole.hint, endpoints)) if whole.hints else None,
    )
