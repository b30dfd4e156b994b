"""shed: replies that find no room in the kernel are dropped, silently, where 1,024 wait already.

The work is the server's (server.outbox).
"""

from typing import Final

from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.plugins.base import Monitor, Site

MOST: Final = 1024
"""Replies that may wait at one socket (CoreDNS)."""


class Shed(Monitor):
    """`shed`."""

    name = "shed"
    syntax = Syntax(other=Shape(rest=text))

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        if settings.lines:
            raise settings.lines[0].fail("shed takes no options")
        for reason in ("query", "response"):
            site.counters.add("coredns_shed_dropped_total", site.label, reason, by=0)

    def takes(self, waiting: int) -> bool:
        """True when one more reply may wait; counts it where not."""
        if waiting < MOST:
            return True
        self.site.counters.add("coredns_shed_dropped_total", self.site.label, "response")
        return False
