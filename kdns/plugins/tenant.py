"""tenant: which namespaces' names a client's namespace may see.

Judged is what is asked, as rewrite and autopath left it, before anybody looks whether it exists,
and every name that the answer leads to: CNAME targets, names behind an address. The asker's
namespace is his class in the answer table.
"""

from collections.abc import Awaitable
from typing import Final

from msgspec.structs import replace

from kdns.corefile.options import Settings, Shape, Syntax, choice, text, zones
from kdns.observe.tally import Tally
from kdns.plugins.base import DROP, SKIP, Filter, Query, Result, Site, Soon, own_zones, zone_of
from kdns.wire import types
from kdns.wire.carried import Carried
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key, fold
from kdns.zone.clients import Clients
from kdns.zone.tenancy import Rules, Target, find, parse
from kdns.zone.view import View, Zone

EDE_PROHIBITED: Final = 18
_WHY: Final = "names of this namespace are not shown to yours"
_REFUSED: Final = Answer(types.REFUSED, ede=((EDE_PROHIBITED, _WHY),), plugin="tenant")
_LEADING: Final = frozenset((types.CNAME, types.PTR))
_SRV_TARGET: Final = 6
"""Where the target stands in SRV rdata."""


class Tenant(Filter):
    """`tenant [ZONES…] { allow|deny [from …] [to …]; answer refused|nxdomain }`."""

    name = "tenant"
    syntax = Syntax(
        args=Shape(rest=zones),
        options={
            "allow": Shape(rest=text, repeats=True),
            "deny": Shape(rest=text, repeats=True),
            "answer": Shape((choice("refused", "nxdomain"),)),
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._zones = own_zones(settings, site, settings.args)
        rules = []
        for line in settings.lines:
            if line.name == "answer":
                continue
            try:
                rules.append(parse(line.values, allows=line.name == "allow"))
            except ValueError as error:
                raise line.fail(f"tenant: {line.name}: {error}") from None
        if not any(not rule.allows for rule in rules):
            raise settings.fail("tenant: no rule denies anything", "add deny, or take tenant out")
        self._rules = Rules(rules)
        self._refuses = settings.get("answer", "refused") == "refused"
        self._tally = Tally(site.counters, "kdns_tenant_denied_total", site.label)

    def look(self) -> None:
        """Looks whether there is somebody to tell clients apart."""
        if "clients" not in self.site.beside:
            raise self.settings.fail(
                "tenant: nobody knows the namespaces of clients",
                "set `pods verified` in kubernetes, in this server block",
            )

    async def start(self) -> None:
        """The same."""
        self.look()

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The rest of the chain's answer, without what this asker may not see."""
        view: View | None = self.site.beside.get("cluster")
        clients: Clients | None = self.site.beside.get("clients")
        if view is None or clients is None or zone_of(query.key, self._zones) is None:
            return next_(query)
        place = find(view, query.key)
        if place is None:
            found = next_(query)
        else:
            zone, target = place
            if target is not None and not self._lets(query, clients, target):
                return self._denied(query, zone)
            found = next_(query)
        if found is SKIP or isinstance(found, Answer):
            return self._judged(query, view, clients, found)
        return self._judged_later(query, view, clients, found)

    async def _judged_later(
        self, query: Query, view: View, clients: Clients, waited: Awaitable[Result]
    ) -> Result:
        return self._judged(query, view, clients, await waited)

    def _judged(self, query: Query, view: View, clients: Clients, found: Result) -> Result:
        """The answer, without names behind an address and nothing of a chain that are denied."""
        if found is SKIP or found is DROP or isinstance(found, Carried):
            return found  # what an upstream said is not looked up in the cluster
        sets = found.answer
        if not sets or (len(sets) == 1 and sets[0].owner == query.key and not _leads(sets[0])):
            return found
        kept = []
        for rrset in sets:
            rdatas = tuple(
                rdata for rdata in rrset.rdatas if self._sees(query, view, clients, rrset, rdata)
            )
            if rdatas:
                kept.append(rrset if rdatas == rrset.rdatas else _with(rrset, rdatas))
            elif rrset.type != types.PTR:
                return self._denied(query, _zone(view, rrset.owner))
        if not kept:
            return self._denied(query, _zone(view, query.key))
        return found if len(kept) == len(sets) and kept == list(sets) else _only(found, kept)

    def _sees(self, query: Query, view: View, clients: Clients, rrset: RRset, rdata: bytes) -> bool:
        """True when the asker may see the owner of a record, and where it leads."""
        names = [rrset.owner]
        if rrset.type in _LEADING:
            names.append(rdata)
        elif rrset.type == types.SRV:
            names.append(rdata[_SRV_TARGET:])
        for name in names:
            place = find(view, fold(name))
            if place is None or place[1] is None:
                continue
            if not self._lets(query, clients, place[1]):
                return False
        return True

    def _lets(self, query: Query, clients: Clients, target: Target) -> bool:
        """True when the asker may see it; who he is is looked at only where it matters."""
        lets = self._rules.lets_all(target)
        if lets is not None:
            return lets
        query.reads_class(clients)
        return self._rules.lets(clients.namespace(query.touch, query.client.address), target)

    def _denied(self, query: Query, zone: Zone | None) -> Answer:
        self._tally.hits += 1
        query.credit(self._tally)
        if self._refuses or zone is None:
            return _REFUSED
        return zone.nxdomain.but(ede=((types.EDE_BLOCKED, _WHY),), plugin=self.name)


def _leads(rrset: RRset) -> bool:
    return rrset.type in _LEADING or rrset.type == types.SRV


def _zone(view: View, name: bytes) -> Zone | None:
    place = view.find(Key(fold(name)))
    return place[0] if place else None


def _with(rrset: RRset, rdatas: tuple[bytes, ...]) -> RRset:
    return replace(rrset, rdatas=rdatas, compiled=())


def _only(found: Answer, kept: list[RRset]) -> Answer:
    """The answer with these records, and glue only where all of it is left."""
    return found.but(answer=tuple(kept), additional=())
