"""cancel: gives up on a query after a time, so that nothing behind it waits longer."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, duration, text
from kdns.plugins.base import SKIP, Filter, Query, Result, Site, Soon
from kdns.wire import types
from kdns.wire.message import Answer

log = logging.getLogger("kdns.cancel")

TIMEOUT_S = 5.001
GIVEN_UP = Answer(
    rcode=types.SERVFAIL,
    error="context deadline exceeded",
    ede=((types.EDE_NO_REACHABLE, "given up after the time of cancel"),),
)


class Cancel(Filter):
    """Stands around all that may wait; what answers at once passes untouched."""

    name = "cancel"
    syntax = Syntax(args=Shape(maybe=(duration(1e-9),)), other=Shape(rest=text), repeats=True)

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._is_first = site.beside.setdefault("cancel", self) is self
        self.timeout_s: float = settings.args[0] if settings.args else TIMEOUT_S

    async def start(self) -> None:
        """Warns of what counts for nothing."""
        if not self._is_first:
            log.warning("only the first cancel of a server block counts")
        if self.settings.lines:
            log.warning("what stands in the block of cancel does nothing: it has no options")

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """Goes on; what is not there at once is waited for this long."""
        answer = next_(query)
        if type(answer) is Answer or answer is SKIP or not self._is_first:
            return answer
        waited: Any = answer  # Any: it is no Result, so it can be waited for
        return self._within(query, waited)

    async def _within(self, query: Query, waited: Awaitable[Result]) -> Result:
        if isinstance(waited, Answer):
            return waited
        query.ledger.settle()
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        task = loop.create_task(_result(waited))
        task.add_done_callback(lambda _: _end(ended))
        timer = loop.call_later(self.timeout_s, _end, ended)
        try:
            await ended
        finally:
            timer.cancel()
            if not task.done():
                task.cancel()
        if task.done():
            return task.result()
        query.forget()
        return GIVEN_UP


async def _result(waited: Awaitable[Result]) -> Result:
    return await waited


def _end(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
