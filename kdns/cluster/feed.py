"""A source's events reach a Store in short turns, and every Change reaches whoever answers.

A Change is told before anything else on the loop can run, so no answer made from the old state
outlives it. A source says `Synced` behind its first full state; the Store then has `has_synced`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from kdns.cluster.pace import Pace
from kdns.cluster.store import SYNCED, Change, Delete, Event, Put, Store

if TYPE_CHECKING:
    from kdns.cluster.chronicle import Recorder

Changed = Callable[[Change], None]


class Source(Protocol):
    """Where events come from."""

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        """All events from the first state on; ends only when there is nothing left to watch."""


async def feed(
    source: Source, store: Store, *, wall: Callable[[], float], changed: Changed
) -> None:
    """Applies the events of a source to a Store, for as long as they come."""
    await Feed(store, wall, changed).run(aiter(source))


class Feed:
    """Applies events to a Store, and lets it settle when it is due, whether or not events come."""

    def __init__(self, store: Store, wall: Callable[[], float], changed: Changed) -> None:
        self._store = store
        self._wall = wall
        self._changed = changed
        self.recorder: Recorder | None = None
        """Who writes down what happens."""
        self._pace = Pace()
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, events: AsyncGenerator[Event, None]) -> None:
        """Applies events for as long as they come."""
        try:
            async with aclosing(events):
                async for event in events:
                    await self.apply(event)
        finally:
            self.stop()

    async def apply(self, event: Event) -> None:
        """Applies one event; a turn may hold many of them, and a long one takes many turns."""
        self._pace.begin()
        if isinstance(event, Put | Delete):
            self.apply_at_once(event)
            if self._pace.is_due:
                await self._pace.rest()
            return
        keys: set[Hashable] = set()
        for change in self._store.steps(event, self._wall()):
            keys |= change.keys
            if self._pace.is_due:
                self._tell(keys)
                await self._pace.rest()
        self._tell(keys)
        self._plan()

    def apply_at_once(self, event: Event) -> None:
        """Applies a small event before anything else can happen; `rest` comes before it."""
        change = self._store.apply(event, self._wall())
        if change.keys:
            self._changed(change)
        self._record(change)
        self._plan()

    async def rest(self) -> None:
        """Lets the loop have its turn, if ours is over."""
        self._pace.begin()
        if self._pace.is_due:
            await self._pace.rest()

    def stop(self) -> None:
        """Lets the Store settle no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = None

    def _tell(self, keys: set[Hashable]) -> None:
        change = Change(frozenset(keys))
        if keys:
            self._changed(change)
            keys.clear()
        self._record(change)

    def _record(self, change: Change) -> None:
        recorder = self.recorder
        if recorder is not None:
            recorder.applied(change)
            if SYNCED in change.keys:
                recorder.listed()

    def _plan(self) -> None:
        """Sets the timer for what is due next."""
        due = self._store.settles_at
        if due == self._due:
            return
        self.stop()
        self._due = due
        if due is not None:
            delay = max(due - self._wall(), 0.01)
            self._timer = asyncio.get_running_loop().call_later(delay, self._settle)

    def _settle(self) -> None:
        self._tell(set(self._store.settle(self._wall()).keys))
        self._due = None
        self._plan()
