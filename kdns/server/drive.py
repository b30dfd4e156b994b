"""Runs a coroutine without a Task: at once up to its first real wait, then on from a callback.

Most replies never wait, so they cost no Task and no turn of the loop. A coroutine driven here may
await plain futures; `asyncio.timeout` and the like need a Task and do not work. The Waiter of an
upstream goes on in the very callback that read the reply.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from kdns.client.line import Waiter

T = TypeVar("T")


def drive(awaitable: Awaitable[T], done: Callable[[T], None]) -> None:
    """Runs what a pipeline gave to wait for and hands its result to `done`, at once if it can."""
    # A pipeline gives coroutines; the wider type is what callers can know.
    coroutine: Any = awaitable  # Any: a cast costs a call (perf: bench forward)
    _go_on(coroutine, done)


def _go_on(coroutine: Coroutine[Any, Any, T], done: Callable[[T], None]) -> None:
    try:
        waiting = coroutine.send(None)
    except StopIteration as stop:
        done(stop.value)
        return

    def resume(_: object = None) -> None:
        _go_on(coroutine, done)

    if type(waiting) is Waiter:
        waiting._asyncio_future_blocking = False  # noqa: SLF001 - what a Task does, too
        waiting.resume = resume
    elif waiting is None:  # asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(resume)
    else:
        waiting._asyncio_future_blocking = False  # noqa: SLF001 - as above
        waiting.add_done_callback(resume)
