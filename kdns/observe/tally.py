"""A counter that the answer table can raise by itself, for every hit on an answer it counted."""

from kdns.observe.counters import Counters


class Tally:
    """One metric with its labels; `hits` is what it has counted so far."""

    __slots__ = ("_counters", "_hits", "_key")

    def __init__(self, counters: Counters, *key: str) -> None:
        self._counters = counters
        self._key = key
        self._hits = 0

    @property
    def hits(self) -> int:
        """How often it happened."""
        return self._hits

    @hits.setter
    def hits(self, hits: int) -> None:
        self._counters.add(*self._key, by=hits - self._hits)
        self._hits = hits
