"""A worker that is fed takes in frames, whoever gives them at the time, and sorts them by cluster.

When the worker that watched is gone, another one comes: it is asked for the same clusters, and
what the last one sent is read to its end before. Who cannot keep up stops reading.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final, Protocol

from kdns.cluster.packing import Frame, Wish, pack, read_frame

MOST_FRAMES: Final = 64
"""Frames that wait to be applied before no more are read."""


class Pipe(Protocol):
    """The way from the worker that watches."""

    def send(self, message: bytes) -> None:
        """Sends a message, sooner or later."""

    def pause(self) -> None:
        """Reads no more for now."""

    def resume(self) -> None:
        """Reads on."""


class Taker:
    """Everything that is taken."""

    def __init__(self) -> None:
        self._pipe: Pipe | None = None
        self._queues: dict[bytes, deque[Frame]] = {}
        self._came: dict[bytes, asyncio.Event] = {}

    def attach(self, pipe: Pipe) -> None:
        """Takes from another worker from now on."""
        self._pipe = pipe
        for title in self._queues:
            self.ask(title)

    def hear(self, message: bytes) -> None:
        """Takes in a frame."""
        frame = read_frame(message)
        queue = self._queues.get(frame.cluster)
        if queue is not None:
            queue.append(frame)
            self._came[frame.cluster].set()
            if len(queue) >= MOST_FRAMES and self._pipe is not None:
                self._pipe.pause()

    def ask(self, title: bytes) -> None:
        """Asks for the whole state of a cluster."""
        if self._pipe is not None:
            self._pipe.send(pack(Wish(title, is_wanted=True)))

    async def frames(self, title: bytes) -> AsyncGenerator[Frame, None]:
        """The frames of a cluster, from its whole state on."""
        queue = self._queues[title] = deque()
        came = self._came[title] = asyncio.Event()
        self.ask(title)
        try:
            while True:
                await came.wait()
                while queue:
                    yield queue.popleft()
                    if len(queue) < MOST_FRAMES // 2 and self._pipe is not None:
                        self._pipe.resume()
                came.clear()
        finally:
            if self._queues.get(title) is queue:
                del self._queues[title], self._came[title]
                if self._pipe is not None:
                    self._pipe.send(pack(Wish(title, is_wanted=False)))
                    self._pipe.resume()
