"""siit: makes A records of AAAA records, for clients of IPv4 in front of services of IPv6.

An address is mapped by an entry of its own, or because an IPv4 address stands in it behind the
prefix (RFC 6052, RFC 7757). What is looked up here passes by untouched, so that `dns64` and this
end in one block.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from kdns.corefile.options import Settings, Shape, Syntax, network
from kdns.observe.tally import Tally
from kdns.plugins.base import DROP, SKIP, Filter, Next, Query, Result, Site, as_of_now
from kdns.wire import types
from kdns.wire.embed import Prefix
from kdns.wire.message import Answer, RRset

_DEFAULT = IPv6Network("64:ff9b::/96")
_TTL = 600
"""TTL at most where the answer for A had no SOA."""


def _prefix(word: str) -> Prefix:
    found = network(word)
    if not isinstance(found, IPv6Network) or "/" not in word:
        raise ValueError("an IPv6 prefix such as 64:ff9b::/96")
    prefix = Prefix(found)
    if not prefix.is_clean:
        raise ValueError("an IPv6 prefix whose bits 64 to 71 are zero")
    return prefix


def _address4(word: str) -> bytes:
    try:
        return IPv4Address(word).packed
    except ValueError:
        raise ValueError("an IPv4 address") from None


def _address6(word: str) -> bytes:
    try:
        found = ip_address(word)
    except ValueError:
        found = None
    if not isinstance(found, IPv6Address) or found.ipv4_mapped:
        raise ValueError("an IPv6 address")
    return found.packed


class Siit(Filter):
    """The `siit` directive."""

    name = "siit"
    syntax = Syntax(
        options={
            "ipv6_prefix": Shape(words=(_prefix,), is_loose=True),
            "eam": Shape(words=(_address4, _address6), repeats=True),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.prefix: Prefix = settings.get("ipv6_prefix", Prefix(_DEFAULT))
        self.entries: dict[bytes, bytes] = {
            line.values[1]: line.values[0] for line in settings.all("eam")
        }
        self._inside: set[int] = set()
        """Ledgers of queries that wait for a look-up of ours."""
        self._tally = Tally(site.counters, "coredns_siit_requests_translated_total", site.label)

    async def around(self, query: Query, next_: Next) -> Result:
        """Passes on what has A records or does not exist; else asks for AAAA records."""
        answer = await next_(query)
        mark = id(query.ledger)
        if query.type != types.A or query.cls != types.IN or mark in self._inside:
            return answer
        if answer is SKIP or answer is DROP or answer.error or not _is_empty(answer):
            return answer
        self._inside.add(mark)
        try:
            found = await query.lookup(query.key, types.AAAA)
        finally:
            self._inside.discard(mark)
        if found is None:
            ede = ((types.EDE_OTHER, "no answer to the look-up within"),)
            return Answer(types.SERVFAIL, ede=ede, plugin=self.name)
        if found.rcode != types.NOERROR:
            return found.but(plugin=self.name)
        return self._translated(query, answer, as_of_now(query, found))

    def _translated(self, query: Query, answer: Answer, found: Answer) -> Answer:
        before = as_of_now(query, answer)
        ttls = [rrset.ttl for rrset in before.authority if rrset.type == types.SOA]
        most = min(ttls, default=_TTL)
        rows = [self._row(rrset, most) for rrset in found.answer]
        if all(row is None or row.type != types.A for row in rows):
            return answer
        self._tally.hits += 1
        query.credit(self._tally)
        return found.but(
            answer=tuple(row for row in rows if row is not None),
            flags=found.flags & ~types.AD,
            plugin=self.name,
            live=found.live or answer.live,
            first=0,  # some of them may have been left out
        )

    def _row(self, rrset: RRset, most: int) -> RRset | None:
        """Records of IPv4 for those of IPv6, None where none can be mapped."""
        if rrset.type != types.AAAA:
            return rrset
        mapped = [self._mapped(address) for address in rrset.rdatas]
        addresses = tuple(address for address in mapped if address is not None)
        if not addresses:
            return None
        return RRset(rrset.owner, types.A, min(rrset.ttl, most), addresses, rrset.cls)

    def _mapped(self, address: bytes) -> bytes | None:
        return self.entries.get(address) or self.prefix.extract(address)


def _is_empty(answer: Answer) -> bool:
    """Whether AAAA records may stand in for what was answered."""
    if answer.rcode == types.NXDOMAIN or answer.flags & types.TC:
        return False
    return all(rrset.type != types.A for rrset in answer.answer)
