"""The numbers of several processes become those of one: what Prometheus is told of all workers."""

from collections.abc import Iterable
from typing import Final

from kdns.observe.catalogue import METRICS
from kdns.observe.counters import Counters, Histogram, Labels

ADDED: Final = frozenset((
    "coredns_cache_entries", "process_open_fds", "process_virtual_memory_bytes",
    "process_resident_memory_bytes",
))  # fmt: skip
"""Gauges of what each process has for itself. Of all others the greatest is told."""
LEAST: Final = frozenset((
    "process_start_time_seconds", "kdns_tls_certificate_end_timestamp_seconds",
))  # fmt: skip

Values = list[tuple[Labels, float]]
"""Metric and labels, and the value."""
Shapes = list[tuple[Labels, tuple[float, ...], tuple[int, ...], float]]
"""Metric and labels of a histogram, its bounds, counts and sum."""


def numbers(counters: Counters) -> Iterable[tuple[Values, Shapes]]:
    """All that Counters hold and what is read when somebody asks, in parts that are soon made."""
    yield list(counters.values.items()), []
    for metric, read in counters.asked.items():
        yield [((metric, *labels), value) for labels, value in read()], []
    for key, one in list(counters.histograms.items()):
        yield [], [(key, tuple(one.bounds), tuple(one.counts), one.sum)]


def add(total: Counters, values: Values, shapes: Shapes) -> None:
    """Adds the numbers of a process."""
    for key, value in values:
        name = key[0]
        metric = METRICS.get(name)
        if key not in total.values or name in ADDED or (metric and metric.kind == "counter"):
            total.values[key] += value
        elif name in LEAST:
            total.values[key] = min(value, total.values[key])
        else:
            total.values[key] = max(value, total.values[key])
    for key, bounds, counts, sum_ in shapes:
        found = total.histograms.get(key)
        if found is None:
            found = total.histograms[key] = Histogram(bounds)
        found.counts = [one + more for one, more in zip(found.counts, counts, strict=True)]
        found.sum += sum_


def bequeath(total: Counters, values: Values, shapes: Shapes) -> None:
    """Adds what stays true of a process that is gone: what it has counted."""
    counted = [one for one in values if (it := METRICS.get(one[0][0])) and it.kind == "counter"]
    add(total, counted, shapes)
