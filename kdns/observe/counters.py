"""Counts things under a name and labels; a collector publishes them when it is asked.

Names, help texts, label names and buckets stand in catalogue.py; here are only the numbers.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

Labels = tuple[str, ...]


class Histogram:
    """How many values fell into each bucket, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        """Upper bounds, each inclusive; what is above the last goes into one more bucket."""
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Counts a value."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def add(self, other: "Histogram") -> None:
        """Counts what another one of the same bounds has counted."""
        for at, count in enumerate(other.counts):
            self.counts[at] += count
        self.sum += other.sum

    def split(self, count: int, whole: int) -> "Histogram":
        """Takes `count` of the `whole` that are in here out, the lowest first."""
        part = Histogram(self.bounds)
        part.sum = self.sum * count / whole if whole else 0.0
        self.sum -= part.sum
        for at, here in enumerate(self.counts):
            part.counts[at] = taken = min(here, count)
            self.counts[at] -= taken
            count -= taken
        return part


class Counters:
    """Numbers by (metric, label values…). Adding is one dict operation, never a lock."""

    __slots__ = ("asked", "histograms", "values")

    def __init__(self) -> None:
        self.values: defaultdict[tuple[str, ...], float] = defaultdict(int)
        self.histograms: dict[tuple[str, ...], Histogram] = {}
        self.asked: dict[str, Callable[[], Iterable[tuple[Labels, float]]]] = {}
        """Gauges that are read when somebody asks, by metric: label values and value of each."""

    def add(self, metric: str, *labels: str, by: float = 1) -> None:
        """Adds `by` to a counter."""
        self.values[(metric, *labels)] += by

    def set(self, metric: str, *labels: str, to: float) -> None:
        """Sets a number that is a state, not a count (a gauge)."""
        self.values[(metric, *labels)] = to

    def histogram(self, bounds: Sequence[float], metric: str, *labels: str) -> Histogram:
        """The one histogram of this metric and labels, to be kept by whoever fills it."""
        key = (metric, *labels)
        found = self.histograms.get(key)
        if found is None:
            found = self.histograms[key] = Histogram(bounds)
        return found

    def ask(self, metric: str, read: Callable[[], Iterable[tuple[Labels, float]]]) -> None:
        """Publishes what `read` says at the moment somebody asks.

        `read` outlives a reload: one that held a plugin would hold all that the plugin knows.
        """
        self.asked[metric] = read
