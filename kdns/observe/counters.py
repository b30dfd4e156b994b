"""Counts things under a name and labels; a collector publishes them when it is asked."""

from collections import defaultdict


class Counters:
    """Numbers by (metric, label values…). Adding is one dict operation, never a lock."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: defaultdict[tuple[str, ...], int] = defaultdict(int)

    def add(self, metric: str, *labels: str, by: int = 1) -> None:
        """Adds `by` to a counter."""
        self.values[(metric, *labels)] += by

    def set(self, metric: str, *labels: str, to: int) -> None:
        """Sets a number that is a state, not a count (a gauge)."""
        self.values[(metric, *labels)] = to
