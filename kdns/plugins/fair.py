"""fair: says how a listener that is asked more than it can answer shares itself, if it does.

The work is the server's (server.overload) and is done without this directive, too.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from kdns.corefile.options import Settings, Shape, Syntax, choice, network, percent
from kdns.plugins.base import Monitor, Site

SHARE: Final = 60
"""Percent of what can be answered. With more, queues grow again, and so does the others' p99."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a listener shares itself."""

    is_on: bool = True
    share: float = SHARE / 100
    """What clients get together while some are held back."""
    exempt: tuple[IPv4Network | IPv6Network, ...] = ()
    """Clients that never are."""


class Fair(Monitor):
    """`fair [off] { share PERCENT, exempt NETWORK… }`."""

    name = "fair"
    syntax = Syntax(
        args=Shape(maybe=(choice("off"),)),
        options={
            "share": Shape((percent,)),
            "exempt": Shape(rest=network, at_least=1, repeats=True),
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        if settings.args and settings.lines:
            raise settings.fail("fair: `off` goes with no options", "write one or the other")
        share = settings.get("share", SHARE)
        if not 10 <= share <= 95:
            raise settings.fail(f"fair: share is from 10% to 95%, found {share}%")
        self.terms = Terms(not settings.args, share / 100, settings.values("exempt"))
