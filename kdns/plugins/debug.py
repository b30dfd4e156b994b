"""debug: DEBUG lines and whole tracebacks in the log, for as long as some server block asks."""

import logging

from kdns.corefile.options import Syntax
from kdns.plugins.base import Monitor

log = logging.getLogger("kdns")


class Debug(Monitor):
    """Lowers the log level of the process. The server still survives a failing plugin."""

    name = "debug"
    syntax = Syntax(repeats=True)

    async def start(self) -> None:
        """Logs everything from now on."""
        self._wanting().append(self)
        log.setLevel(logging.DEBUG)

    async def stop(self) -> None:
        """Logs as before once no block asks for more; a reload starts the new first."""
        wanting = self._wanting()
        if self in wanting:
            wanting.remove(self)
        if not wanting:
            log.setLevel(logging.INFO)

    def _wanting(self) -> list[Monitor]:
        return self.site.share("debug", list)
