"""One truth: the table only remembers. On generated clusters, Corefiles, questions and changes,

* a server with a table and one without send the same bytes, whoever asks, in whatever order,
  however Changes, reloads and seconds fall between and into the awaits;
* after any of it, every answer equals that of a fresh process that was told the final state.
"""

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

import dns.message
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kdns.cluster.cluster import Cluster
from kdns.cluster.objects import Namespace, Object, Pod, Port, Service, Slice
from kdns.cluster.store import Change, Delete, Event, Put, Replace, Store, Synced
from kdns.observe.counters import Counters
from kdns.plugins.base import Backend, Client, Filter, Next, Plugin, Query, Result, Stamps
from kdns.server.chain import join
from kdns.server.pipeline import Pipeline
from kdns.server.registry import plugin_class
from kdns.server.router import Block, Router
from kdns.server.table import AnswerTable
from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import ROOT
from tests.fakes import Clock, plugins, site

WALL = 1_700_000_000.0


class Gate:
    """Where queries wait while a test lets something happen."""

    waiting: ClassVar[list[asyncio.Future[None]]] = []
    is_shut: ClassVar[bool] = False

    @classmethod
    async def passed(cls) -> None:
        if cls.is_shut:
            cls.waiting.append(asyncio.get_running_loop().create_future())
            await cls.waiting[-1]


class Lingers(Filter):
    """Holds a finished answer back, as an upstream asked for a part of it would."""

    name: ClassVar[str] = "lingers"

    async def around(self, query: Query, next_: Next) -> Result:
        answer = await next_(query)
        await Gate.passed()
        return answer


class Far(Backend):
    """What lies beyond the cluster: known names under example, reached after an await."""

    name: ClassVar[str] = "far"

    async def answer(self, query: Query) -> Result:
        query.forget()
        await Gate.passed()
        if query.key == names.parse_key("www.example") and query.type == types.A:
            rrset = RRset(query.key, types.A, 7, (b"\xc0\0\2\1", b"\xc0\0\2\2"))
            return Answer(answer=(rrset,), flags=types.RA, plugin="far")
        soa = RRset(names.parse_key("example"), types.SOA, 9, (b"\0\0" + bytes(20),))
        rcode = types.NOERROR if query.key == names.parse_key("www.example") else types.NXDOMAIN
        return Answer(rcode, authority=(soa,), plugin="far")


REAL = ("loadbalance", "rewrite", "acl", "cache", "template", "hosts", "kubernetes", "whoami")
KINDS = (Far, Lingers, *(kind for kind in map(plugin_class, REAL) if kind is not None))

# What a generated Corefile is made of, in the order plugins are asked in.
DIRECTIVES = [
    "loadbalance",
    "rewrite name exact alias.a.svc.cluster.local web.a.svc.cluster.local",
    "acl {\n block type AAAA net 10.0.0.1\n filter net 10.0.0.2\n allow\n}",
    "cache 30",
    'template IN A a.svc.cluster.local {\n match "^magic[.]"\n answer "{{ .Name }} 60 IN A 192.0.2.9"\n fallthrough\n}',
    "hosts {\n 192.0.2.7 fixed.example\n fallthrough\n}",
]
KUBERNETES = "kubernetes cluster.local in-addr.arpa {{\n manifests x\n ttl 5\n fallthrough in-addr.arpa\n {}\n}}"
OPTIONS = ["", "pods insecure", "namespaces a", "ignore empty_service", "endpoint_pod_names"]

NAMES = [
    "web.a.svc.cluster.local", "db.a.svc.cluster.local", "out.a.svc.cluster.local",
    "alias.a.svc.cluster.local", "magic.a.svc.cluster.local", "web.b.svc.cluster.local",
    "h-0.db.a.svc.cluster.local", "h-1.db.a.svc.cluster.local", "10-1-0-1.db.a.svc.cluster.local",
    "_http._tcp.web.a.svc.cluster.local", "_http._tcp.db.a.svc.cluster.local",
    "a.svc.cluster.local", "b.svc.cluster.local", "svc.cluster.local", "cluster.local",
    "10-9-9-9.a.pod.cluster.local", "dns-version.cluster.local", "1.0.96.10.in-addr.arpa",
    "1.0.1.10.in-addr.arpa", "2.0.1.10.in-addr.arpa", "www.example", "fixed.example",
    "none.example",
]  # fmt: skip
TYPES = ["A", "AAAA", "SRV", "PTR", "TXT", "SOA", "CNAME"]
PORTS = (Port("http", 80, "tcp"),)

