"""From the watchers of all kinds to the one who applies: bounded batches, in the order they came.

A watcher whose batch finds no room waits, so it reads no more, so the server's socket fills up: a
list of any size takes the memory of a few pages.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from kdns.cluster.api.relay import Prompt, Relay
from kdns.cluster.store import Event

ROOM = 4


class Batch(Struct, frozen=True, gc=False):
    """Events, what to call once they have been applied, and when they had come in."""

    events: list[Event]
    applied: Callable[[], None]
    came_at: float


class Channel:
    """A queue with room for a few batches; who waits at its end goes on as one comes."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._batches: deque[Batch] = deque()
        self._error: BaseException | None = None
        self._waiting: Prompt | None = None
        self._free = asyncio.Semaphore(ROOM)

    async def put(self, batch: Batch) -> None:
        """Hands over a batch, when there is room."""
        await self._free.acquire()
        self._batches.append(batch)
        self._wake()

    async def get(self) -> Batch:
        """The next batch; raises what the other side failed with."""
        while not self._batches:
            if self._error is not None:
                raise self._error
            self._waiting = Prompt()
            await self._waiting
        self._free.release()
        return self._batches.popleft()

    def ended(self, task: asyncio.Task[None]) -> None:
        """Passes on what a watcher failed with; none ends otherwise."""
        if not task.cancelled():
            self._error = task.exception()
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._relay.wake(self._waiting)
            self._waiting = None
