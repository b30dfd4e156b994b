"""What every controller is: events name the keys they concern, and each key is put in order.

A controller keeps no state of the cluster: `sync` looks at what is stored now and writes what is
missing. A key that cannot be put in order is tried again, later each time; one whose objects make
no sense is left alone until they change.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import ClassVar

from kdns.lab.controllers.desk import Desk
from kdns.lab.errors import ApiError
from kdns.lab.history import Event
from kdns.lab.resources import Resource
from kdns.lab.storage import Key

log = logging.getLogger("kdns.lab")

SOON_S = 0.02
LATEST_S = 30.0
_NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What an object that makes no sense raises; one such object must not end a controller."""


def delay_s(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return min(SOON_S * 2.0 ** min(failures, 16), LATEST_S)  # 2.0**1024 overflows


class Agenda:
    """Keys and when they are due; a key is in it once, for the earliest time asked."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._news = asyncio.Event()

    def add(self, key: Key, at: float) -> None:
        """Notes that a key is due at a time."""
        if at < self._due.get(key, float("inf")):
            self._due[key] = at
            heappush(self._heap, (at, key))
            self._news.set()

    def take(self, now: float) -> Key | None:
        """A key that is due, which is then no longer in it."""
        while self._heap and self._heap[0][0] <= now:
            at, key = heappop(self._heap)
            if self._due.get(key) == at:
                del self._due[key]
                return key
        return None

    async def wait(self, now: float) -> None:
        """Waits until a key may be due."""
        self._news.clear()
        limit = self._heap[0][0] - now if self._heap else None
        try:
            async with asyncio.timeout(limit):
                await self._news.wait()
        except TimeoutError:
            pass


class Controller:
    """One duty in the control plane."""

    name: ClassVar[str]
    watches: ClassVar[tuple[Resource, ...]]

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.agenda = Agenda()

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """What has to be put in order after an event."""
        raise NotImplementedError

    def sync(self, key: Key) -> float | None:
        """Puts a key in order; says in how many seconds it wants to look again, if at all."""
        raise NotImplementedError

    def begin(self) -> None:
        """Makes what must be there before the first event."""

    async def run(self) -> None:
        """Does its duty until it is cancelled."""
        self.begin()
        async with asyncio.TaskGroup() as group:
            for resource in self.watches:
                group.create_task(self._follow(resource))
            group.create_task(self._work())

    async def _follow(self, resource: Resource) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            watch = self.desk.storage.watch(resource)
            try:
                while True:
                    for event in await watch.batch():
                        try:
                            for key in self.keys(resource, event):
                                self.agenda.add(key, clock())
                        except _NONSENSE as error:
                            self._leave(event.object["metadata"]["name"], error)
            except ApiError as error:
                log.debug("%s: %s: %s; it looks at all again", self.name, resource.plural, error)

    async def _work(self) -> None:
        agenda = self.agenda
        clock: Callable[[], float] = asyncio.get_running_loop().time
        failures: dict[Key, int] = {}
        while True:
            key = agenda.take(clock())
            if key is None:
                await agenda.wait(clock())
                continue
            async with self.desk.turn:
                again = self._tried(key, failures)
                if again is not None:
                    agenda.add(key, clock() + again)
                await asyncio.sleep(0)

    def _tried(self, key: Key, failures: dict[Key, int]) -> float | None:
        """Puts a key in order, or says in how many seconds it is tried again."""
        try:
            again = self.sync(key)
        except ApiError as error:
            count = failures[key] = failures.get(key, 0) + 1
            if error.reason not in {"Conflict", "NotFound"} and not count & count - 1:
                log.warning("%s: %s: %s", self.name, "/".join(key).strip("/"), error)
            return delay_s(count)
        except _NONSENSE as error:
            self._leave("/".join(key).strip("/"), error)
            return None
        failures.pop(key, None)
        return again

    def _leave(self, what: str, error: Exception) -> None:
        words = "%s: %s makes no sense (%s: %s); left alone until it changes"
        log.warning(words, self.name, what, type(error).__name__, error)
