"""Short builders for cluster objects, and what of a Store can be seen."""

from collections.abc import Iterable

from kdns.cluster.objects import (
    KINDS,
    Gateway,
    Ingress,
    More,
    Node,
    Object,
    Pod,
    Port,
    Route,
    Service,
    ServiceImport,
    Slice,
)
from kdns.cluster.selection import Selection
from kdns.cluster.store import Replace, Store
from kdns.wire.names import Key, parse_key
from kdns.wire.records import address

ALL = Selection(nodes=True, entrances=True, hosts=True)
HTTP = (Port("http", 80, "tcp"),)


def ips(*texts: str) -> tuple[bytes, ...]:
    """Packed addresses; a bare number n is 10.0.0.n."""
    return tuple(address(f"10.0.0.{text}" if text.isdigit() else text) for text in texts)


def service(name: str, *addresses: str, ns: str = "a", **fields: object) -> Service:
    return Service(ns, name, ips(*addresses), not addresses, ports=HTTP, **fields)


def slice_(name: str, *addresses: str, of: str = "s", ns: str = "a", **fields: object) -> Slice:
    packed = ips(*addresses)
    width = len(packed[0]) if packed else 4
    return Slice(ns, name, of, width, b"".join(packed), ports=HTTP, **fields)


def pod(name: str, *addresses: str, ns: str = "a", **fields: object) -> Pod:
    return Pod(ns, name, ips(*addresses), **fields)


def imported(name: str, *addresses: str, ns: str = "a") -> ServiceImport:
    return ServiceImport(ns, name, ips(*addresses), not addresses, HTTP)


def node(name: str, *addresses: str, zone: str = "", ready: bool = True, net: int = 0) -> Node:
    nets = ((bytes((10, net, 0, 0)), 16),) if net else ()
    return Node(name, ips(*addresses), ready, zone, nets)


def ingress(name: str, *hosts: str, at: str = "9", ns: str = "a") -> Ingress:
    return Ingress(ns, name, hosts, ips(at) if at else ())


def gateway(name: str, *hosts: str, at: str = "8", ns: str = "a") -> Gateway:
    return Gateway(ns, name, hosts, ips(at) if at else ())


def route(name: str, *hosts: str, to: str = "a/s", ns: str = "a") -> Route:
    return Route(ns, name, hosts, (to,))


def wanting(name: str, *hosts: str, ns: str = "a") -> Service:
    """A service that wants names beyond the cluster."""
    more = More((30000,), is_local=len(hosts) == 1, hosts=hosts, internal_hosts=hosts[:1])
    return service(name, "7", ns=ns, external_addresses=ips("9"), more=more)


def listed(objects: Iterable[Object]) -> list[Replace]:
    """One fresh list of every kind."""
    known = list(objects)
    return [Replace(kind, tuple(o for o in known if type(o) is kind)) for kind in KINDS]


def ready(store: Store, key: str = "a/s") -> set[bytes]:
    """The addresses a service answers with."""
    return {s.address(at) for s in store.slices(key) for at in range(s.count) if s.is_ready(at)}


def seen(store: Store, addresses: Iterable[bytes], keys: Iterable[str]) -> dict[str, object]:
    """Everything a question can learn from a Store."""
    return {
        "namespaces": store.namespaces,
        "services": store.services,
        "imports": store.imports,
        "slices": {key: store.slices(key) for key in keys},
        "import slices": {key: store.import_slices(key) for key in keys},
        "services at": {a: store.services_at(a) for a in addresses},
        "endpoints at": {a: list(store.endpoints_at(a)) for a in addresses},
        "pods at": {a: store.pods_at(a) for a in addresses},
        "external at": {a: store.external_at(a) for a in addresses},
        "nodes": store.nodes.ready(),
        "zones": {a: store.nodes.zone_of(a) for a in addresses},
        "hosts": {key: hosts_of(store, key) for key in HOSTS},
    }


HOSTS = [parse_key(text) for text in ("x.y.test", "*.y.test", "y.test", "test", "a.z.test")]


def hosts_of(store: Store, key: Key) -> object:
    """Everything a question can learn of a host."""
    return (
        store.entrances.hosts.exists(key),
        store.entrances.at(key),
        store.hosts.exists(key),
        [store.services.get(name) for _, name in store.hosts.at(key)],
    )
