"""Things that are done side by side and end together."""

import asyncio
from collections.abc import Coroutine


async def until_first(*duties: Coroutine[None, None, None]) -> None:
    """Does all until one has ended; ends the others, and raises what any of them has raised."""
    tasks = [asyncio.ensure_future(one) for one in duties]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
    for one in found:
        if isinstance(one, Exception):
            raise one
