"""Where a server begins, whichever process it is in: its Corefile and its event loop."""

import asyncio
import sys
from pathlib import Path

from kdns.server.assembly import read


def corefile(given: str | None, port: int) -> tuple[str, str]:
    """The Corefile's text and name: the one given, `stdin`, ./Corefile, or the default."""
    if given == "stdin":
        return sys.stdin.read(), "stdin"
    path = given if given is not None else "Corefile" if Path("Corefile").exists() else ""
    return read(path, port=port), path or "Corefile"


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where it is installed, else the standard one."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
