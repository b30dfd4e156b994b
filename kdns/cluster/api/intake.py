"""What was read of a resource becomes batches of events: upserts at once, deletions at the end.

It also remembers what the comparison must know: which objects the Store does not hold for a reason,
which ones the watch told of meanwhile, and up to which version all has been applied.
"""

import asyncio
from functools import partial

from kdns.cluster.api.channel import Batch
from kdns.cluster.api.resources import At, Reading, Resource
from kdns.cluster.api.shared import Shared
from kdns.cluster.objects import Slice
from kdns.cluster.store import Delete, Event, Prune, Put

LONGEST = 20
"""Digits of a version: it is a number of 64 bits."""


def number(version: str | None) -> int:
    """A version that can be compared; 0 for one that cannot."""
    return int(version) if version and version.isdecimal() and len(version) <= LONGEST else 0


class Intake:
    """The one way from a watcher to the Store."""

    def __init__(self, resource: Resource, shared: Shared) -> None:
        self._resource = resource
        self._shared = shared
        self._named: set[At] | None = None
        self._events: list[Event] = []
        self._triggers: list[tuple[Slice, float]] = []
        self.applied = 0
        """The newest version whose events have been applied."""
        self.has_listed = False
        """True once a whole list has been applied."""
        self.is_excused = False
        """True once nobody waits for the first list: it may not be read."""
        self.ignored: dict[At, str] = {}
        """Versions of objects that the Store does not have, or not as they are, for a reason."""
        self.touched: set[At] | None = None
        """What the watch has told of since a comparison began, None while there is none."""
        self.advanced = asyncio.Event()
        """Set whenever `applied` moves."""

    @property
    def is_listing(self) -> bool:
        """True until a list has come to its end."""
        return self._named is not None

    async def excuse(self) -> None:
        """Has everything else begin without this, for now."""
        if not (self.is_excused or self.has_listed):
            self.is_excused = True
            self._shared.freshness.excuse(self._resource.kind)
            await self._shared.channel.put(Batch([], _nothing, self._shared.clock()))

    def begin_list(self) -> None:
        """All that exists comes now; what of an earlier list was not handed over is dropped."""
        self._named = set()
        self._events, self._triggers = [], []

    def begin_watch(self) -> None:
        """Changes come now."""
        self._named = None
        self._events, self._triggers = [], []

    def put(self, reading: Reading) -> None:
        """An object exists."""
        if self._named is not None:
            self._named.add(reading.at)
        event = self.event(reading)
        if event is not None:
            self._events.append(event)

    def change(self, kind: str, reading: Reading) -> None:
        """A watch says that an object was added, modified or deleted."""
        if self.touched is not None:
            self.touched.add(reading.at)
        if kind == "DELETED":
            self.ignored.pop(reading.at, None)
            if self._named is not None:
                self._named.discard(reading.at)
            self._events.append(Delete(self._resource.kind, *reading.at))
        else:
            self.put(reading)
        if self._named is None and reading.trigger and isinstance(reading.thing, Slice):
            self._triggers.append((reading.thing, reading.trigger))

    def event(self, reading: Reading) -> Event | None:
        """What an object that exists means; None when it cannot be understood."""
        at, thing = reading.at, reading.thing
        if thing is not None and self._shared.selection.keeps(thing):
            self.ignored.pop(at, None)
            return Put(thing, is_chosen=True)
        is_known = self.ignored.get(at) == reading.version
        self.ignored[at] = reading.version
        if not reading.error:
            return Delete(self._resource.kind, *at)
        if not is_known:
            name = "/".join(filter(None, at))
            self._shared.report.complain(
                f"{self._resource.title} {name}: {reading.error}; its last good state stays"
            )
        return None

    async def end_list(self, version: str) -> None:
        """The list is whole: what it did not name is gone."""
        named, self._named = self._named, None
        assert named is not None
        self.ignored = {at: of for at, of in self.ignored.items() if at in named}
        self._events.append(Prune(self._resource.kind, named))
        await self._hand_over(version, is_whole=True)

    async def hand_over(self, version: str) -> None:
        """Gives on what came so far; `version` is the watch's, a list has none before its end."""
        await self._hand_over("" if self.is_listing else version, is_whole=False)

    async def _hand_over(self, version: str, *, is_whole: bool) -> None:
        applied = partial(self._applied, number(version), self._triggers, is_whole=is_whole)
        batch = Batch(self._events, applied, self._shared.clock())
        self._events, self._triggers = [], []
        await self._shared.channel.put(batch)

    def _applied(
        self, version: int, triggers: list[tuple[Slice, float]], *, is_whole: bool
    ) -> None:
        self.has_listed = self.has_listed or is_whole
        if version or is_whole:
            self.applied = version
            self._shared.freshness.heard(self._resource.kind)
            self.advanced.set()
        if self._shared.triggered is not None:
            for slice_, at in triggers:
                self._shared.triggered(slice_, at)


def _nothing() -> None:
    """An empty batch only has whoever waits look again."""
