"""A loop that did not come back is seen, collections are counted, and a loop at rest may rest."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest

from kdns.observe import pauses
from kdns.observe.catalogue import PAUSES
from kdns.observe.counters import Counters
from kdns.observe.pauses import Pauses
from tests.fakes import Clock


@contextlib.asynccontextmanager
async def running(
    counters: Counters, clock: Clock, used: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[None]:
    task = asyncio.ensure_future(Pauses(counters, clock, used).run())
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
    stalls = counters.histograms["kdns_loop_stall_seconds", "clock"]
    while sum(stalls.counts) <= more_than:
        await asyncio.sleep(0.001)
    return list(stalls.counts)


@pytest.mark.parametrize(
    ("worked_s", "by_cpu"),
    [
        pytest.param(0.0, 0.0, id="the machine ran others"),
        pytest.param(0.002, 0.0, id="it may have worked before the look was due"),
        pytest.param(0.030, 0.028, id="it worked for a part"),
        pytest.param(0.042, 0.040, id="it worked all the time"),
    ],
)
async def test_a_stall_is_as_long_as_the_look_was_late(worked_s: float, by_cpu: float) -> None:
    counters, clock, cpu = Counters(), Clock(), Clock()
    async with running(counters, clock, cpu):
        first = await seen(counters, 2)
        assert first == [sum(first), *[0] * 12]
        clock.now += 0.042
        cpu.now += worked_s
        after = await seen(counters, sum(first))
    # 42 ms, less the 2 ms to the look that was due.
    assert after[PAUSES.index(0.05)] == 1
    sums = {
        labels[1]: one.sum for labels, one in counters.histograms.items() if "stall" in labels[0]
    }
    assert sums == {"clock": pytest.approx(0.04), "cpu": pytest.approx(by_cpu)}


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
    looks = count()
    async with running(counters, Clock(), lambda: next(looks) * share * 0.002):
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
