"""Ends streams and asks how they ended, for asyncio reports a break that nobody has asked about.

It means to ask in our place when a stream is forgotten; but a break that was met while reading is
part of a cycle, and the garbage collector may come to the future that holds it before the stream.
"""

import asyncio
from contextlib import suppress


def close(writer: asyncio.StreamWriter) -> None:
    """Closes a stream once all is written; nobody waits for it, its transport keeps who asks."""
    writer.close()
    asyncio.get_running_loop().create_task(_asked(writer))


async def _asked(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await writer.wait_closed()
