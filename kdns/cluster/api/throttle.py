"""How many requests may be made: so many a second, so many at once (facts A: apiserver_qps …)."""

import asyncio
from collections.abc import Callable


class Throttle:
    """A bucket of `burst` tokens that refills at `qps` a second; without a rate, none is needed.

    CoreDNS: 5 a second and 10 at once unless told otherwise. We ask for a handful of things a
    minute and back off when refused, so without a rate in the Corefile nothing is held back: the
    pages of a list and the reconnection of all watches at once would only be slowed by it.
    """

    def __init__(
        self, qps: float, burst: int, max_inflight: int, clock: Callable[[], float]
    ) -> None:
        self._qps = qps if qps or not burst else 5.0
        self._burst = float(burst or 10)
        self._clock = clock
        self._tokens = self._burst
        self._filled_at = clock()
        self.inflight = asyncio.Semaphore(max_inflight or 1 << 30)
        """Held from the sending of a request to the answer's first line, as in CoreDNS."""

    def delay(self) -> float:
        """Takes a token; how long to wait before it may be used."""
        if not self._qps:
            return 0.0
        now = self._clock()
        grown = self._tokens + (now - self._filled_at) * self._qps
        self._tokens = min(self._burst, grown) - 1
        self._filled_at = now
        return max(0.0, -self._tokens / self._qps)
