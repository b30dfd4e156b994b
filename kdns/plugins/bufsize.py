"""bufsize: has the size of UDP replies that askers say they take count as a limit at most."""

import logging
from collections.abc import Awaitable

from kdns.corefile.options import Settings, Shape, Syntax, integer, text
from kdns.plugins.base import Filter, Query, Result, Site, Soon

log = logging.getLogger("kdns.bufsize")

SIZE = 1232
"""What passes everywhere without fragments (DNS Flag Day 2020)."""


class Bufsize(Filter):
    """Caps what the rest of the chain, an upstream and the reply see; never raises it."""

    name = "bufsize"
    syntax = Syntax(args=Shape(maybe=(integer(512, 4096),)), other=Shape(rest=text), repeats=True)

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._is_first = site.beside.setdefault("bufsize", self) is self
        self.size: int = settings.args[0] if settings.args else SIZE

    async def start(self) -> None:
        """Warns of what counts for nothing."""
        if not self._is_first:
            log.warning("only the first bufsize of a server block counts")
        if self.settings.lines:
            log.warning("what stands in the block of bufsize does nothing: it has no options")

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """Goes on for an asker who takes this much at most."""
        if self._is_first and query.question.has_opt:
            query.cap(self.size)
        return next_(query)
