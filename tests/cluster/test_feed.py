"""The feed: events reach the Store in short turns, Changes are told before anything else runs."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from kdns.cluster import feed as feed_module
from kdns.cluster.feed import feed
from kdns.cluster.objects import Slice
from kdns.cluster.store import SYNCED, Change, Event, Put, Replace, Store, Synced
from tests.cluster.things import ips, ready, service, slice_


class Source:
    """Yields what it is given, then waits for ever unless told to end."""

    def __init__(self, *events: Event, ends: bool = True) -> None:
        self.events = events
        self.ends = ends
        self.closed = False

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        try:
            for event in self.events:
                yield event
            while not self.ends:
                await asyncio.sleep(1)
        finally:
            self.closed = True


def told(changes: list[Change]) -> set[object]:
    return set().union(*(change.keys for change in changes))


async def test_events_are_applied_and_their_changes_told():
    store, changes, source = Store(), [], Source(Put(service("s", "1")), Synced())
    await feed(source, store, wall=lambda: 7.5, changed=changes.append)
    assert told(changes) == {"a/s", *ips("1"), SYNCED}
    assert (store.has_synced, store.serial, source.closed) == (True, 7, True)


async def test_nothing_is_told_when_nothing_changed():
    changes: list[Change] = []
    await feed(Source(Replace(Slice, ())), Store(), wall=lambda: 1.0, changed=changes.append)
    assert changes == []


async def test_the_loop_has_its_turn_within_a_long_list():
    many = tuple(slice_(f"x{n}", f"10.1.{n // 250}.{n % 250}", of=f"s{n}") for n in range(3000))
    store, changes, turns = Store(), [], 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            assert told(changes) >= {s.key for s in many if store.slices(s.key)}
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    await feed(Source(Replace(Slice, many)), store, wall=lambda: 1.0, changed=changes.append)
    ticker.cancel()
    assert len(changes) > 1
    assert turns > 1
    assert len(told(changes)) == 6000


async def test_the_loop_has_its_turn_within_many_short_events():
    """A source that never has to wait must not hold the loop."""
    many = [Put(slice_(f"x{n}", f"10.1.{n // 250}.{n % 250}", of=f"s{n}")) for n in range(3000)]
    store, told_at, turns = Store(), [], 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def changed(change: Change) -> None:
        told_at.append(turns)
        assert all(store.slices(key) for key in change.keys if isinstance(key, str))

    ticker = asyncio.create_task(tick())
    await feed(Source(*many), store, wall=lambda: 1.0, changed=changed)
    ticker.cancel()
    assert len(told_at) == 3000, "each is told before anything else runs"
    assert len(set(told_at)) > 3
    assert max(map(told_at.count, set(told_at))) < 3000


async def test_held_endpoints_are_let_go_when_their_time_is_up(monkeypatch):
    monkeypatch.setattr("kdns.cluster.slices.QUIET_S", 0.03)
    monkeypatch.setattr("kdns.cluster.moves.QUIET_S", 0.03)
    store, changes = Store(), []
    gone = asyncio.Event()

    def changed(change: Change) -> None:
        changes.append(change)
        if ips("2")[0] not in ready(store):
            gone.set()

    moves = [
        Put(service("s")),
        Put(slice_("x", "1", "2")),
        Put(slice_("y", "3")),
        Put(slice_("x", "1")),
    ]
    source = Source(*moves, ends=False)
    feeding = asyncio.create_task(feed(source, store, wall=time.time, changed=changed))
    await asyncio.sleep(0)
    while len(changes) < 4:
        await asyncio.sleep(0)
    assert ready(store) == set(ips("1", "2", "3"))
    gone.clear()
    await asyncio.wait_for(gone.wait(), 40)
    assert changes[-1].keys == {"a/s", *ips("2")}
    feeding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await feeding
    assert source.closed


async def test_a_feed_that_ends_takes_its_timer_along(monkeypatch):
    moves = [
        Put(service("s")),
        Put(slice_("x", "1", "2")),
        Put(slice_("y", "3")),
        Put(slice_("x", "1")),
    ]
    timers = []
    plan = feed_module.Feed._plan

    def spy(self: object) -> None:
        plan(self)
        timers.append(self._timer)

    monkeypatch.setattr(feed_module.Feed, "_plan", spy)
    await feed(Source(*moves), Store(), wall=lambda: 1.0, changed=lambda _: None)
    assert timers[-1].cancelled()
