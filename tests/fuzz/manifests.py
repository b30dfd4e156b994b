"""Manifests with nulls, wrong types, huge and hostile values go through the manifests source.

Each file holds good objects and victims: valid objects with a hostile value at one JSON path, or
YAML with its text bent. At most one warning per victim, no traceback, the good objects are served,
and whatever is asked about the victims gets a reply that can be read.
"""

import copy
import itertools
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import dns.message
import yaml

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import Client
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from tests.fakes import at_work
from tests.fuzz.answering import fault
from tests.fuzz.report import Listener, Report

Object = dict[str, Any]
Path_ = tuple[str | int, ...]

PLACE = re.compile(r"document \d+(?:, items\[\d+\])*")
VICTIMS = 8
"""Objects of a file that are made hostile."""
MOST_CPU_S = 5.0
"""For a whole file, read in a thread beside the loop."""
GOOD = """
apiVersion: v1
kind: Service
metadata: {name: good, namespace: fine}
spec: {clusterIP: 10.96.200.1, ports: [{name: http, port: 80, protocol: TCP}]}
---
apiVersion: v1
kind: Service
metadata: {name: list, namespace: fine}
spec: {clusterIP: None, ports: [{name: http, port: 80, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: list-1, namespace: fine, labels: {kubernetes.io/service-name: list}}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP}]
endpoints: [{addresses: [10.7.200.1], hostname: one}]
"""
VALID = """
apiVersion: v1
kind: Namespace
metadata: {name: victim, labels: {a: b}}
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: victim, labels: {a: b}, annotations: {x: y}, resourceVersion: "7"}
spec:
  type: ClusterIP
  clusterIP: 10.96.1.1
  clusterIPs: [10.96.1.1, "fd00:96::1"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: PreferDualStack
  externalIPs: [198.51.100.1]
  selector: {app: plain}
  publishNotReadyAddresses: false
  ports: [{name: http, port: 80, protocol: TCP, targetPort: web}, {name: dns, port: 53, protocol: UDP, targetPort: 53}]
status: {loadBalancer: {ingress: [{ip: 198.51.100.2}, {hostname: lb.example.org}]}}
---
apiVersion: v1
kind: Service
metadata: {name: away, namespace: victim}
spec: {type: ExternalName, externalName: www.example.org, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: victim}
spec: {clusterIP: None, selector: {app: plain}, ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pod, namespace: victim, labels: {app: plain}, deletionTimestamp: null}
spec:
  hostname: pod
  subdomain: headless
  nodeName: node
  containers: [{name: web, image: x, ports: [{name: web, containerPort: 8080, protocol: TCP}]}]
  initContainers: [{name: side, restartPolicy: Always, ports: [{name: side, containerPort: 1}]}]
status:
  phase: Running
  podIP: 10.7.1.1
  podIPs: [{ip: 10.7.1.1}, {ip: "fd00:7::1"}]
  conditions: [{type: Ready, status: "True"}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: slice, namespace: victim, labels: {kubernetes.io/service-name: sliced, x: y}}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP, appProtocol: null}]
endpoints:
- addresses: [10.7.2.1, 10.7.2.2]
  conditions: {ready: true, serving: true, terminating: false}
  hostname: host
  nodeName: node
  zone: eu-1
  hints: {forZones: [{name: eu-1}]}
  targetRef: {kind: Pod, name: pod, namespace: victim}
---
apiVersion: v1
kind: Endpoints
metadata: {name: written, namespace: victim}
subsets:
- addresses: [{ip: 10.7.3.1, hostname: host, targetRef: {kind: Pod, name: pod}}]
  notReadyAddresses: [{ip: 10.7.3.2}]
  ports: [{name: http, port: 80, protocol: TCP}]
---
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: shared, namespace: victim}
spec: {type: ClusterSetIP, ips: [10.96.9.1], ports: [{name: http, port: 80, protocol: TCP}]}
---
apiVersion: v1
kind: Node
metadata: {name: node, labels: {topology.kubernetes.io/zone: z}}
spec: {podCIDR: 10.8.0.0/24, podCIDRs: [10.8.0.0/24, "fd08::/64"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.8}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata:
  name: outer
  namespace: victim
  annotations: {external-dns.alpha.kubernetes.io/hostname: "a.fuzz.test,*.fuzz.test", external-dns.alpha.kubernetes.io/ttl: "60"}
spec:
  type: NodePort
  clusterIP: 10.96.9.2
  externalIPs: [192.0.2.9]
  externalTrafficPolicy: Local
  trafficDistribution: PreferClose
  ports: [{name: http, port: 80, protocol: TCP, nodePort: 30080}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ingress, namespace: victim}
spec: {rules: [{host: i.fuzz.test}, {host: "*.w.fuzz.test"}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.10}, {hostname: lb.fuzz.test}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway, namespace: victim}
spec: {listeners: [{hostname: g.fuzz.test}]}
status: {addresses: [{type: IPAddress, value: 192.0.2.11}, {type: Hostname, value: gw.fuzz.test}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: victim}
spec: {hostnames: [r.fuzz.test], parentRefs: [{name: gateway, kind: Gateway}]}
status: {parents: [{parentRef: {name: gateway}, conditions: [{type: Accepted, status: "True"}]}]}
---
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: v1
  kind: Service
  metadata: {name: listed, namespace: victim}
  spec: {clusterIP: 10.96.1.9, ports: [{port: 80}]}
"""
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 53.5, 65535, 65536, 2**31, 2**63, 2**64, 10**400, -(10**400), 1e308,
    "", " ", ".", "..", "-", "a", "None", "none", "null", "True", "~", "0", "80", "-1", "1e3", "NaN", "x" * 63, "x" * 64,
    "x" * 254, "x." * 127 + "x", "x" * 100_000, "A.B", "a_b", "a b", "a\nb", "a\0b", "\0", "é", "\u202e", "\U0001f600", "*", "*.a",
    "\\", '"', "'", "%s", "{}", "../../etc/passwd", "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 61, "xn--", "_tcp",
    "10.0.0.256", "010.0.0.1", "1.2.3", "1.2.3.4.5", "0.0.0.0", "::", "::1%eth0", "::ffff:1.2.3.4", "fd00::/64", "1.2.3.4/32",
    "[::1]", "IPv4", "IPv6", "FQDN", "ExternalName", "Headless", "TCP", "List", "Service", "EndpointSlice", "Running",
    [], [None], [[]], ["a"], ["10.96.1.1"] * 3, [1], ["x"] * 2000, [{}], [None, {}, [], "a", 1], [{"ip": None}], [{"name": 1}],
    {}, {"a": None}, {"a": {}}, {"": ""}, {"name": "a"}, {"\0": "\0"}, {f"k{at}": "v" for at in range(500)},
)  # fmt: skip
"""Values put where others are expected; nested ones are made by `nested`."""
RAW = {
    '"@digits@"': "9" * 5000, '"@nan@"': "NaN", '"@infinite@"': "1e999", '"@surrogate@"': '"\\ud800"',
    '"@twice@"': '{"a": 1, "a": {}}', '"@zero@"': "-0", '"@bare@"': "bare", '"@open@"': "[",
}  # fmt: skip
"""What json.dumps would not write, by the word that stands for it."""
LINES = (
    "port: " + "9" * 5000,
    "---", "...", "- ", "  - x", "key: [", "key: {a: b", "\tkey: value", "? x", ": y", "key: &a [*a]", "key: *missing",
    "<<: {a: b}", "<<: [1]", "key: !!python/object/apply:os.system [ls]", "key: !!binary aaaa", "key: !unknown x", "%YAML 9.9",
    "key: 2026-01-01", "key: 0o777", "key: .inf", "key: 1:30:00", 'key: "\\x', "key: 'x", "key: |", "key: >-", "{{ .Values.x }}",
    "\x00", "\x85", "\ufeff", "kind: List", "kind: Service", "items: x", "metadata: null", "spec: []", "key: " + "[" * 200,
    "key: " + "{a: " * 200, "a: &a [x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]",
)  # fmt: skip
WORDS = tuple(word.strip('"') for word in RAW)
COREFILE = """. {{
    k8s_external ext.test in-addr.arpa {{
        headless
        fallthrough in-addr.arpa
    }}
    hostnames fuzz.test {{
        fallthrough
    }}
    ingress fuzz.test
    nodeport
    kubernetes cluster.local set.local in-addr.arpa ip6.arpa {{
        topology
        manifests {path}
        pods {pods}
        endpoint_pod_names
        zonal
        multicluster set.local
        startup_timeout 20s
    }}
    whoami
}}
"""
ANSWERS = (
    ("good.fine.svc.cluster.local", "A", "10.96.200.1"),
    ("one.list.fine.svc.cluster.local", "A", "10.7.200.1"),
    ("1.200.96.10.in-addr.arpa", "PTR", "good.fine.svc.cluster.local."),
)
ASKED = tuple(
    itertools.product(
        (
            "plain.victim.svc.cluster.local", "away.victim.svc.cluster.local", "headless.victim.svc.cluster.local",
            "pod.headless.victim.svc.cluster.local", "sliced.victim.svc.cluster.local", "written.victim.svc.cluster.local",
            "host.sliced.victim.svc.cluster.local", "shared.victim.svc.set.local", "victim.svc.cluster.local",
            "eu-1.pin._zone.sliced.victim.svc.cluster.local", "10-7-1-1.victim.pod.cluster.local",
            "1.1.7.10.in-addr.arpa", "1.2.7.10.in-addr.arpa", "1.3.7.10.in-addr.arpa", "1.1.96.10.in-addr.arpa", "cluster.local",
            "outer.victim.ext.test", "headless.victim.ext.test", "9.2.0.192.in-addr.arpa", "a.fuzz.test", "x.fuzz.test",
            "i.fuzz.test", "x.w.fuzz.test", "g.fuzz.test", "r.fuzz.test", "outer.victim.nodeport.cluster.local",
        ),
        ("A", "SRV", "PTR", "NS"),
    )
)  # fmt: skip


