"""Runs a coroutine without a Task: at once up to its first real wait, then on from a callback.

Most replies never wait, so they cost no Task and no turn of the loop. A coroutine driven here may
await plain futures; `asyncio.timeout` and the like need a Task and do not work.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def drive(coroutine: Coroutine[Any, Any, T], done: Callable[[T], None]) -> None:
    """Runs `coroutine` and hands its result to `done`, before returning if it never waits."""
    try:
        waiting = coroutine.send(None)
    except StopIteration as stop:
        done(stop.value)
        return

    def resume(_: object = None) -> None:
        drive(coroutine, done)

    if waiting is None:  # asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(resume)
        return
    waiting._asyncio_future_blocking = False  # noqa: SLF001 - what a Task does, too
    waiting.add_done_callback(resume)
