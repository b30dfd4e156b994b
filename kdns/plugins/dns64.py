"""dns64: makes AAAA records of A records, for clients that have IPv6 only (RFC 6147).

Only clients of IPv6 are served so unless `allow_ipv4`; then the family of the asker is the class
that joins the key of what is remembered.
"""

from ipaddress import IPv6Network

from kdns.corefile.options import Settings, Shape, Syntax, network
from kdns.observe.tally import Tally
from kdns.plugins.base import DROP, SKIP, Filter, Next, Query, Result, Site, as_of_now
from kdns.wire import types
from kdns.wire.embed import Prefix
from kdns.wire.message import Answer, RRset

_DEFAULT = IPv6Network("64:ff9b::/96")
_TTL = 600
"""TTL at most where the answer for AAAA had no SOA (RFC 6147 §5.1.7)."""


class Families:
    """Puts clients of IPv4 and of IPv6 into two classes."""

    @staticmethod
    def classify(address: bytes) -> int:
        """The length of a packed address."""
        return len(address)


def _prefix(word: str) -> Prefix:
    found = network(word)
    if not isinstance(found, IPv6Network) or "/" not in word:
        raise ValueError("an IPv6 prefix such as 64:ff9b::/96")
    return Prefix(found)


class Dns64(Filter):
    """The `dns64` directive."""

    name = "dns64"
    syntax = Syntax(
        args=Shape(maybe=(_prefix,)),
        options={
            "prefix": Shape(words=(_prefix,), is_loose=True),
            "translate_all": Shape(is_loose=True),
            "allow_ipv4": Shape(is_loose=True),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        given = settings.args[0] if settings.args else Prefix(_DEFAULT)
        self.prefix: Prefix = settings.get("prefix", given)
        self._replaces = settings.has("translate_all")
        self._serves_all = settings.has("allow_ipv4")
        self._tally = Tally(site.counters, "coredns_dns64_requests_translated_total", site.label)

    async def around(self, query: Query, next_: Next) -> Result:
        """Passes on what has AAAA records or does not exist; else asks for A records."""
        answer = await next_(query)
        if query.type != types.AAAA or query.cls != types.IN or not self._is_for(query):
            return answer
        if answer is SKIP or answer is DROP or answer.error or not self._is_empty(answer):
            return answer
        found = await query.lookup(query.key, types.A)
        if found is None:
            ede = ((types.EDE_OTHER, "no answer to the look-up within"),)
            return Answer(types.SERVFAIL, ede=ede, plugin=self.name)
        return self._translated(query, as_of_now(query, answer), as_of_now(query, found))

    def _is_for(self, query: Query) -> bool:
        if self._serves_all:
            return True
        query.reads_class(Families)
        return len(query.client.address) == 16

    def _is_empty(self, answer: Answer) -> bool:
        """Whether A records may stand in for what was answered."""
        if answer.rcode == types.NXDOMAIN or answer.flags & types.TC:
            return False
        return self._replaces or all(rrset.type != types.AAAA for rrset in answer.answer)

    def _translated(self, query: Query, answer: Answer, found: Answer) -> Answer:
        ttls = [rrset.ttl for rrset in answer.authority if rrset.type == types.SOA]
        most = min(ttls, default=_TTL)
        rows = tuple(self._row(rrset, most) for rrset in found.answer)
        if rows != found.answer:
            self._tally.hits += 1
            query.credit(self._tally)
        flags = found.flags & ~(types.AA | types.AD)
        live = found.live or answer.live
        return found.but(answer=rows, flags=flags, plugin=self.name, live=live)

    def _row(self, rrset: RRset, most: int) -> RRset:
        if rrset.type != types.A:
            return rrset
        addresses = tuple(map(self.prefix.embed, rrset.rdatas))
        return RRset(rrset.owner, types.AAAA, min(rrset.ttl, most), addresses, rrset.cls)
