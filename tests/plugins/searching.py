"""Resolvers as glibc and musl have them, and a server in front of a cluster for them to ask."""

from dataclasses import dataclass, field

import dns.message
import dns.rcode
import dns.rdatatype

from kdns.cluster.store import Put, Synced
from kdns.plugins.acl import Acl
from kdns.plugins.autopath import Autopath
from kdns.plugins.base import Backend
from kdns.plugins.cache import Cache
from kdns.plugins.kubernetes import Kubernetes
from kdns.server.chain import join
from kdns.server.pipeline import Pipeline
from kdns.server.router import Block, Router
from kdns.server.table import AnswerTable
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import ROOT
from tests import fakes
from tests.zone.worlds import objects

NDOTS = 5
SOA = records.soa(b"\1a\0", b"\1b\0", 1, (1, 2, 3), 30)
DENIAL = (RRset(ROOT, types.SOA, 30, (SOA,)),)
MISSING = Answer(types.NXDOMAIN, authority=DENIAL, plugin="outside")
FAILED = Answer(types.SERVFAIL, plugin="outside")
"""As an upstream writes it."""


class Outside(Backend):
    """The rest of the world: names with their addresses; all others do not exist."""

    name = "outside"

    def __init__(self, settings, site):
        super().__init__(settings, site)
        self.known: dict[bytes, tuple[str, ...] | None] = {}
        """By name; None for what fails."""
        self.asked: list[str] = []

    def set(self, name: str, *addresses: str, fails: bool = False) -> None:
        key = names.parse_key(name)
        self.known[key] = None if fails else addresses
        self.site.stamps.bump((("outside", key),))

    def unset(self, name: str) -> None:
        key = names.parse_key(name)
        self.known.pop(key, None)
        self.site.stamps.bump((("outside", key),))

    async def answer(self, query):
        self.asked.append(names.format(query.key))
        query.touch(("outside", query.key))
        if query.key not in self.known:
            return MISSING
        found = self.known[query.key]
        if found is None:
            return FAILED
        width = {types.A: 4, types.AAAA: 16}.get(query.type)
        packed = tuple(a for a in map(records.address, found) if len(a) == width)
        if not packed:
            return Answer(authority=DENIAL, plugin="outside")
        return Answer(answer=(RRset(query.key, query.type, 300, packed),), plugin="outside")


@dataclass
class Server:
    """One listener with one block: what stands in `text`, over a cluster of these documents."""

    text: str
    documents: tuple[dict, ...] = ()
    packets: int = 0
    names: list[str] = field(default_factory=list)
    """What was asked, as text."""
    hits: int = 0
    kinds: tuple[type, ...] = (Autopath, Acl, Cache, Kubernetes, Outside)
    changes: dict[str, object] = field(default_factory=dict)
    has_table: bool = True

    def __post_init__(self) -> None:
        self.site = fakes.site(**self.changes)
        self.plugins = fakes.plugins(self.text, self.site, *self.kinds)
        block = Block(ROOT, join(self.plugins), tuple(self.plugins), (), True, frozenset())
        self.router = Router([block], recurses=False)
        site = self.site
        table = AnswerTable(site.stamps, site.chance, lambda peer: peer)
        self.table = table if self.has_table else None
        self.pipeline = Pipeline(
            self.router, site.stamps, site.counters, site.clock, site.chance, table=self.table
        )
        self.outside = next((one for one in self.plugins if isinstance(one, Outside)), None)
        self.store = next(
            (one.cluster.store for one in self.plugins if isinstance(one, Kubernetes)), None
        )
        if self.store is not None:
            self.apply(*(Put(thing) for thing in objects(self.documents)), Synced())

    def apply(self, *events) -> None:
        self.site.stamps.bump(self.store.apply_all(events, 1000).keys)

    async def ask(self, address: str, name: str, type_: str = "A") -> dns.message.Message | None:
        """One packet, answered by the table if it can."""
        self.packets += 1
        self.names.append(name)
        packet = dns.message.make_query(name, type_, id=7).to_wire()
        reply = await self.reply(address, packet)
        return dns.message.from_wire(reply) if reply is not None else None

    async def reply(self, address: str, packet: bytes) -> bytes | None:
        """The octets of a reply."""
        who, now = fakes.client(address), self.site.clock()
        reply = self.pipeline.recall(packet, who.address, now)
        self.hits += reply is not None
        return reply or await self.pipeline.respond(packet, who, now)

    async def said(self, address: str, name: str, type_: str = "A") -> str:
        """The records of the answer in short, or the code."""
        reply = await self.ask(address, name, type_)
        if reply is None:
            return "DROPPED"
        if reply.rcode():
            return dns.rcode.to_text(reply.rcode())
        return " ".join(str(rdata) for rrset in reply.answer for rdata in rrset)


def pod_path(namespace: str, *further: str) -> list[str]:
    """The search list that a kubelet writes."""
    return [f"{namespace}.svc.cluster.local.", "svc.cluster.local.", "cluster.local.", *further]


def steps(name: str, path: list[str]) -> list[str]:
    """The names that a resolver asks for, in order."""
    suffixed = [f"{name}.{domain}" for domain in path]
    return [f"{name}.", *suffixed] if name.count(".") >= NDOTS else [*suffixed, f"{name}."]


def found(reply, type_: str) -> set[str]:
    """The addresses that a stub reads out of a reply."""
    wanted = dns.rdatatype.from_text(type_)
    return {str(one) for rrset in reply.answer if rrset.rdtype == wanted for one in rrset}


async def musl(server: Server, address: str, name: str, path: list[str]) -> object:
    """getaddrinfo of musl: both families at once, the search ends at the first name that exists."""
    for step in steps(name, path):
        replies = {type_: await server.ask(address, step, type_) for type_ in ("A", "AAAA")}
        codes = [reply.rcode() for reply in replies.values()]
        if dns.rcode.SERVFAIL in codes:
            return "EAI_AGAIN"
        if dns.rcode.NXDOMAIN in codes:
            continue
        if any(codes):
            return "EAI_FAIL"
        return set().union(*(found(r, t) for t, r in replies.items())) or "EAI_NODATA"
    return "EAI_NONAME"


async def glibc(server: Server, address: str, name: str, path: list[str]) -> object:
    """getaddrinfo of glibc: both families of a step, the search goes on until there are records."""
    worst = "EAI_NONAME"
    for step in steps(name, path):
        replies = {type_: await server.ask(address, step, type_) for type_ in ("A", "AAAA")}
        got = set().union(*(found(r, t) for t, r in replies.items()))
        if got:
            return got
        codes = [reply.rcode() for reply in replies.values()]
        if dns.rcode.SERVFAIL in codes:
            worst = "EAI_AGAIN"
        elif dns.rcode.NOERROR in codes and worst != "EAI_AGAIN":
            worst = "EAI_NODATA"
    return worst


async def glibc_one_by_one(server: Server, address: str, name: str, path: list[str]) -> object:
    """gethostbyname and old releases: the whole search for one family, then for the other."""
    got: set[str] = set()
    for type_ in ("A", "AAAA"):
        for step in steps(name, path):
            here = found(await server.ask(address, step, type_), type_)
            if here:
                got |= here
                break
    return got or "EAI_NONAME"


RESOLVERS = {"musl": musl, "glibc": glibc, "one by one": glibc_one_by_one}
