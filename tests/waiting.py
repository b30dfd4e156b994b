"""What a test does not leave to how busy the machine is: how long it waits, and what work takes."""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 40.0


async def until(holds: Callable[[], object]) -> None:
    """Returns when it holds, or raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)


def least_cpu(work: Callable[[], object], enough: float, tries: int = 5) -> float:
    """The CPU that work takes, in the best of some tries: what others do on the machine adds to it."""
    least = float("inf")
    for _ in range(tries):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
        if least < enough:
            break
    return least
