"""One truth with every plugin: whole Corefiles of several blocks and views, with a table and without.

Both servers are asked the same packets by the same clients while the cluster changes, files change,
Corefiles are reloaded and time passes; the same bytes must leave. `autopath learned` answers from
what it has seen, so it is not among them (it has properties of its own).
"""

from pathlib import Path

import dns.edns
import dns.message
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kdns.cluster.objects import Namespace, Pod, Port, Service, Slice
from kdns.cluster.store import Delete, Put
from kdns.server.registry import implemented
from tests.fakes import Clock
from tests.whole import Whole, whole

MANIFESTS = """
{kind: Namespace, apiVersion: v1, metadata: {name: a}}
---
{kind: Namespace, apiVersion: v1, metadata: {name: b}}
---
{kind: Namespace, apiVersion: v1, metadata: {name: com}}
---
{kind: Service, apiVersion: v1, metadata: {name: web, namespace: a},
 spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80, nodePort: 30080}], type: LoadBalancer,
  externalIPs: [192.0.2.44]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.45}, {hostname: lb.example}]}}}
---
{kind: Service, apiVersion: v1, metadata: {name: yahoo, namespace: com},
 spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: p1, namespace: a},
 status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: p2, namespace: b},
 status: {phase: Running, podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}]}}
---
{kind: Node, apiVersion: v1, metadata: {name: n1, labels: {topology.kubernetes.io/zone: z1}},
 spec: {podCIDR: 10.0.0.0/30, podCIDRs: [10.0.0.0/30]},
 status: {addresses: [{type: InternalIP, address: 172.16.0.1}], conditions: [{type: Ready, status: "True"}]}}
---
{kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {name: i, namespace: a},
 spec: {rules: [{host: shop.hosts.example}, {host: "*.wild.hosts.example"}]},
 status: {loadBalancer: {ingress: [{ip: 192.0.2.60}]}}}
"""
ZONE = """$ORIGIN files.example.
@ 60 IN SOA ns h 5 7200 1800 86400 60
@ 60 IN NS ns
ns 60 IN A 192.0.2.1
a 60 IN A 192.0.2.2
a 60 IN A 192.0.2.3
c 60 IN CNAME a
d 60 IN DNAME other.example.
*.w 60 IN TXT "wild"
sub 60 IN NS ns.sub
ns.sub 60 IN A 192.0.2.9
out 60 IN CNAME fixed.example.
"""
NAMES = [
    "web.a.svc.cluster.local", "db.a.svc.cluster.local", "out.a.svc.cluster.local",
    "web.b.svc.cluster.local", "yahoo.com.svc.cluster.local", "cluster.local", "a.svc.cluster.local",
    "h-0.db.a.svc.cluster.local", "_http._tcp.web.a.svc.cluster.local", "10-0-0-1.a.pod.cluster.local",
    "1.0.96.10.in-addr.arpa", "www.example", "fixed.example", "none.example", "alias.example",
    "fixed.example.a.svc.cluster.local", "fixed.example.b.svc.cluster.local",
    "web.a.nodeport.cluster.local", "web.a.ext.example", "shop.hosts.example", "x.wild.hosts.example",
    "a.files.example", "c.files.example", "x.d.files.example", "x.w.files.example",
    "x.sub.files.example", "out.files.example", "localhost", "v6.example", "magic.example",
    "version.bind", "example",
]  # fmt: skip
TYPES = ["A", "A", "A", "AAAA", "SRV", "PTR", "TXT", "SOA", "NS", "CNAME", "ANY", "DS"]

