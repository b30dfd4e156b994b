"""Runs work in the background, a bounded number at a time; what does not fit is left undone."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

log = logging.getLogger("kdns.client")

T = TypeVar("T")

_MOST_RUNNING = 64
_MOST_WAITING = 1024


class Background:
    """A queue of work and the Tasks that do it, while `run` runs."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def submit(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Takes work to run soon; False when too much is waiting."""
        if len(self._waiting) >= _MOST_WAITING:
            return False
        self._waiting.append(work)
        self._changed.set()
        return True

    async def run(self) -> None:
        """Runs what is submitted, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                while self._waiting and len(self._running) < _MOST_RUNNING:
                    task = loop.create_task(self._waiting.popleft()())
                    self._running.add(task)
                    task.add_done_callback(self._done)
        finally:
            for task in self._running:
                task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("background work failed and is given up", exc_info=error)


async def within(future: "asyncio.Future[T | None]", timeout_s: float) -> T | None:
    """The future's result, or None when it takes longer; no Task is needed to wait here."""
    if not timeout_s:
        return await future
    timer = asyncio.get_running_loop().call_later(timeout_s, _give_up, future)
    try:
        return await future
    finally:
        timer.cancel()


def _give_up(future: "asyncio.Future[T | None]") -> None:
    if not future.done():
        future.set_result(None)
