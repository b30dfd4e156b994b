"""A loop that did not come back is seen, collections are counted, and a loop at rest may rest."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from itertools import count

import pytest

from kdns.observe import pauses
from kdns.observe.counters import Counters
from kdns.observe.pauses import Pauses
from tests.fakes import Clock


@contextlib.asynccontextmanager
async def running(counters: Counters, clock: Clock, *, share: float = 0.0) -> AsyncIterator[None]:
    """Pauses of a loop whose thread is busy for a share of the time; a look takes 2 ms."""
    looks = count()
    task = asyncio.ensure_future(Pauses(counters, clock, lambda: next(looks) * share * 0.002).run())
    await asyncio.sleep(0)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "REST_S", 0.002)


async def seen(counters: Counters, more_than: int) -> list[int]:
    """How many looks there were in each bucket, when there are more."""
    stalls = counters.histograms["kdns_loop_stall_seconds",]
    while sum(stalls.counts) <= more_than:
        await asyncio.sleep(0.001)
    return list(stalls.counts)


async def test_a_stall_is_as_long_as_the_look_was_late() -> None:
    counters, clock = Counters(), Clock()
    async with running(counters, clock):
        first = await seen(counters, 2)
        assert first == [sum(first), *[0] * 12]
        clock.now += 0.042
        after = await seen(counters, sum(first))
    # 42 ms, less the 2 ms to the look that was due.
    assert after[pauses.METRICS["kdns_loop_stall_seconds"].buckets.index(0.05)] == 1
    assert counters.histograms["kdns_loop_stall_seconds",].sum == pytest.approx(0.04)


@pytest.mark.parametrize(("share", "wait_s"), [(0.01, 0.002), (0.05, 0.0005)])
async def test_looks_are_frequent_only_while_the_thread_is_busy(
    share: float, wait_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "BUSY_S", 0.0005)
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    later = loop.call_later

    def noted(delay: float, *rest: object) -> asyncio.TimerHandle:
        if isinstance(getattr(rest[0], "__self__", None), Pauses):
            waits.append(delay)
        return later(delay, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_later", noted)
    counters = Counters()
    async with running(counters, Clock(), share=share):
        await seen(counters, 3)
    assert waits[0] == 0.002
    assert set(waits[1:]) == {wait_s}


async def test_collections_are_counted_by_generation() -> None:
    counters = Counters()
    async with running(counters, Clock()):
        gc.collect(1)
        gc.collect()
    gc.collect()
    counts = {
        labels[1]: sum(one.counts)
        for labels, one in counters.histograms.items()
        if labels[0] == "kdns_gc_pause_seconds"
    }
    assert counts["1"] >= 1
    assert counts["2"] == 1
