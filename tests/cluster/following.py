"""An api source that feeds a Store, for tests."""

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kdns.cluster.api.connection import Access
from kdns.cluster.api.shared import Timing
from kdns.cluster.freshness import Freshness
from kdns.cluster.objects import Slice
from kdns.cluster.selection import Selection
from kdns.cluster.sources.api import Api
from kdns.cluster.store import Event, Store
from kdns.observe.counters import Counters

QUIET = Timing(compare_s=3600)


@dataclass
class Follower:
    """What came of following."""

    api: Api
    store: Store
    counters: Counters
    freshness: Freshness
    events: list[Event] = field(default_factory=list)
    triggers: list[tuple[Slice, float]] = field(default_factory=list)

    def count(self, *key: str) -> float:
        return self.counters.values.get(key, 0)

    @property
    def services(self) -> set[str]:
        return set(self.store.services)


async def until(holds: Callable[[], Any], *, limit_s: float = 40) -> None:
    """Waits for what must come true; says what did not."""
    try:
        async with asyncio.timeout(limit_s):
            while not holds():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError("it did not come true") from None


@asynccontextmanager
async def following(
    access: Access | str,
    *,
    timing: Timing = QUIET,
    selection: Selection | None = None,
    synced: bool = True,
    clock: Callable[[], float] = time.monotonic,
    **others: Any,
):
    """Follows a server for as long as the block lasts, from its first whole state on."""
    selection = selection or Selection(pods=False, imports=False)
    store, counters, freshness = Store(selection), Counters(), Freshness(clock)
    made: list[Follower] = []
    api = Api(
        Access(endpoint=access) if isinstance(access, str) else access,
        selection,
        freshness=freshness,
        counters=counters,
        versions=store.versions,
        clock=clock,
        wall=time.time,
        chance=lambda: 0.0,
        triggered=lambda one, at: made[0].triggers.append((one, at)),
        timing=timing,
        **others,
    )
    made.append(Follower(api, store, counters, freshness))

    async def follow() -> None:
        async for event in api:
            store.apply(event, 0)
            made[0].events.append(event)

    task = asyncio.create_task(follow())
    try:
        if synced:
            await until(lambda: store.has_synced or task.done())
        yield made[0]
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
