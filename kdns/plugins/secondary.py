"""Serves zones that are transferred from masters, and keeps them while these are away.

What was transferred outlives reloads of the Corefile: a Replica is shared by zone and masters. A
NOTIFY counts only when it comes from a master.
"""

import logging
from collections.abc import Awaitable
from functools import partial

from kdns.client.targets import parse_address
from kdns.corefile.options import Settings, Shape, Syntax, choice, zones
from kdns.keeping.replica import Replica
from kdns.keeping.shelf import Held, Shelf
from kdns.plugins.base import (
    DROP,
    SKIP,
    Query,
    Result,
    Site,
    fallthrough,
    own_zones,
)
from kdns.plugins.zoned import Zoned
from kdns.wire import names, types
from kdns.wire.message import Answer
from kdns.wire.names import Key
from kdns.wire.records import address as packed

log = logging.getLogger("kdns.secondary")

COMPLAIN_S = 60.0
"""How often it is said at most that somebody else sends notifications."""


class Secondary(Zoned):
    """`secondary [ZONES…] { transfer from ADDRESS… }`."""

    name = "secondary"
    refuses_rest = True
    syntax = Syntax(
        args=Shape(rest=zones),
        options={
            "transfer": Shape(
                words=(choice("from"),), rest=parse_address, at_least=1, repeats=True
            ),
            "fallthrough": Shape(rest=zones),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        masters = [one for line in settings.all("transfer") for one in line.values[1:]]
        if not masters:
            raise settings.fail("secondary: where does the zone come from? say `transfer from`")
        self.masters = tuple(dict.fromkeys(masters))
        self._hosts = frozenset(packed(host) for host, _ in self.masters)
        self._complained = float("-inf")
        self.shelf = Shelf(self.name)
        site.beside.setdefault("transfer", []).append(self.shelf)
        self._replicas: dict[Key, Replica] = {}
        for apex in own_zones(settings, site, settings.args):
            key = ("secondary", apex, self.masters)
            self._replicas[apex] = site.share(key, partial(self._replica, apex))

    def _replica(self, apex: Key) -> Replica:
        site = self.site
        held = Held(apex, self.masters, self.name, site.stamps, site.counters)
        return Replica(held, self.masters, self.site.clock, self.site.chance)

    async def start(self) -> None:
        """Takes up what was transferred so far; all else comes when it comes (CoreDNS)."""
        for replica in self._replicas.values():
            replica.held.falls = fallthrough(self.settings)
            self.shelf.add(replica.held)

    async def stop(self) -> None:
        """Lets go of the zones; those that the next Corefile has, too, live on."""
        self.shelf.clear()

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """The same at once, unless a chain leads out of the zone."""
        if query.opcode == types.NOTIFY:
            return self._notified(query)
        return self._said(query)

    def _notified(self, query: Query) -> Result:
        """RFC 1996 §3.10: only masters are heard; others get no reply (CoreDNS)."""
        replica = self._replicas.get(query.key)
        if replica is None:
            return SKIP
        if query.client.address not in self._hosts:
            who, zone = names.format_address(query.client.address), names.format(query.key)
            if query.now - self._complained > COMPLAIN_S:
                self._complained = query.now  # anybody can send as many as he likes
                log.info("a NOTIFY of %s from %s, which is no master, is not heard", zone, who)
            return DROP
        replica.notify()
        return Answer(flags=types.AA, plugin=self.name)
