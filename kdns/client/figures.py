"""What is counted of one upstream, under the names of CoreDNS; labels are put together once."""

from bisect import bisect_left
from collections.abc import Collection

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
            for transport in ("udp", "tcp", "tcp-tls", "quic")
            for is_kept in (False, True)
        }
        self._durations: dict[int, Histogram] = {}

    def count_line(self, transport: str, is_kept: bool, by: int = 1) -> None:
        """So many queries were given to a socket, kept or new."""
        label = self._lines.get((transport, is_kept))
        if label is not None:  # CoreDNS: connections of DoH are not counted
            self._counters.values[label] += by

    def count_failed_probe(self) -> None:
        """A probe was not answered."""
        self._counters.add("coredns_proxy_healthcheck_failures_total", *self._labels)

    def count_over_budget(self) -> None:
        """A query was not sent, as too many are under way already."""
        self._counters.add("kdns_upstream_over_budget_total", self._labels[1])

    def count_reply(self, code: int, seconds: float) -> None:
        """A reply came."""
        found = self._durations.get(code)
        if found is None:
            name = "coredns_proxy_request_duration_seconds"
            labels = (*self._labels, types.rcode_name(code))
            found = self._durations[code] = self._counters.histogram(DURATIONS, name, *labels)
        found.counts[bisect_left(DURATIONS, seconds)] += 1
        found.sum += seconds

    def so_far(self) -> tuple[int, float]:
        """How many replies came, and how many seconds they took in all."""
        return _sums(self._durations.values())


class GrpcFigures(Figures):
    """The numbers of one upstream of `grpc`."""

    def __init__(self, counters: Counters, to: str) -> None:
        super().__init__(counters, "grpc", to)
        self._to = to

    def count_failed_probe(self) -> None:
        """Nothing: CoreDNS has no such number of them."""

    def count_reply(self, code: int, seconds: float) -> None:
        """A reply came."""
        counters, to = self._counters, self._to
        counters.add("coredns_grpc_requests_total", to)
        counters.add("coredns_grpc_responses_total", to, types.rcode_name(code))
        held = counters.histogram(DURATIONS, "coredns_grpc_request_duration_seconds", to)
        held.counts[bisect_left(DURATIONS, seconds)] += 1
        held.sum += seconds

    def so_far(self) -> tuple[int, float]:
        """How many replies came, and how many seconds they took in all."""
        name = "coredns_grpc_request_duration_seconds"
        return _sums([self._counters.histogram(DURATIONS, name, self._to)])


def _sums(of: Collection[Histogram]) -> tuple[int, float]:
    return sum(sum(one.counts) for one in of), sum(one.sum for one in of)
