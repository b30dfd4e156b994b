"""hostnames: the names that annotations of services ask for (those of ExternalDNS). Ours.

The answers are made in kdns.zone.hosts, over the cluster of the block's `kubernetes`, which reads
these annotations only because this directive stands here.
"""

from collections.abc import Awaitable
from functools import partial
from typing import ClassVar

from kdns.corefile.claims import claim, unclaimed
from kdns.corefile.options import Settings, Shape, Syntax, integer, zones
from kdns.plugins.base import (
    SKIP,
    Backend,
    Query,
    Result,
    Site,
    as_of_now,
    fallthrough,
    own_zones,
    zone_of,
)
from kdns.wire import types
from kdns.wire.message import Answer
from kdns.wire.names import ROOT, Key
from kdns.zone import hosts
from kdns.zone.outer import OuterSerial, complete, zone_in
from kdns.zone.outside import OutsideZone
from kdns.zone.view import View

UNSYNCED = ((types.EDE_NOT_READY, "the cluster is not known yet"),)


class Hostnames(Backend):
    """Answers hosts."""

    name = "hostnames"
    is_live = True
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(rest=zones),
        options={"ttl": Shape((integer(0, 3600),)), "fallthrough": Shape(rest=zones)},
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._ttl: int = settings.get("ttl", 5)
        self._fallthrough = fallthrough(settings)
        keys = tuple(dict.fromkeys(own_zones(settings, site, settings.args)))
        if ROOT in keys and not self._fallthrough:
            raise settings.fail(
                "hostnames: in the root zone every other name would cease to exist",
                "name the zones of your hosts, or let other names fall through",
            )
        unclaimed(settings, site.beside, keys)
        claim(settings, site.beside, keys, self._fallthrough)
        self._serial = OuterSerial()
        made = (OutsideZone(key, self._ttl, self._serial, self.name) for key in keys)
        self._zones = tuple(sorted(made, key=lambda zone: -len(zone.key)))
        site.beside.setdefault("watched", set()).add("hosts")

    def look(self) -> None:
        """Learns of the cluster of the block; raises ConfigError where there is none."""
        view = self._view
        if view is None:
            raise self.settings.fail(
                "hostnames: this server block has no kubernetes, whose services it would name",
                "add a kubernetes directive to the block",
            )
        self._serial.store = view.store

    async def start(self) -> None:
        """Learns of the cluster of the block."""
        self.look()

    @property
    def _view(self) -> View | None:
        """The cluster, which `kubernetes` of the same block has."""
        view: View | None = self.site.beside.get("cluster")
        return view

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """Answers names of the plugin's zones; only what is reached at a name is waited for."""
        key, view = query.key, self._view
        zone = zone_in(self._zones, key)
        if view is None or not isinstance(zone, OutsideZone):
            return SKIP
        touch = query.toucher()
        found = hosts.in_services(view, zone, key, query.type, touch, self._ttl)
        if not view.store.has_synced:
            query.forget()
            if not isinstance(found, Answer) or not found.answer:
                may_pass = zone_of(key, self._fallthrough) is not None
                return SKIP if may_pass else zone.unsynced.but(ede=UNSYNCED)
        if found is None:
            return SKIP if zone_of(key, self._fallthrough) is not None else zone.nxdomain
        if isinstance(found, Answer):
            return found
        return complete(zone, found, query.type, partial(_ask, query))


async def _ask(query: Query, key: Key, type_: int) -> Answer | None:
    """What this server says of a name, with TTLs as of now; nothing where it failed."""
    reply = await query.lookup(key, type_)
    if reply is None or reply.rcode not in {types.NOERROR, types.NXDOMAIN}:
        return None
    return as_of_now(query, reply)
