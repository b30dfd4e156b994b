"""What `acl` keeps from a client never reaches him, whatever else stands in the Corefile.

Generated Corefiles put rewrites, caches, CNAMEs, views, search paths around a rule that keeps two
names from one client. Another client may ask for them, so that they lie in `cache` and table.
Whatever both ask, in whatever order, the first one never sees the addresses behind those names.
"""

from pathlib import Path

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.server.registry import implemented
from tests.whole import whole

BARRED, OTHER = b"\x0a\1\0\1", b"\x0a\1\0\2"
SECRETS = (b"\x0a\x60\x42\x42", b"\x0a\x42\x42\x42", b"\x0a\1\x42\x42")
"""The ClusterIP and endpoint of the secret service, and the address of secret.example."""
MANIFESTS = """
{kind: Namespace, apiVersion: v1, metadata: {name: a}}
---
{kind: Namespace, apiVersion: v1, metadata: {name: b}}
---
{kind: Service, apiVersion: v1, metadata: {name: secret, namespace: a},
 spec: {clusterIP: 10.96.66.66, ports: [{name: http, port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: open, namespace: a},
 spec: {clusterIP: 10.96.0.9, ports: [{name: http, port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: out, namespace: a},
 spec: {type: ExternalName, externalName: secret.example}}
---
{kind: Service, apiVersion: v1, metadata: {name: in, namespace: b},
 spec: {type: ExternalName, externalName: secret.a.svc.cluster.local}}
---
{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, addressType: IPv4,
 metadata: {name: secret-1, namespace: a, labels: {kubernetes.io/service-name: secret}},
 ports: [{name: http, port: 80, protocol: TCP}], endpoints: [{addresses: [10.1.66.66]}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p1, namespace: a},
 status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: p2, namespace: b},
 status: {phase: Running, podIP: 10.1.0.2, podIPs: [{ip: 10.1.0.2}]}}
"""
NAMES = [
    "secret.a.svc.cluster.local", "open.a.svc.cluster.local", "out.a.svc.cluster.local",
    "in.b.svc.cluster.local", "_http._tcp.secret.a.svc.cluster.local", "secret.example",
    "alias.example", "chain.example", "twin.example", "secret.a.svc.cluster.local.a.svc.cluster.local",
    "secret.example.a.svc.cluster.local", "alias.example.b.svc.cluster.local",
    "10-1-66-66.secret.a.svc.cluster.local", "secret.a.b.svc.cluster.local", "wild.other.example",
    "srv.example", "multi.example", "odd.example", "SECRET.example",
]  # fmt: skip
TYPES = ["A", "A", "A", "SRV", "CNAME", "ANY", "AAAA", "PTR", "HTTPS"]

RULES = [
    "acl secret.a.svc.cluster.local secret.example {{\n {} net 10.1.0.1\n}}",
    "acl {{\n allow net 10.1.0.2/32\n {} net 10.1.0.0/24\n}}",
    "acl secret.a.svc.cluster.local {{\n {0} net 10.1.0.0/31\n}}\n"
    "acl secret.example {{\n {0} net 10.1.0.1\n}}",
    "acl secret.a.svc.cluster.local secret.example {{\n allow net 10.1.0.2/32 fd00::/8\n {}\n}}",
    "tenant {{\n deny from a to a/secret\n}}\nacl secret.example {{\n {} net 10.1.0.1\n}}",
    "tenant {{\n allow to a/open a/out\n deny from a\n answer nxdomain\n}}\n"
    "acl secret.example {{\n {} net 10.1.0.1\n}}",
]
AROUND = [
    "cache 30",
    "cache {\n serve_stale 1h immediate\n prefetch 1\n}",
    "cache {\n serve_stale 1h verify\n keepttl\n}",
    "loadbalance",
    "minimal",
    "any",
    "header {\n response set ra\n}",
    "dns64",
    "siit",
    "rewrite name exact twin.example secret.a.svc.cluster.local",
    "rewrite name exact twin.example secret.example",
    "rewrite name suffix .other.example .a.svc.cluster.local answer auto",
    "rewrite name regex (.*)[.]example secret.example answer auto",
    "rewrite continue name substring open secret answer auto",
    "rewrite cname exact alias.example. secret.example.",
    "rewrite type CNAME A",
    "autopath @kubernetes",
    "autopath learned",
    "aaaa suppress",
    'template IN A example {\n match ^alias[.]\n answer "{{ .Name }} 60 IN CNAME secret.example."\n fallthrough\n}',
    'template IN A example {\n match ^chain[.]\n answer "{{ .Name }} 60 IN CNAME in.b.svc.cluster.local."\n fallthrough\n}',
    'template IN ANY example {\n match ^srv[.]\n answer "{{ .Name }} 60 IN SRV 0 0 80 secret.example."\n additional "secret.example. 60 IN A 10.66.66.66"\n fallthrough\n}',
    'template IN ANY example {\n match ^multi[.]\n answer "{{ .Name }} 60 IN CNAME SeCret.example."\n answer "secret.example. 60 IN A 10.66.66.66"\n fallthrough\n}',
    "rewrite name exact odd.example out.a.svc.cluster.local answer name out.a.svc.cluster.local odd.example",
    "rewrite cname regex (.*)[.]example[.]$ secret.a.svc.cluster.local.",
    "rewrite ttl regex .* 0-5",
    "rewrite type SRV A",
    "rewrite edns0 local set 0xffee {client_ip}",
    "bufsize 1232",
    "metadata",
    "cookies",
    "ratelimit",
    "guard log",
    "ede",
]
END = """hosts {
 10.66.66.66 secret.example
 192.0.2.1 open.example
 fallthrough
}
kubernetes cluster.local in-addr.arpa {
 manifests cluster.yaml
 pods verified
}
"""
VIEW = "view mine {\n expr incidr(client_ip(), '10.1.0.0/31')\n}\n"


