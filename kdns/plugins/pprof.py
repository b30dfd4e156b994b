"""pprof: on demand, where the program spends its time: stacks of the loop, sampled from a thread.

The text is that of flame graphs: a line for each stack seen, its frames joined by semicolons, and
how often it was seen.
"""

import asyncio
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final

from kdns.corefile.options import Settings, Shape, Syntax, host_port, integer
from kdns.plugins.base import Endpoint, HttpReply, Monitor, Site

log = logging.getLogger("kdns.pprof")

EVERY_S: Final = 0.01
DEFAULT_S: Final = 30.0
LONGEST_S: Final = 60.0
INDEX: Final = """\
/debug/pprof/profile?seconds=30
    Samples the stacks of the server for so many seconds (at most 60) and returns them collapsed,
    as flame graph programs read them.
"""


class Pprof(Monitor):
    """Serves /debug/pprof."""

    name = "pprof"
    syntax = Syntax(
        args=Shape(maybe=(host_port,)),
        options={"block": Shape(maybe=(integer(0),))},
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        at: tuple[str, int] = (*settings.args, ("localhost", 6053))[0]
        self.host, self.port = at
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Says what of CoreDNS's is missing."""
        if self.settings.has("block"):
            log.warning("block: waiting is not profiled here, the option does nothing")

    def endpoints(self) -> Sequence[Endpoint]:
        """The index and the profile."""
        at = (self.host, self.port)
        return (
            Endpoint(*at, "/debug/pprof/", self._index),
            Endpoint(*at, "/debug/pprof/profile", self._profile),
        )

    async def _index(self, _query: Mapping[str, str]) -> HttpReply:
        return HttpReply(body=INDEX.encode())

    async def _profile(self, query: Mapping[str, str]) -> HttpReply:
        try:
            seconds = float(query.get("seconds", DEFAULT_S))
        except ValueError:
            seconds = -1.0
        if not 0 < seconds <= LONGEST_S:
            return HttpReply(400, f"seconds: expected a number up to {LONGEST_S:g}\n".encode())
        if self._turn.locked():
            return HttpReply(503, b"a profile is being taken, one at a time\n")
        async with self._turn:
            return HttpReply(body=await _sampled(threading.get_ident(), seconds))


async def _sampled(thread: int, seconds: float) -> bytes:
    """Samples in a thread that ends early when nobody waits for it any more."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(_samples, thread, seconds, stop)
    finally:
        stop.set()


def _samples(thread: int, seconds: float, stop: threading.Event) -> bytes:
    seen: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop.wait(EVERY_S):
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - the one way to see another thread
        seen[_collapsed(frame)] += 1
    return "".join(f"{stack} {times}\n" for stack, times in seen.most_common()).encode()


def _collapsed(frame: FrameType | None) -> str:
    """A stack, outermost frame first."""
    names: list[str] = []
    while frame is not None:
        code = frame.f_code
        module = frame.f_globals.get("__name__", "?")
        names.append(f"{module}.{code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return ";".join(reversed(names))
