"""timeouts: how long streams to a block are waited for, and how much may be asked on one."""

from typing import Final

from kdns.corefile.options import Settings, Shape, Syntax, duration, integer
from kdns.plugins.base import Monitor, Site

SPAN: Final = Shape(words=(duration(1, 86400, bare_seconds=True),))


class Timeouts(Monitor):
    """`timeouts { … }`."""

    name = "timeouts"
    syntax = Syntax(
        options={
            "read": SPAN,
            "write": SPAN,
            "idle": SPAN,
            "maxtcpqueries": Shape(words=(integer(-1),)),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        if not settings.lines:
            raise settings.fail(
                "timeouts: expected an option", "read, write, idle or maxtcpqueries"
            )
        if settings.get("maxtcpqueries") == 0:
            raise settings.fail(
                "timeouts: expected a number of queries, or -1 for any, found 0",
                "an idle connection is closed by `idle`",
            )
