"""Every metric we publish: its kind, its label names, its buckets, and one line of help.

A test holds the code to this table: what is counted anywhere in kdns stands here, and nothing else.
"""

from dataclasses import dataclass
from typing import Final, Literal

DURATIONS: Final = tuple(0.00025 * 2**n for n in range(16))
SIZES: Final = (
    0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16000, 32000, 48000, 64000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: Final[dict[str, Metric]] = {
    "coredns_panics_total": Metric("counter", "Plugins that failed; each cost one SERVFAIL."),
    "kdns_data_age_seconds": Metric(
        "gauge", "Seconds since the API server last gave news of a resource.", ("resource",)
    ),
    "kdns_data_stale": Metric(
        "gauge", "1 while cluster answers carry the Stale Answer code, 0 otherwise."
    ),
    "kdns_drift_repaired_total": Metric(
        "counter", "Objects that the watch had missed and a comparison repaired.", ("resource",)
    ),
}
"""By name."""
