"""Waits in a test for what is about to be so, however long others have the machine."""

import asyncio
from collections.abc import Callable

PATIENCE_S = 40.0


async def until(holds: Callable[[], object]) -> None:
    """Returns when it holds, or raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)
