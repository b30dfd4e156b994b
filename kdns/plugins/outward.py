"""What the directives share that answer for a cluster as it is seen from outside: no directive.

Each stands beside the `kubernetes` of its block and answers from its cluster; here is how it learns
of it, and what becomes of a name that is not found, or asked for before the cluster is known.
"""

from collections.abc import Awaitable, Callable, Iterable
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
from kdns.zone.external import Alias
from kdns.zone.outer import Found, OuterSerial, Pending, complete, zone_in
from kdns.zone.outside import OutsideZone
from kdns.zone.services import Touch
from kdns.zone.view import View

UNSYNCED = ((types.EDE_NOT_READY, "the cluster is not known yet"),)

Find = Callable[[View, OutsideZone, Key, int, Touch, int], Found]


class Outward(Backend):
    """Answers from the cluster of its block, in zones of its own."""

    is_live = True
    whose: ClassVar[str] = "services"
    """What of the cluster it names."""
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(rest=zones),
        options={"ttl": Shape((integer(0, 3600),)), "fallthrough": Shape(rest=zones)},
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._ttl: int = settings.get("ttl", 5)
        self._fallthrough = fallthrough(settings)
        self._serial = OuterSerial()
        self._zones: tuple[OutsideZone, ...] = ()
        """The longest names first."""

    def _own(self, keys: Iterable[Key], apex: str = "dns") -> tuple[OutsideZone, ...]:
        """The zones of these names."""
        made = [OutsideZone(key, self._ttl, self._serial, self.name, apex) for key in keys]
        return tuple(sorted(made, key=lambda zone: -len(zone.key)))

    @property
    def _view(self) -> View | None:
        """The cluster, which `kubernetes` of the same block has."""
        view: View | None = self.site.beside.get("cluster")
        return view

    def look(self) -> None:
        """Learns of the cluster of the block; raises ConfigError where there is none."""
        view = self._view
        if view is None:
            raise self.settings.fail(
                f"{self.name}: this server block has no kubernetes, whose {self.whose} it would"
                " name",
                "add a kubernetes directive to the block",
            )
        self._serial.store = view.store

    async def start(self) -> None:
        """Learns of the cluster of the block."""
        self.look()

    def _found(self, query: Query, find: Find) -> Result | Awaitable[Result]:
        """What `find` makes of a name in its zones; before the cluster is known, only what is."""
        key, view = query.key, self._view
        zone = zone_in(self._zones, key)
        if view is None or not isinstance(zone, OutsideZone):
            return SKIP
        found = find(view, zone, key, query.type, query.toucher(), self._ttl)
        if not view.store.has_synced:
            query.forget()
            if not isinstance(found, Answer) or not found.answer:
                return self._missed(key, zone.unsynced.but(ede=UNSYNCED))
        return (
            self._missed(key, zone.nxdomain) if found is None else self._whole(query, zone, found)
        )

    def _missed(self, key: Key, answer: Answer) -> Result:
        """What becomes of a name that is not there: the next plugin's, or this answer."""
        return SKIP if zone_of(key, self._fallthrough) is not None else answer

    def _whole(
        self, query: Query, zone: OutsideZone, found: Answer | Alias | Pending
    ) -> Answer | Awaitable[Result]:
        """What was found, with what this server says of the names it leads to."""
        if isinstance(found, Answer):
            return found
        return complete(zone, found, query.type, partial(_ask, query))


class Hosts(Outward):
    """Answers whole names that objects of the cluster have been given."""

    watched: ClassVar[str]
    """What the cluster is to watch for it."""

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        keys = tuple(dict.fromkeys(own_zones(settings, site, settings.args)))
        if ROOT in keys and not self._fallthrough:
            raise settings.fail(
                f"{self.name}: in the root zone every other name would cease to exist",
                "name the zones of your hosts, or let other names fall through",
            )
        unclaimed(settings, site.beside, keys)
        claim(settings, site.beside, keys, self._fallthrough)
        self._zones = self._own(keys)
        site.beside.setdefault("watched", set()).add(self.watched)


async def _ask(query: Query, key: Key, type_: int) -> Answer | None:
    """What this server says of a name, with TTLs as of now; nothing where it failed."""
    reply = await query.lookup(key, type_)
    if reply is None or reply.rcode not in {types.NOERROR, types.NXDOMAIN}:
        return None
    return as_of_now(query, reply)
