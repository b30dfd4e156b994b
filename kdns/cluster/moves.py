"""Endpoints on the move: which ones a slice loses that may turn up in another slice.

The rule that this carries out, and why, stands in store.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from kdns.cluster.objects import Slice

QUIET_S = 1.0
"""The controller writes a service's slices back to back: 20 writes a second when throttled."""
LIMIT_S = 5.0
"""A hundred slices, which is 10,000 endpoints, at those 20 a second."""


@dataclass(slots=True)
class Hold:
    """Endpoints that left a slice and are still answered, as a slice of their own."""

    piece: Slice
    since: float
    due: float

    def extend(self, wall: float) -> None:
        """Waits on: the slices of the service are still changing."""
        self.due = min(self.since + LIMIT_S, wall + QUIET_S)

    def is_over(self, wall: float) -> bool:
        """True when its time is up, or the clock was set back."""
        return wall >= self.due or wall < self.since


def leaving(old: Slice, others: Sequence[Slice]) -> list[int]:
    """The ready endpoints of `old` that none of the service's slices has."""
    gone = [at for at in range(old.count) if old.is_ready(at) and not _stands(old, at, others)]
    if not gone or not (old.pods or old.hostnames):
        return gone
    pods, hostnames = _identities(other for other in others if other.width == old.width)
    return [
        at
        for at in gone
        if (old.pod(at) not in pods if old.pod(at) else old.hostname(at) not in hostnames)
    ]


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
    )


def _stands(old: Slice, at: int, others: Iterable[Slice]) -> bool:
    address = old.address(at)
    # perf: the plain search settles nearly all of 100 slices; `find` only looks where it hit
    return any(
        address in other.addresses and any(True for _ in other.find(address)) for other in others
    )


def _identities(slices: Iterable[Slice]) -> tuple[set[str], set[str]]:
    """The pods and hostnames in use."""
    pods: set[str] = set()
    hostnames: set[str] = set()
    for slice_ in slices:
        pods.update(slice_.pods or ())
        hostnames.update(slice_.hostnames or ())
    return pods, hostnames - {""}
