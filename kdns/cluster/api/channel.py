"""From the watchers of all kinds to the one who applies: bounded batches, and turns of 3 ms.

A watcher whose batch finds no room waits, so it reads no more, so the server's socket fills up: a
list of any size takes the memory of a few pages.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from kdns.cluster.store import Event

TURN_S = 0.003
"""Nothing on the loop runs longer than 5 ms (design.md §4)."""
ROOM = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Events, and what to call once they have been applied."""

    events: list[Event]
    applied: Callable[[], None]


class Channel:
    """A queue with room for a few batches."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self._error: BaseException | None = None
        self._moved = asyncio.Event()
        self._free = asyncio.Semaphore(ROOM)

    async def put(self, batch: Batch) -> None:
        """Hands over a batch, when there is room."""
        await self._free.acquire()
        self._batches.append(batch)
        self._moved.set()

    async def get(self) -> Batch:
        """The next batch; raises what the other side failed with."""
        while not self._batches:
            if self._error is not None:
                raise self._error
            self._moved.clear()
            await self._moved.wait()
        self._free.release()
        return self._batches.popleft()

    def ended(self, task: asyncio.Task[None]) -> None:
        """Passes on what a watcher failed with; none ends otherwise."""
        if not task.cancelled():
            self._error = task.exception()
            self._moved.set()


class Pace:
    """The time that everybody here together may take of one turn of the loop."""

    def __init__(self) -> None:
        self._started = 0.0
        self._is_open = False

    def begin(self) -> None:
        """To be called when work begins or goes on; the turn may have begun with another's."""
        if not self._is_open:
            self._is_open = True
            self._started = perf_counter()
            asyncio.get_running_loop().call_soon(self._close)

    @property
    def is_due(self) -> bool:
        """True when it is somebody else's turn."""
        return perf_counter() - self._started > TURN_S

    async def rest(self) -> None:
        """Lets the loop have its turn."""
        await asyncio.sleep(0)
        self.begin()

    def _close(self) -> None:
        self._is_open = False
