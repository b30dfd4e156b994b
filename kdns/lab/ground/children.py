"""Processes that the lab starts and ends; what becomes of them is asked by asyncio alone.

Who asks beside it, as `Process.kill` and a start that is cancelled do, may be told first: then
asyncio knows no exit code, says 255, and tells of an "Unknown child process".
"""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


def send(process: Process, number: int) -> None:
    """Sends a signal to one that has not ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


async def begun(start: Coroutine[Any, Any, Process]) -> Process:  # Any: what nobody sends
    """What this starts; when who waits for that is cancelled, it is ended."""
    task = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(OSError):
            send(await task, signal.SIGKILL)
        raise