FILTERS = [
    "loadbalance",
    "cache 30",
    "cache {\n serve_stale\n keepttl\n}",
    "minimal",
    "any",
    "metadata",
    "header {\n response set ra\n}",
    "header {\n query clear rd\n response clear aa\n}",
    "bufsize 512",
    "bufsize 1232",
    "nsid here",
    "chaos v1 me",
    "local",
    "dns64",
    "dns64 64:ff9b::/96 {\n allow_ipv4\n translate_all\n}",
    "siit",
    "errors",
    "ede off",
    "ede on",
    "cookies",
    "aaaa suppress",
    "aaaa auto",
    "guard log",
    "guard refuse",
    "autopath @kubernetes",
    "autopath search.conf",
    "whoami",
    "cancel",
    "acl {\n block type AAAA net 10.0.0.1\n filter net 10.0.0.2 type TXT\n allow\n}",
    "tenant {\n deny from a to b\n}",
    "tenant {\n allow to @own com\n deny\n answer nxdomain\n}",
    "rewrite name exact alias.example web.a.svc.cluster.local",
    "rewrite name suffix .b.svc.cluster.local .a.svc.cluster.local answer auto",
    "rewrite ttl suffix example 7-9",
    "rewrite type ANY A",
    "rewrite edns0 local set 0xffee {client_ip}",
    'template IN A example {\n match ^magic[.]\n answer "{{ .Name }} 60 IN A 192.0.2.9"\n fallthrough\n}',
    'template IN TXT example {\n match ^magic[.]\n answer "{{ .Name }} 60 IN TXT {{ .Remote }}"\n fallthrough\n}',
    "hosts {\n 192.0.2.7 fixed.example\n 2001:db8::6 v6.example\n fallthrough\n}",
    "file zone files.example",
    "k8s_external ext.example",
    "k8s_external ext.example {\n headless\n fallthrough\n}",
    "nodeport cluster.local",
    "ingress hosts.example",
    "hostnames hosts.example {\n fallthrough\n}",
]
KUBERNETES = "kubernetes cluster.local in-addr.arpa {{\n manifests cluster.yaml\n ttl 5\n {}\n}}"
OPTIONS = [
    "pods verified",
    "pods verified\n fallthrough",
    "pods insecure",
    "zonal",
    "ignore empty_service",
]
VIEWS = [
    "view one {\n expr incidr(client_ip(), '10.0.0.0/31')\n}",
    "view one {\n expr type() in ['A', 'TXT']\n}",
    "view one {\n expr name() startsWith 'web'\n expr client_ip() != '10.0.0.2'\n}",
    "view one {\n expr metadata('kubernetes/client-namespace') == 'a'\n}\nmetadata",
    "view one {\n expr bufsize() > 1000 || do()\n}",
]


def there(text: str) -> bool:
    return text.split(maxsplit=1)[0] in implemented()


@st.composite
def insides(draw: st.DrawFn) -> str:
    chosen = draw(
        st.lists(st.sampled_from([f for f in FILTERS if there(f)]), unique=True, max_size=9)
    )
    option = draw(st.sampled_from(OPTIONS))
    if any(one.startswith(("autopath @", "tenant")) for one in chosen):
        option = OPTIONS[0]
    kept: dict[str, str] = {}
    for one in chosen:
        word = one.split(maxsplit=1)[0]
        kept[one if word in {"rewrite", "template"} else word] = one
    if "autopath" in kept:
        kept["autopath"] = kept["autopath"].replace("search.conf", "SEARCH")
    return "\n".join([*kept.values(), KUBERNETES.format(option)])


@st.composite
def corefiles(draw: st.DrawFn) -> str:
    inside = draw(insides())
    kind = draw(st.integers(0, 3))
    if kind == 0 or (kind == 1 and not there("view")):
        return f". {{\n{inside}\n}}\n"
    if kind == 1:
        view = draw(st.sampled_from(VIEWS))
        if "metadata" in view:
            lines = [one for one in inside.splitlines() if one != "metadata"]
            inside = "\n".join(lines).replace("pods insecure", OPTIONS[0])
        return f". {{\n{view}\n{inside}\n}}\n. {{\n{draw(insides())}\n}}\n"
    zone = draw(st.sampled_from(["cluster.local", "example", "a.svc.cluster.local"]))
    return f"{zone} {{\n{inside}\n}}\n. {{\n{draw(insides())}\n}}\n"


