"""aaaa: answers NODATA for the address family that nothing in reach of the cluster can use.

Whether a name exists must be right, so the other family is asked in its place: its code is the
name's, and its records are what the same client asks for in the same breath, so they are cached.
Names of the cluster are asked as they are, since what they have is known. What `auto` finds about
the cluster is one fact, looked at when the cluster has changed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from ipaddress import ip_address
from typing import Any, Final

from kdns.client.interfaces import interfaces
from kdns.corefile.options import Settings, Shape, Syntax, choice, zones
from kdns.observe.tally import Tally
from kdns.plugins.base import DROP, SKIP, Filter, Query, Result, Site, Soon, own_zones, zone_of
from kdns.wire import records, types
from kdns.wire.message import Answer
from kdns.wire.names import Key
from kdns.zone.view import View

log = logging.getLogger("kdns.aaaa")

LOOK_S: Final = 2.0
"""How soon after a change of the cluster its families are looked at again."""
OTHER: Final = {types.A: types.AAAA, types.AAAA: types.A}
_UNWANTED: Final = {frozenset((4,)): types.AAAA, frozenset((16,)): types.A}
"""By the widths of all addresses that were found."""
_BEFORE: Final = (b"\x02ns\x03dns", b"\x0ahostmaster")
_TIMERS: Final = (7200, 1800, 86400)
_ALIASES: Final = frozenset((types.CNAME, types.DNAME))


class Aaaa(Filter):
    """`aaaa auto|keep|suppress [ZONES…]`."""

    name = "aaaa"
    syntax = Syntax(args=Shape((choice("auto", "keep", "suppress"),), rest=zones))

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._mode, *given = settings.args
        self._zones = own_zones(settings, site, given)
        self._fact = ("aaaa", self._zones)
        self._unwanted = types.AAAA if self._mode == "suppress" else 0
        self._own: frozenset[int] = frozenset()
        self._edition = -1
        self._tally = Tally(site.counters, "kdns_aaaa_suppressed_total", site.label)

    @property
    def _view(self) -> View | None:
        return self.site.beside.get("cluster")

    def look(self) -> None:
        """Looks whether there is a cluster to go by."""
        if self._mode == "auto" and self._view is None:
            raise self.settings.fail(
                "aaaa: auto goes by the cluster's addresses, and there is no cluster",
                "add kubernetes to this server block, or say suppress",
            )

    async def start(self) -> None:
        """Looks at our own addresses and, as far as it is known by now, at the cluster."""
        self.look()
        if self._mode != "auto":
            return
        self._own = frozenset(_own_widths())
        self.judge()

    def tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Follows the cluster."""
        return (self._follow(),) if self._mode == "auto" else ()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.judge()

    def judge(self) -> None:
        """Finds the family that nobody has; none before the cluster is known."""
        view = self._view
        if view is None or not view.store.has_synced or view.store.edition == self._edition:
            return
        self._edition = view.store.edition
        widths = self._own | _widths(view)
        unwanted = _UNWANTED.get(widths, 0)
        if unwanted == self._unwanted:
            return
        self._unwanted = unwanted
        self.site.stamps.bump((self._fact,))
        if unwanted:
            log.info("%s is answered with no records: no address of the cluster is of its family",
                     types.type_name(unwanted))  # fmt: skip
        else:
            log.info("A and AAAA are both answered: the cluster has addresses of both families")

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The rest of the chain's answer, or NODATA for what is not wanted."""
        if query.type not in OTHER or self._mode == "keep":
            return next_(query)
        zone = zone_of(query.key, self._zones)
        if zone is None:
            return next_(query)
        if self._mode == "auto":
            query.touch(self._fact)
        if query.type != self._unwanted:
            return next_(query)
        asked = query
        if self._view is None or self._view.find(query.key) is None:
            asked = query.asking(query.key, OTHER[query.type])
        elif self._mode == "auto":
            return next_(query)
        found = next_(asked)
        if found is SKIP or isinstance(found, Answer):
            return self._empty(query, zone, found)
        return self._empty_later(query, zone, found)

    async def _empty_later(self, query: Query, zone: Key, waited: Awaitable[Result]) -> Result:
        return self._empty(query, zone, await waited)

    def _empty(self, query: Query, zone: Key, found: Result) -> Result:
        """The answer without addresses; whether the name exists, and where it leads, stays."""
        if found is SKIP or found is DROP or found.error or found.rcode:
            return found
        self._tally.hits += 1
        query.credit(self._tally)
        if any(one.type == types.SOA for one in found.authority):
            return found  # there are none of the other family either
        ttl = min((one.ttl for one in found.answer), default=5)
        soa = records.soa_set(zone, ttl, _BEFORE, 1, _TIMERS, ttl)
        aliases = tuple(one for one in found.answer if one.type in _ALIASES)
        return found.but(
            answer=aliases, authority=(soa,), additional=(), flags=found.flags & ~types.AD
        )


def _widths(view: View) -> frozenset[int]:
    """Octets of the ClusterIPs; 4 for IPv4, 16 for IPv6."""
    return frozenset(
        len(address) for service in view.store.services.values() for address in service.addresses
    )


def _own_widths() -> set[int]:
    """The same of our own addresses: in a dual-stack cluster a pod has both."""
    texts = (text.partition("%")[0] for group in interfaces().values() for text in group)
    found = [ip_address(text) for text in texts]
    return {len(one.packed) for one in found if not (one.is_loopback or one.is_link_local)}
