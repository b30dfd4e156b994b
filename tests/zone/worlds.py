"""Clusters for tests: short builders for Kubernetes objects, and what a Store makes of them."""

from collections.abc import Iterable

import dns.message
import dns.rcode
import dns.rdatatype

from kdns.cluster.allocate import Ranges
from kdns.cluster.assembly import Found, assemble
from kdns.cluster.objects import KINDS, Object
from kdns.cluster.parse import parse
from kdns.cluster.store import Change, Delete, Event, Put, Replace, Store, Synced
from kdns.wire import names, types
from kdns.wire.encode import encode
from kdns.wire.message import Answer, Question
from kdns.zone.answers import answer
from kdns.zone.external import Alias
from kdns.zone.view import ImportSerial, View, Zone

Document = dict[str, object]
Asked = tuple[str, str]


def port(text: str) -> Document:
    """`http:80/TCP`, `:80` unnamed, `dns:53/UDP`, `web:80>http` with a target."""
    name, _, rest = text.partition(":")
    rest, _, target = rest.partition(">")
    number, _, protocol = rest.partition("/")
    made = {"name": name, "port": int(number), "protocol": protocol or "TCP"}
    if target:
        made["targetPort"] = int(target) if target.isdigit() else target
    return made


def meta(name: str, namespace: str = "a", **labels: str) -> Document:
    return {"name": name, "namespace": namespace, "labels": labels}


def namespace(name: str, **labels: str) -> Document:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service(
    name: str,
    *ips: str,
    ports: Iterable[str] = ("http:80",),
    ns: str = "a",
    external: str = "",
    labels: dict[str, str] | None = None,
    **selector: str,
) -> Document:
    """A service; without addresses a headless one, or an ExternalName."""
    spec: Document = {"ports": [port(text) for text in ports], "selector": selector}
    if external:
        spec |= {"type": "ExternalName", "externalName": external}
    else:
        spec |= {"clusterIPs": list(ips) or ["None"]}
    return {"kind": "Service", "metadata": meta(name, ns, **(labels or {})), "spec": spec}


