"""Tells systemd how it goes: ready, reloading, stopping, still alive (the protocol of sd_notify).

Without NOTIFY_SOCKET in the environment nothing is told. Where several processes serve, only the
one that was started speaks: systemd listens to no other.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Final

PATIENCE_S: Final = 1.0
"""How long systemd may leave a message untaken."""
SHORTEST_S: Final = 0.01
"""However often systemd wants to hear of it, telling it is not what keeps a server busy."""
DIGITS: Final = 18
"""Microseconds of more are no time: 3,000 years."""
NAMED: Final = 3
"""How many of the zones that are served a status names."""

log = logging.getLogger("kdns.notify")


def ready(served: Sequence[str] = ()) -> None:
    """Everything is open and answered."""
    more = f" and {len(served) - NAMED} more" if len(served) > NAMED else ""
    _say("READY=1", f"STATUS=serves {', '.join(served[:NAMED])}{more}".rstrip())


def reloading() -> None:
    """Another Corefile is about to be put in place; `ready` says when that is over."""
    _say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloads")


def stopping() -> None:
    """The stop has begun."""
    _say("STOPPING=1", "STATUS=stops")


def keep_alive() -> None:
    """Says from now on, twice in the time systemd waits for it, that the event loop turns."""
    period_s = _period_s(os.environ)
    if period_s:
        _beat(asyncio.get_running_loop(), max(period_s / 2, SHORTEST_S))


def _beat(loop: asyncio.AbstractEventLoop, every_s: float) -> None:
    _say("WATCHDOG=1", patience_s=0)  # queries do not wait for a systemd that takes nothing
    loop.call_later(every_s, _beat, loop, every_s)


def _period_s(environ: Mapping[str, str]) -> float:
    """How often systemd wants to hear of this process; 0 for never."""
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    is_ours = not pid or pid == str(os.getpid())
    is_number = text.isdecimal() and len(text) < DIGITS
    return int(text) / 1e6 if is_ours and is_number else 0.0


def _say(*lines: str, patience_s: float = PATIENCE_S) -> None:
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(patience_s)
            sock.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        log.warning("cannot tell systemd %s at NOTIFY_SOCKET=%s: %s", lines[0], name, error)
