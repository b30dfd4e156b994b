"""Many short parts of a body become fewer pieces to send, with turns for others in between."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from time import perf_counter

PIECE = 64 * 1024
_TURN_S = 0.003


async def joined(parts: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of about PIECE; the parts are made as they are needed."""
    piece: list[bytes] = []
    size = 0
    started = perf_counter()
    for part in parts:
        piece.append(part)
        size += len(part)
        if size >= PIECE:
            yield b"".join(piece)
            piece, size = [], 0
        if perf_counter() - started > _TURN_S:
            await asyncio.sleep(0)
            started = perf_counter()
    if size:
        yield b"".join(piece)