def pod(
    name: str,
    *ips: str,
    ns: str = "a",
    ready: bool = True,
    hostname: str = "",
    subdomain: str = "",
    ports: Iterable[str] = (),
    **labels: str,
) -> Document:
    return {
        "kind": "Pod",
        "metadata": meta(name, ns, **labels),
        "spec": {
            "hostname": hostname,
            "subdomain": subdomain,
            "containers": [
                {"ports": [{"name": p["name"], "containerPort": p["port"], "protocol": "TCP"}]}
                for p in map(port, ports)
            ],
        },
        "status": {
            "podIPs": [{"ip": ip} for ip in ips],
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def endpoints(name: str, *ips: str, ns: str = "a", ports: Iterable[str] = ("http:80",)) -> Document:
    subset = {"addresses": [{"ip": ip} for ip in ips], "ports": [port(text) for text in ports]}
    return {"kind": "Endpoints", "metadata": meta(name, ns), "subsets": [subset]}


def endpoint(ip: str, **fields: object) -> Document:
    """An endpoint of a slice; `ready`, `hostname`, `zone`, and `pod` for its target."""
    made: Document = {"addresses": [ip]}
    if "ready" in fields:
        made["conditions"] = {"ready": fields.pop("ready")}
    if "pod" in fields:
        made["targetRef"] = {"kind": "Pod", "name": fields.pop("pod")}
    return made | fields


def slice_(
    of: str,
    *those: Document,
    name: str = "",
    ns: str = "a",
    ports: Iterable[str] = ("http:8080",),
    cluster: str = "",
) -> Document:
    label = "multicluster.kubernetes.io/service-name" if cluster else "kubernetes.io/service-name"
    labels = {label: of} | (
        {"multicluster.kubernetes.io/source-cluster": cluster} if cluster else {}
    )
    family = "IPv6" if those and ":" in str(those[0]["addresses"]) else "IPv4"
    return {
        "kind": "EndpointSlice",
        "addressType": family,
        "metadata": {"name": name or f"{of}-{cluster}-{family}", "namespace": ns, "labels": labels},
        "endpoints": list(those),
        "ports": [port(text) for text in ports],
    }


def service_import(name: str, *ips: str, ports: Iterable[str] = ("http:80",)) -> Document:
    kind = "ClusterSetIP" if ips else "Headless"
    spec = {"type": kind, "ips": list(ips), "ports": [port(text) for text in ports]}
    return {"kind": "ServiceImport", "metadata": meta(name), "spec": spec}


def objects(documents: Iterable[Document]) -> list[Object]:
    """What a control plane makes of these documents, as the manifests source does."""
    found = [Found("here", thing) for thing in map(parse, documents) if thing is not None]
    world = assemble(found, Ranges())
    return [thing for kind in KINDS for thing in world.objects[kind]]


def as_list(after: list[Object]) -> list[Event]:
    """A relist: every kind anew."""
    return [Replace(kind, tuple(o for o in after if type(o) is kind)) for kind in KINDS]


def as_watch(before: list[Object], after: list[Object]) -> list[Event]:
    """Single events for what differs, new things first."""

    def name(thing: Object) -> tuple[type, str, str]:
        return (type(thing), getattr(thing, "namespace", ""), thing.name)

    there = {name(thing) for thing in after}
    return [
        *(Put(thing) for thing in after if thing not in before),
        *(Delete(*name(thing)) for thing in before if name(thing) not in there),
    ]


def store(*documents: Document, wall: float = 1000.0, synced: bool = True) -> Store:
    """A Store that knows these documents, and the namespaces a and b."""
    made = Store()
    known = objects([namespace("a"), namespace("b"), *documents])
    made.apply_all([*as_list(known), *([Synced()] if synced else [])], wall)
    return made


def apply(known: Store, events: Iterable[Event], wall: float) -> Change:
    """Applies events and lets all holds run out."""
    change = known.apply_all(events, wall)
    return Change(change.keys | known.settle(wall + 60).keys)


def view(
    known: Store,
    *zones: str,
    imported: str = "",
    ttl: int = 5,
    **options: object,
) -> View:
    keys = [
        names.parse_key(zone) for zone in zones or ("cluster.local", "in-addr.arpa", "ip6.arpa")
    ]
    made = [
        Zone(
            key,
            ttl,
            ImportSerial(known) if names.format(key) == imported else known,
            is_multicluster=names.format(key) == imported,
        )
        for key in sorted(keys, key=len, reverse=True)
    ]
    return View(known, tuple(made), keys[0], ttl, **options)


def ask(where: View, name: str, type_: str = "A", touched: list | None = None) -> Answer | Alias:
    """The outcome for a question, None being NXDOMAIN."""
    key = names.parse_key(name)
    place = where.find(key)
    assert place is not None, f"{name} is in no zone"
    note = (touched if touched is not None else []).append
    zone, parts = place
    found = answer(where, zone, key, parts, types.parse_type(type_), note)
    return zone.nxdomain if found is None else found


def dig(where: View, name: str, type_: str = "A") -> dns.message.Message:
    """The reply as dnspython reads it."""
    found = ask(where, name, type_)
    assert isinstance(found, Answer), found
    wire = names.parse(name)
    question = Question(1, types.RD, wire, names.fold(wire), types.parse_type(type_))
    flags = types.QR | types.RD | found.flags
    return dns.message.from_wire(encode(question, found, flags).wire)


def rows(section: Iterable) -> list[str]:
    """Records of a section as sorted lines, without class."""
    return sorted(
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in section
        for rdata in rrset
    )


def told(reply: dns.message.Message) -> str:
    """A reply in short: the rdata of the answer, NODATA or the rcode."""
    if reply.answer:
        return " | ".join(sorted(str(rdata) for rrset in reply.answer for rdata in rrset))
    code = reply.rcode()
    return "NODATA" if code == dns.rcode.NOERROR else dns.rcode.to_text(code)


def say(where: View, name: str, type_: str = "A") -> str:
    """`told` for a question; where an alias leads out of the zone, that."""
    found = ask(where, name, type_)
    if isinstance(found, Alias):
        return f"outside {names.format(found.target)}"
    return told(dig(where, name, type_))


# What names beyond the cluster are made from


def ingress(
    name: str, *hosts: str, ips: Iterable[str] = (), names: Iterable[str] = (), ns: str = "a"
) -> Document:
    """An Ingress with a rule for each host, reached at addresses and names."""
    reached = [{"ip": ip} for ip in ips] + [{"hostname": host} for host in names]
    return {
        "kind": "Ingress",
        "metadata": meta(name, ns),
        "spec": {"rules": [{"host": host} for host in hosts]},
        "status": {"loadBalancer": {"ingress": reached}},
    }


def gateway(name: str, *hosts: str, ips: Iterable[str] = (), ns: str = "a") -> Document:
    """A Gateway with a listener for each host."""
    return {
        "kind": "Gateway",
        "metadata": meta(name, ns),
        "spec": {"listeners": [{"hostname": host} for host in hosts]},
        "status": {"addresses": [{"type": "IPAddress", "value": ip} for ip in ips]},
    }


def route(name: str, *hosts: str, to: str, ns: str = "a") -> Document:
    """An HTTPRoute that names a gateway in namespace a."""
    spec = {"hostnames": list(hosts), "parentRefs": [{"name": to, "namespace": "a"}]}
    return {"kind": "HTTPRoute", "metadata": meta(name, ns), "spec": spec}


def node(name: str, *ips: str, zone: str = "", pods: str = "", ready: bool = True) -> Document:
    """A Node; `pods` is the net of its pods."""
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone} if zone else {}},
        "spec": {"podCIDRs": [pods]} if pods else {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": ip} for ip in ips],
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }
