"""What is counted of one upstream, under the names of CoreDNS; labels are put together once."""

from bisect import bisect_left

from kdns.observe.catalogue import DURATIONS
from kdns.observe.counters import Counters, Histogram
from kdns.wire import types


class Figures:
    """The numbers of one upstream of one directive."""

    def __init__(self, counters: Counters, user: str, to: str) -> None:
        self._counters = counters
        self._labels = (user, to)
        self._lines = {
            (transport, is_kept): (
                f"coredns_proxy_conn_cache_{'hits' if is_kept else 'misses'}_total",
                *self._labels,
                transport,
            )
            for transport in ("udp", "tcp")
            for is_kept in (False, True)
        }
        self._durations: dict[int, Histogram] = {}

    def count_line(self, transport: str, is_kept: bool, by: int = 1) -> None:
        """So many queries were given to a socket, kept or new."""
        self._counters.values[self._lines[transport, is_kept]] += by

    def count_failed_probe(self) -> None:
        """A probe was not answered."""
        self._counters.add("coredns_proxy_healthcheck_failures_total", *self._labels)

    def count_reply(self, code: int, seconds: float) -> None:
        """A reply came."""
        found = self._durations.get(code)
        if found is None:
            name = "coredns_proxy_request_duration_seconds"
            labels = (*self._labels, types.rcode_name(code))
            found = self._durations[code] = self._counters.histogram(DURATIONS, name, *labels)
        found.counts[bisect_left(DURATIONS, seconds)] += 1
        found.sum += seconds
