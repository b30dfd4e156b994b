"""A source that says what a test tells it to, when it tells it to."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from kdns.cluster.alike import name_of
from kdns.cluster.freshness import Freshness
from kdns.cluster.objects import Namespace, Object, Pod, Service, Slice
from kdns.cluster.store import Event, Prune, Put, Synced


class FakeApi:
    """Takes the place of `sources.api.Api`; `made` holds the last one."""

    made: "FakeApi | None" = None

    def __init__(self, *_: object, freshness: Freshness, **lent: object) -> None:
        FakeApi.made = self
        self.failure = ""
        self.freshness = freshness
        self.lent = lent
        self.lists = 0
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        for kind in (Namespace, Service, Slice, Pod):
            freshness.expect(kind)

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        self.lists += 1
        while True:
            yield await self._events.get()

    def say(self, *events: Event) -> None:
        for event in events:
            self._events.put_nowait(event)

    def list(self, *kinds: type[Object], objects: Iterable[Object] = ()) -> None:
        """Lists kinds as the API source does: a Put each, then what it named."""
        for kind in kinds:
            there = [one for one in objects if type(one) is kind]
            self.say(*map(Put, there), Prune(kind, frozenset(map(name_of, there))))
            self.freshness.heard(kind)

    def list_all(self, *objects: Object) -> None:
        """Lists every kind; then it has told everything."""
        self.list(Namespace, Service, Slice, Pod, objects=objects)
        self.say(Synced())


async def until(true, *, seconds: float = 40.0) -> None:
    """Returns when something is true."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.002)