services = st.builds(
    lambda name, namespace, shape: Service(namespace, name, ports=PORTS, **shape),
    st.sampled_from(["web", "db", "out"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(
        [
            {"addresses": (b"\x0a\x60\0\1",)},
            {"addresses": (b"\x0a\x60\0\2", b"\xfd" + bytes(14) + b"\1")},
            {"is_headless": True},
            {"external_name": "www.example"},
            {"external_name": "web.a.svc.cluster.local"},
            {"external_name": "none.example"},
        ]
    ),
)


@st.composite
def slices(draw: st.DrawFn) -> Slice:
    count = draw(st.integers(0, 4))
    hosts = tuple(f"h-{at}" for at in range(count)) if draw(st.booleans()) else None
    return Slice(
        "a",
        draw(st.sampled_from(["s-1", "s-2"])),
        draw(st.sampled_from(["web", "db"])),
        4,
        b"".join(b"\x0a\1\0%c" % (draw(st.integers(1, 3)) + 3 * at) for at in range(count)),
        frozenset(draw(st.sets(st.integers(0, 3)))) & frozenset(range(count)),
        hosts,
        ports=PORTS,
    )


pods = st.builds(lambda at: Pod("a", f"p-{at}", (b"\x0a\1\0%c" % at,)), st.integers(1, 4))
objects = st.one_of(services, slices(), pods, st.builds(Namespace, st.sampled_from(["a", "b"])))
events = st.one_of(
    st.builds(Put, objects),
    objects.map(lambda one: Delete(type(one), getattr(one, "namespace", ""), one.name)),
)
corefiles = st.builds(
    lambda chosen, option: "\n".join(
        ["lingers"] + [d for d in DIRECTIVES if d in chosen] + [KUBERNETES.format(option), "far"]
    ),
    st.sets(st.sampled_from(DIRECTIVES)),
    st.sampled_from(OPTIONS),
)
clients = st.integers(1, 4).map(lambda last: bytes((10, 0, 0, last)))


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(NAMES))
    if draw(st.integers(0, 4)) == 0:
        name = name.upper()
    asked = dns.message.make_query(name, draw(st.sampled_from(["A", "A", "A", *TYPES])))
    if draw(st.booleans()):
        asked.use_edns(0, 0, draw(st.sampled_from([512, 1232])))
    asked.id = 77
    return asked.to_wire()


@dataclass(frozen=True)
class Ask:
    packet: bytes
    address: bytes
    times: int


@dataclass(frozen=True)
class AskAcross:
    """A query during whose await something happens."""

    packet: bytes
    address: bytes
    event: "Event | Reload | Flip"


@dataclass(frozen=True)
class Reload:
    corefile: str


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Flip:
    """The data becomes that of a snapshot, or fresh again: answers are marked or not."""

    is_restored: bool


changes = st.one_of(
    events, events, events, st.builds(Reload, corefiles), st.builds(Flip, st.booleans())
)


@st.composite
def stories(draw: st.DrawFn) -> list[object]:
    """A few questions asked again and again while things change."""
    asked = st.sampled_from(draw(st.lists(packets(), min_size=1, max_size=4)))
    step = st.one_of(
        st.builds(Ask, asked, clients, st.integers(2, 4)),
        st.builds(AskAcross, asked, clients, changes),
        changes,
        st.builds(Flip, st.booleans()),
        st.builds(Wait, st.sampled_from([0.3, 1.0, 6.0])),
    )
    return draw(st.lists(step, min_size=5, max_size=30))


class Fixed(Random):
    """Chance that always falls on the same place, so that both servers rotate alike."""

    def random(self) -> float:
        return 0.4


@dataclass
class Side:
    """One server: its own plugins, Store and stamps; the clock is everybody's."""

    corefile: str
    clock: Clock
    has_table: bool
    stamps: Stamps = field(default_factory=Stamps)
    shared: dict = field(default_factory=dict)
    happened: int = 0

    def __post_init__(self) -> None:
        chance = Fixed()
        table = AnswerTable(self.stamps, chance, lambda peer: peer) if self.has_table else None
        self.pipeline = Pipeline(
            self._router(), self.stamps, Counters(), self.clock, chance, table=table
        )

    def _router(self) -> Router:
        where = site(
            stamps=self.stamps, shared=self.shared, clock=self.clock, wall=lambda: WALL,
            chance=Fixed(),
        )  # fmt: skip
        made: list[Plugin] = plugins(self.corefile, where, *KINDS)
        return Router([Block(ROOT, join(made), tuple(made), ())], recurses=True)

    @property
    def clusters(self) -> list[Cluster]:
        return [one for one in self.shared.values() if isinstance(one, Cluster)]

    @property
    def stores(self) -> list[Store]:
        return [cluster.store for cluster in self.clusters]

    def happen(self, event: Event | Reload | Flip) -> None:
        if isinstance(event, Reload):
            self.corefile = event.corefile
            self.pipeline.replace(self._router())
            return
        if isinstance(event, Flip):
            for cluster in self.clusters:
                cluster.restored(event.is_restored)
            return
        self.happened += 1
        for store in self.stores:
            self._told(store.apply(event, WALL + self.happened))

    def settle(self) -> None:
        for store in self.stores:
            self._told(store.settle(WALL + 3600))

    def _told(self, change: Change) -> None:
        self.stamps.bump(change.keys)

    async def ask(self, packet: bytes, address: bytes) -> bytes | None:
        reply = self.pipeline.recall(packet, address, self.clock())
        if reply is None:
            client = Client(address, 4000, "udp", b"\x7f\0\0\1", 53)
            reply = await self.pipeline.respond(packet, client, self.clock())
        return reply


class Truth:
    """Both servers, the objects there should be, and every question asked."""

    def __init__(self, corefile: str) -> None:
        self.clock = Clock()
        self.on = Side(corefile, self.clock, has_table=True)
        self.off = Side(corefile, self.clock, has_table=False)
        self.objects: dict[tuple[type, str, str], Object] = {}
        self.asked: set[tuple[bytes, bytes]] = set()
        self.flip = Flip(is_restored=False)
        # Every Store a stanza of these Corefiles can have, so that reloads find it up to date.
        for side in (self.on, self.off):
            side.happen(Reload(corefile))
            side.happen(Synced())

    def happen(self, event: Event | Reload | Flip) -> None:
        match event:
            case Flip():
                self.flip = event
            case Put():
                self.objects[_place(event.object)] = event.object
            case Delete():
                self.objects.pop((event.kind, event.namespace, event.name), None)
        for side in (self.on, self.off):
            side.happen(event)

    async def same(self, packet: bytes, address: bytes) -> None:
        self.asked.add((packet, address))
        told, plain = await self.on.ask(packet, address), await self.off.ask(packet, address)
        assert told == plain, _shown(packet, told, plain)

    async def across(self, packet: bytes, address: bytes, event: Event | Reload | Flip) -> None:
        """Both ask, the event falls into the await, and afterwards they still agree."""
        self.asked.add((packet, address))
        Gate.is_shut = True
        asking = [asyncio.ensure_future(side.ask(packet, address)) for side in (self.on, self.off)]
        await asyncio.sleep(0)
        self.happen(event)
        for _ in range(20):
            for gate in Gate.waiting:
                if not gate.done():
                    gate.set_result(None)
            await asyncio.sleep(0)
        Gate.is_shut = False
        Gate.waiting.clear()
        await asyncio.gather(*asking)

    async def settled(self) -> None:
        """Both agree with each other and with a fresh process on all that was asked."""
        for side in (self.on, self.off):
            side.settle()
        fresh = Side(self.on.corefile, self.clock, has_table=False)
        for kind in (Namespace, Service, Slice, Pod):
            found = tuple(one for place, one in self.objects.items() if place[0] is kind)
            fresh.happen(Replace(kind, found))
        fresh.happen(Synced())
        fresh.happen(self.flip)
        for packet, address in sorted(self.asked):
            await self.same(packet, address)
            if "cache" in self.on.corefile and _leaves(await fresh.ask(packet, address)):
                continue  # what `cache` keeps of what is no cluster name is as old as it is
            told, plain = await self.on.ask(packet, address), await fresh.ask(packet, address)
            assert _bare(told) == _bare(plain), _shown(packet, told, plain)


def _place(one: Object) -> tuple[type, str, str]:
    return (type(one), getattr(one, "namespace", ""), one.name)


def _leaves(reply: bytes | None) -> bool:
    known = (b"\x07example", b"\x05magic")
    return reply is not None and any(name in reply.lower() for name in known)


def _bare(reply: bytes | None) -> object:
    """A reply without the SOA serial, which counts what happened on the way."""
    if reply is None:
        return None
    message = dns.message.from_wire(reply)
    for section in message.sections:
        for rrset in section:
            if rrset.rdtype == types.SOA:
                section[section.index(rrset)] = rrset.copy()
                section[section.index(rrset)].clear()
    return message.to_text()


def _shown(packet: bytes, told: bytes | None, plain: bytes | None) -> str:
    texts = [str(wire and dns.message.from_wire(wire)) for wire in (packet, told, plain)]
    return "\n\n".join(["", *texts])


@pytest.mark.timeout(90)  # five seconds on a machine of its own
@settings(max_examples=150, phases=set(Phase) - {Phase.explain})
@given(corefile=corefiles, start=st.lists(st.builds(Put, objects), max_size=8), todo=stories())
async def test_table_and_chain_tell_one_truth(
    corefile: str, start: list[Put], todo: list[object]
) -> None:
    truth = Truth(corefile)
    for event in (Put(Namespace("a")), Put(Namespace("b")), *start):
        truth.happen(event)
    for step in todo:
        match step:
            case Ask():
                for _ in range(step.times):
                    await truth.same(step.packet, step.address)
            case AskAcross():
                await truth.across(step.packet, step.address, step.event)
                await truth.same(step.packet, step.address)
            case Wait():
                truth.clock.now += step.seconds
            case _:
                truth.happen(step)
    await truth.settled()
