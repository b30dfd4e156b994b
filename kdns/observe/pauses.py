"""Measures how long the event loop did not come back, and how long the garbage collector took.

A look is a timer that notes how late it came. Looks are a hundred a second while the loop's thread
is busy, else four: a loop at rest is not to be woken for its own sake. What falls between two looks
is not seen, and of what is seen the part before the look was due is not counted: a stall is at
least as long as its figure, and less than one look longer. The clock cannot tell our own work from
a machine that ran others; the CPU time the thread used past what fits before the look was due was
our own for certain. Collections are all seen, and exactly.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Final

from kdns.observe.catalogue import METRICS
from kdns.observe.counters import Counters, Histogram

BUSY_S: Final = 0.01
"""Between looks while the thread is busy."""
REST_S: Final = 0.25
BUSY_SHARE: Final = 0.02
"""The share of its time in which a thread that is busy runs."""

_STALLS = "kdns_loop_stall_seconds"
_COLLECTIONS = "kdns_gc_pause_seconds"


class Pauses:
    """Fills both histograms while it runs; one per process (a `Runner`)."""

    def __init__(
        self,
        counters: Counters,
        clock: Callable[[], float],
        used: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._used = used
        """CPU time of the thread so far."""
        self._by_clock = counters.histogram(METRICS[_STALLS].buckets, _STALLS, "clock")
        self._by_cpu = counters.histogram(METRICS[_STALLS].buckets, _STALLS, "cpu")
        self._collections = [_of_generation(counters, str(at)) for at in range(3)]
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Looks until it is cancelled."""
        gc.callbacks.append(self._collected)
        self._look_in(REST_S, self._used())
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            gc.callbacks.remove(self._collected)
            if self._timer is not None:
                self._timer.cancel()

    def _look_in(self, wait_s: float, used: float) -> None:
        due = self._clock() + wait_s
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(wait_s, self._look, due, wait_s, used)

    def _look(self, due: float, waited_s: float, used_before: float) -> None:
        late_s = max(self._clock() - due, 0.0)
        used = self._used()
        worked_s = used - used_before
        self._by_clock.observe(late_s)
        self._by_cpu.observe(min(max(worked_s - waited_s, 0.0), late_s))
        is_busy = worked_s >= BUSY_SHARE * (waited_s + late_s)
        self._look_in(BUSY_S if is_busy else REST_S, used)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = self._clock()
        else:
            self._collections[info["generation"]].observe(self._clock() - self._began)


def _of_generation(counters: Counters, generation: str) -> Histogram:
    return counters.histogram(METRICS[_COLLECTIONS].buckets, _COLLECTIONS, generation)