def objects() -> list[Object]:
    """The valid objects."""
    return list(yaml.safe_load_all(VALID))


def paths(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Every JSON path of an object, its own included."""
    yield at
    below = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in below:
        yield from paths(inner, (*at, key))


def put(value: Any, path: Path_, hostile: Any) -> Any:
    """The object with another value at a path."""
    if not path:
        return hostile
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = hostile
    return changed


def places() -> list[tuple[int, Path_]]:
    """Every path of every valid object."""
    return [(number, path) for number, one in enumerate(objects()) for path in paths(one)]


def nested(rng: Random) -> Any:
    """A deep value."""
    value: Any = "x"
    for _ in range(rng.choice((10, 90, 400, 900))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def victims(rng: Random) -> list[str]:
    """Hostile documents, each as text."""
    valid, made = objects(), []
    for number, path in rng.choices(places(), k=VICTIMS):
        hostile = nested(rng) if rng.random() < 0.03 else rng.choice(HOSTILE + WORDS)
        text = json.dumps(put(valid[number], path, hostile))
        for word, raw in RAW.items():
            text = text.replace(word, raw)
        made.append(text)
    return made


def bent(rng: Random) -> list[str]:
    """Documents whose YAML is bent, each as text."""
    made = []
    for one in rng.choices(objects(), k=VICTIMS):
        lines = yaml.safe_dump(one).splitlines()
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(len(lines))
            match rng.randrange(5):
                case 0:
                    lines.insert(at, rng.choice(LINES))
                case 1:
                    del lines[at]
                case 2:
                    lines[at] = " " * rng.randint(0, 4) + lines[at].strip()
                case 3:
                    cut = rng.randrange(len(lines[at]) + 1)
                    lines[at] = (
                        lines[at][:cut] + rng.choice(":-{}[]&*#'\"|>%@`!?,\t\0") + lines[at][cut:]
                    )
                case _:
                    lines.insert(at, lines[rng.randrange(len(lines))])
            lines = lines or [""]
        made.append("\n".join(lines))
    return made


async def run(report: Report, rng: Random, *, seconds: float) -> None:
    """Serves files for so long."""
    until = time.monotonic() + seconds
    with Listener() as heard, tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, "manifests.yaml")
        while time.monotonic() < until:
            make = rng.choice((victims, victims, bent))
            documents = make(rng)
            as_list = make is victims and rng.random() < 0.3
            path.write_text(written(documents, as_list=as_list), encoding="utf-8")
            pods = rng.choice(("disabled", "insecure", "verified"))
            await serve_one(report, documents, path, pods, heard)


def written(documents: list[str], *, as_list: bool) -> str:
    """A file of these documents and the good ones: YAML documents, or one JSON List.

    What is no JSON makes a whole List unreadable, so such victims stay out of it.
    """
    if not as_list:
        return "\n---\n".join([*documents, GOOD.strip()])
    good = [json.dumps(one) for one in yaml.safe_load_all(GOOD)]
    items = [one for one in documents if _is_json(one)] + good
    return '{"apiVersion": "v1", "kind": "List", "items": [' + ",\n".join(items) + "]}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


async def serve_one(
    report: Report, documents: list[str], path: Path, pods: str, heard: Listener
) -> None:
    """Serves one file of good objects and victims, and asks about all of them."""
    started = time.process_time()
    try:
        why = await _asked(COREFILE.format(path=path, pods=pods))
    except Exception as error:
        why = f"serving manifests raises {type(error).__name__}: {error}"[:200]
    spent = time.process_time() - started
    warnings, tracebacks = heard.take()
    report.counts["manifest files"] += 1
    report.counts["hostile objects"] += len(documents)
    report.counts["warnings about them"] += len(warnings)
    report.spent("serving a file of manifests", spent)
    if tracebacks:
        why = why or "serving manifests logs " + tracebacks[0].splitlines()[-1][:160]
    if spent > MOST_CPU_S:
        why = why or f"a file of manifests takes more than {MOST_CPU_S} s of CPU"
    if repeated(warnings):
        why = why or "several warnings about one object"
        documents = [*warnings, *documents]
    if why:
        report.find(why, f"pods {pods}: {documents!r}"[:6000])


def repeated(warnings: list[str]) -> list[str]:
    """The objects that more than one warning names; a bent document may be several objects."""
    named = Counter(PLACE.findall(one)[-1] if PLACE.search(one) else one for one in warnings)
    return [place for place, count in named.items() if count > 1]


async def _asked(corefile: str) -> str:
    """What is wrong with the answers of a server on this Corefile."""
    services, errors = Services(), list[ConfigError]()
    assembly = build(corefile, "/Corefile", services, errors)
    if errors:
        return f"the Corefile is wrong: {errors[0]}"
    async with at_work(assembly.plugins, assembly.shared) as failures:
        if failures:
            return f"the source ended: {failures}"
        router = next(iter(assembly.routers.values()))
        pipeline = Pipeline(
            router,
            services.stamps,
            services.counters,
            services.clock,
            services.chance,
            table=None,
            whole=True,
        )
        return await _answers(pipeline)


async def _answers(pipeline: Pipeline) -> str:
    for name, type_, expected in ANSWERS:
        _, reply = await _ask(pipeline, name, type_)
        if reply is None or expected not in str(dns.message.from_wire(reply).answer):
            return f"{name} {type_} is not answered"
    for name, type_ in ASKED:
        packet, reply = await _ask(pipeline, name, type_)
        if why := fault(packet, reply, tcp=True):
            return f"{why}: {name} {type_}"
    panics = [key for key in pipeline.counters.values if "panics" in key[0]]
    return "a plugin failed" if panics else ""


async def _ask(pipeline: Pipeline, name: str, type_: str) -> tuple[bytes, bytes | None]:
    packet = dns.message.make_query(name, type_).to_wire()
    client = Client(b"\x0a\x07\1\1", 40000, "tcp", b"\x7f\0\0\1", 53)
    return packet, await pipeline.respond(packet, client, pipeline.clock())
