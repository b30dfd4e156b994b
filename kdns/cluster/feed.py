"""A source's events reach a Store in short turns, and every Change reaches whoever answers.

A Change is told before anything else on the loop can run, so no answer made from the old state
outlives it. A source says `Synced` behind its first full state; the Store then has `has_synced`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from time import perf_counter
from typing import Protocol

from kdns.cluster.store import Change, Event, Store

TURN_S = 0.003
"""Nothing on the loop runs longer than 5 ms (design.md §4)."""


class Source(Protocol):
    """Where events come from."""

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        """All events from the first state on; ends only when there is nothing left to watch."""


async def feed(
    source: Source, store: Store, *, wall: Callable[[], float], changed: Callable[[Change], None]
) -> None:
    """Applies the events of a source to a Store, for as long as they come."""
    settler = _Settler(store, wall, changed)
    try:
        async with aclosing(aiter(source)) as events:
            async for event in events:
                await _apply(event, store, wall, changed)
                settler.plan()
    finally:
        settler.stop()


async def _apply(
    event: Event, store: Store, wall: Callable[[], float], changed: Callable[[Change], None]
) -> None:
    started = perf_counter()
    keys: set[Hashable] = set()
    for change in store.steps(event, wall()):
        keys |= change.keys
        if perf_counter() - started > TURN_S:
            _tell(keys, changed)
            await asyncio.sleep(0)
            started = perf_counter()
    _tell(keys, changed)


def _tell(keys: set[Hashable], changed: Callable[[Change], None]) -> None:
    if keys:
        changed(Change(frozenset(keys)))
        keys.clear()


class _Settler:
    """Lets the Store settle when it is due, whether or not events come."""

    def __init__(
        self, store: Store, wall: Callable[[], float], changed: Callable[[Change], None]
    ) -> None:
        self._store = store
        self._wall = wall
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None

    def plan(self) -> None:
        """Sets the timer for what is due next."""
        self.stop()
        due = self._store.settles_at
        if due is not None:
            delay = max(due - self._wall(), 0.01)
            self._timer = asyncio.get_running_loop().call_later(delay, self._settle)

    def stop(self) -> None:
        """Takes the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _settle(self) -> None:
        _tell(set(self._store.settle(self._wall()).keys), self._changed)
        self.plan()
