"""One truth with every plugin where answers are waited for, and the cluster changes meanwhile.

As tests/test_one_truth_whole.py, and: every chain has a place at which queries wait while something
happens; nodes, ingresses, gateways, annotations and hints change, too; in the end every answer is
that of a server which saw all changes before it was asked anything.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import dns.message
import dns.rdatatype
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kdns.cluster.objects import (
    Gateway,
    Ingress,
    More,
    Namespace,
    Node,
    Pod,
    Port,
    Route,
    Service,
    Slice,
)
from kdns.cluster.store import Delete, Put
from kdns.plugins.base import Filter, Next, Plugin, Query, Result, Soon
from kdns.server import assembly
from kdns.server.chain import join
from tests.fakes import Clock
from tests.test_one_truth_whole import MANIFESTS, NAMES, TYPES, VIEWS, ZONE
from tests.whole import Whole, whole


class Lingers(Filter):
    """Where queries wait while a test lets something happen: before and after the rest is asked."""

    name: ClassVar[str] = "lingers"
    waiting: ClassVar[list[asyncio.Future[None]]] = []
    is_shut: ClassVar[bool] = False
    place: ClassVar[int] = 0

    def __init__(self) -> None:
        """It needs nothing."""

    async def around(self, query: Query, next_: Next) -> Result:
        await self.passed()
        answer = await next_(query)
        await self.passed()
        return answer

    async def passed(self) -> None:
        if Lingers.is_shut:
            Lingers.waiting.append(asyncio.get_running_loop().create_future())
            await Lingers.waiting[-1]


def lingering(plugins: Sequence[Plugin]) -> Soon:
    at = Lingers.place % (len(plugins) + 1)
    return join([*plugins[:at], Lingers(), *plugins[at:]])


DIRECTIVES = [
    "loadbalance",
    "cache 30",
    "cache {\n serve_stale 1h immediate\n prefetch 2\n}",
    "minimal",
    "metadata",
    "dns64",
    "dns64 64:ff9b::/96 {\n allow_ipv4\n translate_all\n}",
    "siit",
    "ede on",
    "aaaa suppress",
    "aaaa auto",
    "guard log",
    "guard ede",
    "guard refuse",
    "autopath @kubernetes",
    "whoami",
    "acl {\n block type AAAA net 10.0.0.1\n filter net 10.0.0.2 type TXT\n allow\n}",
    "acl web.a.svc.cluster.local {\n block net 10.0.0.1\n}",
    "tenant {\n deny from a to b\n}",
    "tenant {\n allow to @own com\n deny\n answer nxdomain\n}",
    "tenant {\n allow to a/web\n deny from @unknown to a\n deny to b/w*\n}",
    "rewrite name suffix .b.svc.cluster.local .a.svc.cluster.local answer auto",
    "rewrite name regex (.*)[.]{kubernetes/client-namespace}[.]example {1}.{kubernetes/client-namespace}.svc.cluster.local metadata",
    "rewrite cname exact fixed.example. web.a.svc.cluster.local.",
    "rewrite ttl suffix example 7-9",
    "rewrite edns0 subnet set 31 56",
    "rewrite edns0 local set 0xffee {kubernetes/client-namespace}",
    'template IN A example {\n match ^magic[.]\n answer "{{ .Name }} 60 IN CNAME web.a.svc.cluster.local"\n fallthrough\n}',
    "template IN A example {\n match ^www[.]\n expr incidr(client_ip(),'10.0.0.0/31')\n answer \"{{ .Name }} 60 IN A 192.0.2.9\"\n fallthrough\n}",
    "template IN A example {\n match ^www[.]\n expr metadata('kubernetes/client-namespace')=='a'\n answer \"{{ .Name }} 60 IN A 192.0.2.10\"\n fallthrough\n}",
    "hosts {\n 192.0.2.7 fixed.example\n 2001:db8::6 v6.example\n fallthrough\n}",
    "k8s_external ext.example",
    "k8s_external ext.example in-addr.arpa {\n headless\n fallthrough\n}",
    "nodeport cluster.local",
    "ingress hosts.example {\n fallthrough\n}",
    "hostnames hosts.example {\n fallthrough\n}",
]
KUBERNETES = "kubernetes cluster.local in-addr.arpa {{\n manifests cluster.yaml\n ttl 5\n {}\n}}"
OPTIONS = [
    "pods verified",
    "pods verified\n fallthrough",
    "pods verified\n topology",
    "topology\n zonal",
    "pods insecure\n ignore empty_service",
    "namespaces a",
]
MORE_NAMES = [
    *NAMES, "near.a.svc.cluster.local", "y.hosts.example", "deep.y.hosts.example", "note.hosts.example",
    "ns1.dns.ext.example", "ext.example", "hosts.example", "db.a.ext.example", "44.2.0.192.in-addr.arpa",
    "web.a.example", "dns.hosts.example", "_http._tcp.web.a.nodeport.cluster.local", "web.a.b.svc.cluster.local",
    "www.example.a.svc.cluster.local", "shop.hosts.example.b.svc.cluster.local",
]  # fmt: skip


@st.composite
def insides(draw: st.DrawFn) -> str:
    chosen = draw(st.lists(st.sampled_from(DIRECTIVES), unique=True, max_size=9))
    option = draw(st.sampled_from(OPTIONS))
    if any(one.startswith(("autopath @", "tenant")) for one in chosen):
        option = OPTIONS[draw(st.integers(0, 2))]
    kept: dict[str, str] = {}
    for one in chosen:
        word = one.split(maxsplit=1)[0]
        kept[one if word in {"rewrite", "template", "acl"} else word] = one
    return "\n".join([*kept.values(), KUBERNETES.format(option)])


@st.composite
def corefiles(draw: st.DrawFn) -> str:
    inside, kind = draw(insides()), draw(st.integers(0, 2))
    if kind == 0:
        return f". {{\n{inside}\n}}\n"
    if kind == 1:
        view = draw(st.sampled_from(VIEWS))
        if "metadata" in view:
            lines = [one for one in inside.splitlines() if one != "metadata"]
            inside = "\n".join(lines)
        return f". {{\n{view}\n{inside}\n}}\n. {{\n{draw(insides())}\n}}\n"
    zone = draw(st.sampled_from(["cluster.local", "example", "a.svc.cluster.local"]))
    return f"{zone} {{\n{inside}\n}}\n. {{\n{draw(insides())}\n}}\n"


PORTS = (Port("http", 80, "tcp"),)
ENDS = b"\x0a\1\0\1\x0a\1\0\2"


def _slice(service: str, name: str, **more: object) -> Put:
    return Put(Slice("a", name, service, 4, ENDS, ports=PORTS, **more))  # type: ignore[arg-type]


changes = st.sampled_from(
    [
        Put(Service("a", "web", addresses=(b"\x0a\x60\0\5",), ports=PORTS)),
        Put(Service("a", "web", addresses=(b"\x0a\x60\0\5",), ports=PORTS,
                    external_addresses=(b"\xc0\0\2\x2c",), more=More(node_ports=(30080,)))),
        Put(Service("a", "web", addresses=(b"\x0a\x60\0\5", b"\xfd" + bytes(14) + b"\5"), ports=PORTS,
                    external_hosts=("fixed.example",), more=More((30081,), is_local=True))),
        Delete(Service, "a", "web"),
        Put(Service("b", "web", addresses=(b"\x0a\x60\0\6",), ports=PORTS)),
        Delete(Service, "b", "web"),
        Put(Service("a", "note", addresses=(b"\x0a\x60\0\7",), ports=PORTS, external_addresses=(b"\xc0\0\2\x2d",),
                    more=More(hosts=("note.hosts.example", "y.hosts.example"), ttl=9))),
        Put(Service("a", "note", addresses=(b"\x0a\x60\0\7",), ports=PORTS,
                    more=More(internal_hosts=("*.hosts.example",)))),
        Delete(Service, "a", "note"),
        Put(Service("a", "near", is_headless=True, ports=PORTS, more=More(is_near=True))),
        Put(Service("a", "near", is_headless=True, ports=PORTS)),
        _slice("near", "n-1", zones=("z1", "z2"), nodes=("n1", "n2")),
        _slice("near", "n-1", zones=("z1", "z2"), nodes=("n1", "n2"), hints=("z2", "z1,z2")),
        _slice("near", "n-1"),
        _slice("web", "w-1", nodes=("n1", "n2")),
        _slice("web", "w-1", nodes=("n1", "n2"), unready=frozenset((0,))),
        Put(Service("a", "db", is_headless=True, ports=PORTS)),
        _slice("db", "s-1", hostnames=("h-0", "h-1")),
        Delete(Slice, "a", "s-1"),
        Put(Service("a", "out", external_name="fixed.example")),
        Put(Service("a", "out", external_name="web.b.svc.cluster.local")),
        Put(Pod("b", "p1", (b"\x0a\0\0\1",))),
        Put(Pod("a", "p1", (b"\x0a\0\0\1", b"\xfd" + bytes(15)))),
        Delete(Pod, "a", "p1"),
        Delete(Pod, "b", "p1"),
        Delete(Namespace, "", "b"),
        Put(Namespace("b")),
        Put(Namespace("a", is_plain=True)),
        Put(Namespace("a")),
        Put(Namespace("example")),
        Put(Service("example", "www", addresses=(b"\x0a\x60\0\x08",), ports=PORTS)),
        Put(Node("n1", (b"\xac\x10\0\1",), is_ready=True, zone="z1", nets=((b"\x0a\0\0\0", 30),))),
        Put(Node("n1", (b"\xac\x10\0\1",), is_ready=True, zone="z2", nets=((b"\x0a\0\0\0", 31),))),
        Put(Node("n1", (b"\xac\x10\0\1",), is_ready=False, zone="z1", nets=((b"\x0a\0\0\0", 30),))),
        Put(Node("n2", (b"\xac\x10\0\2",), is_ready=True, zone="z2", nets=((b"\x0a\0\0\2", 31),))),
        Delete(Node, "", "n1"),
        Put(Ingress("a", "i", ("shop.hosts.example", "*.wild.hosts.example"), (b"\xc0\0\2\x3d",))),
        Put(Ingress("a", "i", ("*.hosts.example",), (), ("fixed.example",))),
        Put(Ingress("b", "i", ("shop.hosts.example", "deep.y.hosts.example"), (b"\xc0\0\2\x3e",))),
        Delete(Ingress, "a", "i"),
        Put(Gateway("a", "g", ("y.hosts.example",), (b"\xc0\0\2\x3f",))),
        Put(Gateway("a", "g", (), (b"\xc0\0\2\x40",))),
        Delete(Gateway, "a", "g"),
        Put(Route("b", "r", ("deep.y.hosts.example", "*.wild.hosts.example"), ("a/g",))),
        Delete(Route, "b", "r"),
    ]
)  # fmt: skip
clients = st.integers(1, 4).map(lambda last: bytes((10, 0, 0, last))) | st.just(b"\xfd" + bytes(15))


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(MORE_NAMES))
    asked = dns.message.make_query(name, draw(st.sampled_from(TYPES)), id=77)
    if draw(st.booleans()):
        asked.use_edns(0, draw(st.sampled_from([0, 0x8000])), draw(st.sampled_from([512, 1232])))
    return asked.to_wire()


@st.composite
def stories(draw: st.DrawFn) -> list[object]:
    asked = st.sampled_from(draw(st.lists(packets(), min_size=2, max_size=8)))
    step = st.one_of(
        st.tuples(asked, clients, st.integers(2, 3)),
        st.tuples(asked, clients, st.integers(2, 3)),
        st.tuples(asked, clients, changes),
        changes,
        st.sampled_from([0.3, 1.0, 6.0]),
    )
    return draw(st.lists(step, min_size=6, max_size=30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("across")
    (made / "cluster.yaml").write_text(MANIFESTS)
    (made / "zone").write_text(ZONE)
    return made


@pytest.mark.timeout(240)  # ten seconds on a machine of its own
@settings(max_examples=40, deadline=None, phases=set(Phase) - {Phase.explain})
@given(corefile=corefiles(), place=st.integers(0, 12), todo=stories())
async def test_what_changes_meanwhile_is_one_truth_too(
    folder: Path, corefile: str, place: int, todo: list[object]
) -> None:
    clock, asked, happened = Clock(), dict[tuple[bytes, bytes], None](), list[Put | Delete]()
    Lingers.place = place
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "join", lingering)
        async with (
            whole(corefile, folder, clock) as on,
            whole(corefile, folder, clock, has_table=False) as off,
        ):
            for step in todo:
                if isinstance(step, float):
                    clock.now += step
                elif isinstance(step, Put | Delete):
                    happened.append(step)
                    happen(step, on, off)
                else:
                    packet, address, more = step  # type: ignore[misc]
                    asked[packet, address] = None
                    if isinstance(more, int):
                        for _ in range(more):
                            await same(on, off, packet, address)
                    else:
                        happened.append(more)
                        await across(on, off, packet, address, more)
                        await same(on, off, packet, address)
            if "cache" in corefile:
                clock.now += 10_000
            async with whole(corefile, folder, clock, has_table=False) as fresh:
                for event in happened:
                    happen(event, fresh)
                for packet, address in asked:
                    await same(on, fresh, packet, address)


def happen(event: Put | Delete, *sides: Whole) -> None:
    for side in sides:
        side.happen(event)
        for plugin in side.services.life.plugins:
            if plugin.name == "aaaa":
                plugin.judge()  # type: ignore[attr-defined]


async def across(on: Whole, off: Whole, packet: bytes, address: bytes, event: Put | Delete) -> None:
    """Both ask, the event falls into each wait."""
    Lingers.is_shut = True
    asking = [asyncio.ensure_future(side.ask(packet, address)) for side in (on, off)]
    await asyncio.sleep(0)
    happen(event, on, off)
    for _ in range(40):
        for gate in Lingers.waiting:
            if not gate.done():
                gate.set_result(None)
        await asyncio.sleep(0)
    Lingers.is_shut = False
    for gate in Lingers.waiting:
        if not gate.done():
            gate.set_result(None)
    Lingers.waiting.clear()
    await asyncio.gather(*asking)


async def same(on: Whole, off: Whole, packet: bytes, address: bytes) -> None:
    told, plain = await on.ask(packet, address), await off.ask(packet, address)
    assert told == plain, "\n\n".join(
        str(wire and dns.message.from_wire(wire)) for wire in (packet, told, plain)
    )
