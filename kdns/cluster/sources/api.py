"""The objects of a live cluster, listed and watched, become events.

One watcher a resource reads; what they read passes through one bounded channel, so that everything
is applied in the order it came, in turns of 3 ms. `Synced` follows the first whole list of each.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from kdns.cluster.api.channel import Channel
from kdns.cluster.api.compare import Comparison
from kdns.cluster.api.connection import Access
from kdns.cluster.api.credentials import Credentials, reader
from kdns.cluster.api.relay import Relay
from kdns.cluster.api.report import Report
from kdns.cluster.api.resources import wanted
from kdns.cluster.api.session import Session
from kdns.cluster.api.shared import Shared, Timing, Versions
from kdns.cluster.api.throttle import Throttle
from kdns.cluster.api.watcher import Watcher
from kdns.cluster.freshness import Freshness
from kdns.cluster.objects import Slice
from kdns.cluster.pace import Pace
from kdns.cluster.selection import Selection
from kdns.cluster.store import Event, Synced
from kdns.observe.counters import Counters


class Api:
    """The source of a cluster that an API server tells of."""

    def __init__(  # noqa: PLR0913 - each is a thing of its own
        self,
        access: Access,
        selection: Selection,
        *,
        freshness: Freshness,
        counters: Counters,
        versions: Versions,
        clock: Callable[[], float],
        wall: Callable[[], float],
        chance: Callable[[], float],
        triggered: Callable[[Slice, float], None] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._access = access
        self._selection = selection
        self._freshness = freshness
        self._counters = counters
        self._versions = versions
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._triggered = triggered
        self._timing = timing or Timing()
        self._report = Report(clock)
        self.came_at = 0.0
        """When what it says now had come in, by its clock."""
        for resource in wanted(selection):
            freshness.expect(resource.kind)

    @property
    def failure(self) -> str:
        """What is wrong with the API in one line, empty while all is well."""
        return self._report.failure

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Events for as long as there is somebody to take them."""
        shared = self._share()
        watchers = [Watcher(resource, shared) for resource in wanted(self._selection)]
        tasks = [asyncio.create_task(one.run()) for one in watchers]
        tasks += [asyncio.create_task(Comparison(one, shared).run()) for one in watchers]
        for task in tasks:
            task.add_done_callback(shared.channel.ended)
        has_synced = False
        try:
            while True:
                batch = await shared.channel.get()
                shared.pace.begin()
                self.came_at = batch.came_at
                for event in batch.events:
                    yield event
                    if shared.pace.is_due:
                        await shared.pace.rest()
                batch.applied()
                if not has_synced and all(map(_has_begun, watchers)):
                    has_synced = True
                    yield Synced()
        finally:
            await _end(tasks)
            shared.session.close()

    def _share(self) -> Shared:
        access, relay = self._access, Relay()
        session = Session(
            Credentials(reader(access), clock=self._clock, wall=self._wall),
            Throttle(access.qps, access.burst, access.max_inflight, self._clock),
            self._counters,
            relay,
            clock=self._clock,
            chance=self._chance,
        )
        return Shared(
            session=session,
            selection=self._selection,
            channel=Channel(relay),
            pace=Pace(),
            report=self._report,
            freshness=self._freshness,
            counters=self._counters,
            versions=self._versions,
            timing=self._timing,
            clock=self._clock,
            chance=self._chance,
            triggered=self._triggered,
        )


def _has_begun(watcher: Watcher) -> bool:
    return watcher.intake.has_listed or watcher.intake.is_excused


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