PORTS = (Port("http", 80, "tcp"),)
changes = st.sampled_from(
    [
        Put(Service("a", "web", addresses=(b"\x0a\x60\0\5",), ports=PORTS)),
        Put(Service("a", "web", addresses=(b"\x0a\x60\0\1",), ports=PORTS)),
        Delete(Service, "a", "web"),
        Put(Service("b", "web", addresses=(b"\x0a\x60\0\6",), ports=PORTS)),
        Put(Service("a", "db", is_headless=True)),
        Put(Service("a", "out", external_name="fixed.example")),
        Put(
            Slice(
                "a",
                "s-1",
                "db",
                4,
                b"\x0a\1\0\1\x0a\1\0\2",
                frozenset((0, 1)),
                ("h-0", "h-1"),
                ports=PORTS,
            )
        ),
        Put(Slice("a", "s-1", "db", 4, b"\x0a\1\0\2", frozenset((0,)), ("h-0",), ports=PORTS)),
        Put(Pod("b", "p1", (b"\x0a\0\0\1",))),
        Delete(Pod, "a", "p1"),
        Delete(Pod, "b", "p1"),
        Put(Pod("a", "p3", (b"\x0a\0\0\3",))),
        Delete(Namespace, "", "b"),
        Put(Namespace("b")),
    ]
)
clients = st.integers(1, 4).map(lambda last: bytes((10, 0, 0, last))) | st.just(b"\xfd" + bytes(15))


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(NAMES))
    if draw(st.integers(0, 5)) == 0:
        name = name.upper()
    class_ = "CH" if name == "version.bind" else "IN"
    asked = dns.message.make_query(name, draw(st.sampled_from(TYPES)), class_, id=77)
    if draw(st.booleans()):
        options = [dns.edns.GenericOption(3, b"")] if draw(st.integers(0, 3)) == 0 else []
        size = draw(st.sampled_from([512, 1232, 4096]))
        asked.use_edns(0, draw(st.sampled_from([0, 0x8000])), size, options=options)
    return asked.to_wire()


@st.composite
def stories(draw: st.DrawFn) -> list[object]:
    """A few questions asked again and again while things change."""
    asked = st.sampled_from(draw(st.lists(packets(), min_size=2, max_size=8)))
    step = st.one_of(
        st.tuples(asked, clients, st.integers(2, 3)),
        st.tuples(asked, clients, st.integers(2, 3)),
        changes,
        st.sampled_from([0.3, 1.0, 6.0]),
        corefiles(),
    )
    return draw(st.lists(step, min_size=6, max_size=30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("whole")
    (made / "cluster.yaml").write_text(MANIFESTS)
    (made / "zone").write_text(ZONE)
    (made / "search.conf").write_text(
        "search a.svc.cluster.local svc.cluster.local cluster.local\n"
    )
    return made


@pytest.mark.timeout(240)  # twenty seconds on a machine of its own
@settings(max_examples=50, phases=set(Phase) - {Phase.explain})
@given(corefile=corefiles(), todo=stories())
async def test_table_and_chain_tell_one_truth_with_every_plugin(
    folder: Path, corefile: str, todo: list[object]
) -> None:
    clock = Clock()

    def placed(text: str) -> str:
        text = text.replace("SEARCH", str(folder / "search.conf"))
        return text.replace("file zone", f"file {folder / 'zone'}")

    async with (
        whole(placed(corefile), folder, clock) as on,
        whole(placed(corefile), folder, clock, has_table=False) as off,
    ):
        for step in todo:
            if isinstance(step, tuple):
                packet, address, times = step
                for _ in range(times):
                    await same(on, off, packet, address)
            elif isinstance(step, float):
                clock.now += step
            elif isinstance(step, str):
                for side in (on, off):
                    await side.start(placed(step), folder)
                    side.pipeline.replace(next(iter(side.service.assembly.routers.values())))
                    if not side.has_table:
                        side.pipeline.table = None
            else:
                for side in (on, off):
                    side.happen(step)


async def same(on: Whole, off: Whole, packet: bytes, address: bytes) -> None:
    told, plain = await on.ask(packet, address), await off.ask(packet, address)
    assert told == plain, "\n\n".join(
        str(wire and dns.message.from_wire(wire)) for wire in (packet, told, plain)
    )
