"""What happened to the objects of one kind, in order, and whoever follows it.

A Watch is a place in the history, not a queue: a follower costs nothing while he is slow, never
holds others up, and is cut off once what he has not read was dropped (by KEPT, or compaction).
"""

import asyncio
from bisect import bisect_right
from contextlib import suppress
from typing import Literal
from weakref import WeakSet

from kdns.lab.errors import Obj, gone

KEPT = 20_000
"""Events kept per kind at least, if they are young; `Lab` has the old ones forgotten."""

Type = Literal["ADDED", "MODIFIED", "DELETED"]


class Item:
    """One version of an object, and its JSON in the forms that were asked for."""

    __slots__ = ("encoded", "object", "version")

    def __init__(self, obj: Obj, version: int) -> None:
        self.object = obj
        self.version = version
        self.encoded: dict[str, bytes] = {}


class Event:
    """One change of one object; `item` of a deletion is the last state, as of the deletion."""

    __slots__ = ("encoded", "item", "old_item", "type", "version")

    def __init__(self, kind: Type, item: Item, old_item: Item | None) -> None:
        self.type: Type = kind
        self.item = item
        self.old_item = old_item
        self.version = item.version
        self.encoded: dict[str, bytes] = {}

    @property
    def object(self) -> Obj:
        """The object after the change."""
        return self.item.object

    @property
    def old(self) -> Obj | None:
        """The object before the change."""
        return self.old_item.object if self.old_item else None


class History:
    """The events of one kind since `floor`; everything up to it is forgotten."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.dropped = 0
        self.events: list[Event] = []
        self._versions: list[int] = []
        self._watches: WeakSet[Watch] = WeakSet()
        self.has_ended = False

    def append(self, event: Event) -> None:
        """Adds the newest event and wakes who waits for it."""
        self.events.append(event)
        self._versions.append(event.version)
        if len(self.events) >= 2 * KEPT:
            self._drop(KEPT)
        self.wake()

    def since(self, version: int) -> int:
        """The place behind a version; raises 410 when what followed it is forgotten."""
        if version < self.floor:
            raise gone(f"too old resource version: {version} ({self.floor})")
        return self.dropped + bisect_right(self._versions, version)

    def forget(self, version: int) -> None:
        """Forgets the events up to a version."""
        self._drop(bisect_right(self._versions, version))

    def compact(self, version: int) -> None:
        """Forgets the events up to a version, and refuses who asks for what was before it."""
        self.forget(version)
        self.floor = max(self.floor, version)
        self.wake()

    def end(self) -> None:
        """Ends all watches: another past takes the place of this one."""
        self.has_ended = True
        self.wake()

    def wake(self) -> None:
        """Lets whoever waits look again."""
        for watch in self._watches:
            watch.wake()

    def follow(self, watch: "Watch") -> None:
        """Wakes a watch whenever something happens, for as long as somebody has it."""
        self._watches.add(watch)

    def _drop(self, count: int) -> None:
        if not count:
            return
        self.floor = max(self.floor, self._versions[count - 1])
        self.dropped += count
        del self.events[:count]
        del self._versions[:count]


class Watch:
    """The events of one kind behind a place, of one namespace or ("") of all, without an end.

    Raises ApiError 410 when the follower was too slow, and when the storage was replaced.
    """

    def __init__(self, history: History, place: int, namespace: str, first: list[Event]) -> None:
        self._history = history
        self._place = place
        self._namespace = namespace
        self._first = first
        self._ready: list[Event] = []
        self._woken = asyncio.Event()
        history.follow(self)

    def taken(self) -> list[Event]:
        """What has happened since the last call; empty when nothing has."""
        self._woken.clear()
        history = self._history
        if self._place < history.dropped or history.has_ended:
            raise gone(f"too old resource version: the watch fell behind ({history.floor})")
        found, self._first = self._first, []
        found += history.events[self._place - history.dropped :]
        self._place = history.dropped + len(history.events)
        if self._namespace:
            return [one for one in found if one.object["metadata"]["namespace"] == self._namespace]
        return found

    async def batch(self) -> list[Event]:
        """Waits until something has happened, and gives all of it."""
        while not (events := self.taken()):
            await self._woken.wait()
        return events

    def wake(self) -> None:
        """Ends the wait of whoever follows."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Waits until something has happened since `taken`, but not longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> Event:
        if not self._ready:
            self._ready = (await self.batch())[::-1]
        return self._ready.pop()
