"""A program that runs beside the lab and never longer: a DNS server, or whatever a user names.

It is told by SIGTERM when the lab ends. Should the lab be killed, the kernel tells it (Linux).
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from kdns.lab.ground.children import send

STOP_S = 15.0
_PR_SET_PDEATHSIG = 1


async def start(words: Sequence[str], environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Starts it; raises OSError where there is no such program."""
    return await asyncio.create_subprocess_exec(
        *words, env={**os.environ, **environ}, preexec_fn=_binder()
    )


async def stop(process: asyncio.subprocess.Process) -> None:
    """Asks it to end, and ends it when it does not."""
    send(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        send(process, signal.SIGKILL)
        await process.wait()


class _Bound:
    """Run in the child before its program: binds its life to ours."""

    def __init__(self) -> None:
        self._parent = os.getpid()
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded here: a child must not

    def __call__(self) -> None:
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != self._parent:  # we ended in between
            os._exit(1)


def _binder() -> "_Bound | None":
    return _Bound() if sys.platform == "linux" else None
