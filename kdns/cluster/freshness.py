"""When a source last heard of each kind of object: how old the data is that answers are made from.

A source calls `heard` for every sign that it is up to date: a list applied, an event, a bookmark.
Nobody else writes here; the kubernetes plugin reads it to flag stale answers, metrics to publish
it.
"""

from collections.abc import Callable, Mapping

from kdns.cluster.objects import Object


class Freshness:
    """The time of the last news, by kind; a kind is there once it is watched."""

    __slots__ = ("_clock", "_heard", "_since")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._heard: dict[type[Object], float | None] = {}

    def expect(self, kind: type[Object]) -> None:
        """Says that a kind is to be watched; nothing has been heard of it yet."""
        self._heard.setdefault(kind, None)

    def excuse(self, kind: type[Object]) -> None:
        """Says that nothing is known of a kind, and that all else does without it until it is."""
        self._heard.pop(kind, None)

    def heard(self, kind: type[Object]) -> None:
        """The source has just been shown to be up to date with a kind."""
        self._heard[kind] = self._clock()

    def heard_at(self) -> Mapping[type[Object], float | None]:
        """When the last news of each kind came, for whoever reads the same clock."""
        return dict(self._heard)

    def heard_elsewhere(self, kind: type[Object], at: float | None) -> None:
        """Another process heard of a kind for us, at that time; None where it did not yet."""
        if at is None:
            self.expect(kind)
        else:
            self._heard[kind] = at

    @property
    def is_whole(self) -> bool:
        """True once every expected kind has been heard of: the data is no mere snapshot."""
        return None not in self._heard.values()

    def ages(self) -> Mapping[type[Object], float]:
        """Seconds since the last news of each kind; since the start where there was none."""
        now = self._clock()
        return {kind: now - (self._since if at is None else at) for kind, at in self._heard.items()}

    def age(self) -> float:
        """The greatest of the ages, 0 where nothing is watched (files are always fresh)."""
        return max(self.ages().values(), default=0.0)
