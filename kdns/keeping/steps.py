"""Work in steps, done beside serving: 2 ms of it, then the loop has its turn (design.md §4)."""

import asyncio
from time import perf_counter
from typing import Any, TypeVar

from kdns.zone.files.zone import Steps

T = TypeVar("T")

TURN_S = 0.002
_FREED = 500
"""Objects freed in a step."""


async def walked(steps: Steps[T]) -> T:
    """Does all steps; gives what comes of them."""
    started = perf_counter()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        if perf_counter() - started > TURN_S:
            await asyncio.sleep(0)
            started = perf_counter()


async def freed(objects: list[Any]) -> None:  # Any: whatever it is, nobody looks at it
    """Lets go of many objects, which takes a while when it is done at once.

    The caller keeps no other reference to what holds them.
    """
    while objects:
        del objects[-_FREED:]
        await asyncio.sleep(0)