def there(text: str) -> bool:
    return text.split(maxsplit=1)[0] in implemented()


@st.composite
def corefiles(draw: st.DrawFn) -> str:
    rule = draw(st.sampled_from(RULES)).format(draw(st.sampled_from(["block", "filter", "drop"])))
    around = draw(st.lists(st.sampled_from([one for one in AROUND if there(one)]), unique=True))
    seen: set[str] = set()
    kept = []
    for one in around:
        word = one.split()[0]
        if word in {"rewrite", "template"} or word not in seen:
            kept.append(one)
        seen.add(word)
    inside = "\n".join([rule, *kept, END])
    if there("view") and draw(st.booleans()):
        # Both clients are in the view, or neither; the other block has the same rule.
        return f". {{\n{VIEW}{inside}}}\n. {{\n{rule}\n{END}}}\n"
    if draw(st.booleans()):
        return f"cluster.local {{\n{rule}\n{END}}}\n. {{\n{inside}}}\n"
    return f". {{\n{inside}}}\n"


asks = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(TYPES),
        st.sampled_from([BARRED, OTHER]),
        st.integers(1, 3),
        st.booleans(),
    ),
    min_size=3,
    max_size=25,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cluster")
    (made / "cluster.yaml").write_text(MANIFESTS)
    return made


@pytest.mark.timeout(120)  # ten seconds on a machine of its own
@settings(max_examples=60, deadline=None)
@given(corefile=corefiles(), todo=asks)
async def test_what_is_barred_never_reaches_him(folder: Path, corefile: str, todo: list) -> None:
    async with whole(corefile, folder) as server:
        for name, type_, address, times, moves in todo:
            packet = dns.message.make_query(name, type_, use_edns=0, id=1).to_wire()
            for _ in range(times):
                reply = await server.ask(packet, address)
                if address == BARRED and reply is not None:
                    assert not any(secret in reply for secret in SECRETS), (name, type_)
            if moves:
                server.clock.now += 7


@pytest.mark.parametrize(
    "name", ["secret.a.svc.cluster.local", "secret.example", "in.b.svc.cluster.local"]
)
@pytest.mark.parametrize("order", [(BARRED, OTHER), (OTHER, BARRED)], ids=["barred first", "last"])
async def test_the_other_client_does_get_it(folder: Path, name: str, order: tuple) -> None:
    corefile = f". {{\n{RULES[0].format('block')}\ncache\n{END}}}\n"
    packet = dns.message.make_query(name, "A", id=1).to_wire()
    async with whole(corefile, folder) as server:
        for _ in range(3):
            for address in order:
                reply = await server.ask(packet, address)
                assert reply is not None
                got = any(secret in reply for secret in SECRETS)
                assert got == (address == OTHER)
