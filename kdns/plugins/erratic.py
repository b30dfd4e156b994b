"""erratic: a server to test clients with: it drops, truncates and delays some of its replies."""

import asyncio
import logging
from collections.abc import Awaitable
from itertools import count

from kdns.corefile.options import Settings, Shape, Syntax, duration, integer, text
from kdns.plugins.base import DROP, Backend, Query, Result, Site
from kdns.wire import records, types
from kdns.wire.message import Answer, RRset

log = logging.getLogger("kdns.erratic")

DEFAULT = 2
"""One in so many, where an option does not say."""
DELAY_S = 0.1
READY_AFTER = 3
_FOUND = {
    types.A: records.address("192.0.2.53"),
    types.AAAA: records.address("2001:db8::53"),
}
_ONE_IN = Shape(maybe=(integer(0, 2**31 - 1),))


class Erratic(Backend):
    """Answers every name; what it does to a reply goes by how many there were before."""

    name = "erratic"
    syntax = Syntax(
        args=Shape(rest=text),
        options={
            "drop": _ONE_IN,
            "truncate": _ONE_IN,
            "delay": Shape(maybe=(integer(0, 2**31 - 1), duration())),
            "large": Shape(is_loose=True),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._is_first = site.beside.setdefault("erratic", self) is self
        self.truncate = self._one_in("truncate")
        delay = [*settings.values("delay")]
        self.delay = (delay[:1] or [DEFAULT])[0] if settings.has("delay") else 0
        self.delay_s: float = delay[1] if len(delay) > 1 else DELAY_S
        does_else = self.truncate or self.delay
        self.drop = self._one_in("drop") if settings.has("drop") or does_else else DEFAULT
        self._count = count()
        self.asked = 0

    def _one_in(self, option: str) -> int:
        given = self.settings.values(option)
        return given[0] if given else DEFAULT if self.settings.has(option) else 0

    async def start(self) -> None:
        """Warns of what counts for nothing."""
        if not self._is_first:
            log.warning("only the first erratic of a server block is ever asked")
        if self.settings.args:
            zones = " ".join(self.settings.args)
            log.warning("%s after erratic does nothing: it answers all of its block", zones)
        if self.settings.has("large"):
            log.warning("large does nothing: there are no zone transfers from erratic")

    @property
    def is_ready(self) -> bool:
        """False until it was asked a few times."""
        return self.asked >= READY_AFTER

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """An address, sometimes; SERVFAIL for other types."""
        query.forget()
        nth = next(self._count)
        self.asked = nth + 1
        if _is_turn(self.drop, nth):
            return DROP
        answer = self._answer(query, is_cut=_is_turn(self.truncate, nth))
        return self._later(answer) if _is_turn(self.delay, nth) else answer

    async def _later(self, answer: Answer) -> Result:
        await asyncio.sleep(max(self.delay_s, 0))
        return answer

    def _answer(self, query: Query, *, is_cut: bool) -> Answer:
        address = _FOUND.get(query.type)
        if address is None:
            return Answer(rcode=types.SERVFAIL, plugin=self.name)
        flags = types.AA | (types.TC if is_cut else 0)
        found = RRset(query.key, query.type, 0, (address,))
        return Answer(answer=(found,), flags=flags, plugin=self.name)


def _is_turn(one_in: int, nth: int) -> bool:
    return one_in > 0 and nth % one_in == 0
