"""k8s_external: names for services as they are reached from outside the cluster.

The answers are made in kdns.zone.outside, over the cluster of the block's `kubernetes`. Here stand
the options, what becomes of a name that is not found, and the look-ups for names of load balancers.
CoreDNS: nobody waits for the cluster; before it is known its names do not exist.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import ClassVar

from kdns.corefile.claims import claim
from kdns.corefile.options import Settings, Shape, Syntax, integer, text, zones
from kdns.plugins.base import SKIP, Query, Result, Site, own_zones, zone_of
from kdns.plugins.outward import Outward
from kdns.wire import names
from kdns.wire.message import RRset
from kdns.wire.names import Key
from kdns.zone import outside, outside_listing
from kdns.zone.names import label
from kdns.zone.outer import zone_in
from kdns.zone.outside import Names, OutsideZone


class K8sExternal(Outward):
    """Answers names of services with their external addresses."""

    name = "k8s_external"
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(rest=zones),
        options={
            "apex": Shape((text,), is_loose=True),
            "ttl": Shape((integer(0, 3600),), is_loose=True),
            "headless": Shape(is_loose=True),
            "fallthrough": Shape(rest=zones),
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        apex = settings.get("apex", "dns").lower()
        if not label(apex) or "." in apex:
            raise settings.all("apex")[-1].fail("k8s_external: apex is one label, such as dns")
        keys = tuple(dict.fromkeys(own_zones(settings, site, settings.args)))
        self._zones = self._own(keys, apex)
        claim(settings, site.beside, keys, self._fallthrough)
        self._apexes = tuple(Key(label(apex) + key) for key in keys)
        """Names that only its own name servers are below: nobody else is asked for those."""
        forward = (key for key in keys if not names.is_reverse(key))
        self._names = Names(
            next(forward, next(iter(keys), names.ROOT)), self._ttl, settings.has("headless")
        )
        self.on_change: list[Callable[[Key], None]] = []
        site.beside.setdefault("transfer", []).append(self)

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """Answers names of the plugin's zones; only a load balancer's name has to be waited for."""
        key, view = query.key, self._view
        zone = zone_in(self._zones, key)
        if view is None or not isinstance(zone, OutsideZone):
            return SKIP
        if not view.store.has_synced:
            query.forget()
        found = outside.answer(self._names, view, zone, key, query.type, query.toucher())
        if found is None:
            is_own = zone_of(key, self._apexes) is not None
            return zone.nxdomain if is_own else self._missed(key, zone.nxdomain)
        return self._whole(query, zone, found)

    # What `transfer` asks for

    @property
    def zones(self) -> tuple[Key, ...]:
        """The apexes of its zones."""
        return tuple(zone.key for zone in self._zones) if self._view is not None else ()

    def serial(self, zone: Key) -> int | None:
        """The serial of a zone, the same for all of them."""
        view = self._view
        return self._serial.serial if view is not None and view.store.has_synced else None

    def records(self, zone: Key) -> Iterator[RRset]:
        """All records of a zone."""
        view = self._view
        found = next(one for one in self._zones if one.key == zone)
        return outside_listing.records(self._names, view, found) if view else iter(())
