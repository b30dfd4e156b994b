"""local: keeps questions about this very host from leaving it.

It serves `localhost` and the reverse zones 0, 127 and 255, which RFC 6303 and RFC 6761 want
answered where they are asked; and whatever a search path made of `localhost`.
"""

from kdns.corefile.options import Settings, Shape, Syntax, choice
from kdns.observe.tally import Tally
from kdns.plugins.base import SKIP, Backend, Query, Result, Site, zone_of
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key, is_below

TTL = 604800
LOCALHOST = names.parse_key("localhost")
_PREFIX = LOCALHOST[:-1]
_REVERSE = tuple(names.parse_key(f"{first}.in-addr.arpa") for first in (0, 127, 255))
_ZONES = (LOCALHOST, *_REVERSE)
_HOST = names.parse_key("1.0.0.127.in-addr.arpa")
_AT_APEX = frozenset((types.NS, types.SOA))
_ADDRESSES = {types.A: b"\x7f\0\0\1", types.AAAA: bytes(15) + b"\1"}
_SOA = records.soa(LOCALHOST, names.parse_key("root.localhost"), 1, (0, 0, 0), TTL)


class Local(Backend):
    """Answers before all that could pass such a question on."""

    name = "local"
    syntax = Syntax(options={"localhost_prefix": Shape(words=(choice("on", "off"),))}, repeats=True)

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.has_prefix = settings.get("localhost_prefix", "on") == "on"
        self._tally = Tally(site.counters, "coredns_local_localhost_requests_total")

    def at_once(self, query: Query) -> Result:
        """An answer for a name in one of the zones, or one that begins with `localhost`."""
        key = query.key
        zone = zone_of(key, _ZONES)
        if zone == LOCALHOST or (self.has_prefix and key.startswith(_PREFIX)):
            if key != LOCALHOST:
                self._tally.hits += 1
                query.credit(self._tally)
            return _host(query)
        return SKIP if zone is None else _reverse(query, zone)


def _host(query: Query) -> Answer:
    """What stands at `localhost` and below."""
    address = _ADDRESSES.get(query.type)
    if address is not None:
        return _found(RRset(query.key, query.type, TTL, (address,)))
    if query.key == LOCALHOST and query.type in _AT_APEX:
        return _found(_apex(LOCALHOST, query.type))
    # What a search path made of localhost is below no zone of ours: it is one for itself (CoreDNS).
    return _nothing(LOCALHOST if is_below(query.key, LOCALHOST) else query.key)


def _reverse(query: Query, zone: Key) -> Answer:
    """What stands in a reverse zone: its apex, and the one name of 127.0.0.1."""
    if query.key == zone:
        is_there = query.type in _AT_APEX
        return _found(_apex(zone, query.type)) if is_there else _nothing(zone)
    if query.key != _HOST:
        return _nothing(zone, types.NXDOMAIN)
    if query.type != types.PTR:
        return _nothing(zone)
    return _found(RRset(query.key, types.PTR, TTL, (LOCALHOST,)))


def _found(rrset: RRset) -> Answer:
    return Answer(answer=(rrset,), plugin=Local.name)


def _nothing(zone: Key, rcode: int = types.NOERROR) -> Answer:
    return Answer(rcode=rcode, authority=(_apex(zone, types.SOA),), plugin=Local.name)


def _apex(zone: Key, type_: int) -> RRset:
    return RRset(zone, type_, TTL, (_SOA if type_ == types.SOA else LOCALHOST,))
