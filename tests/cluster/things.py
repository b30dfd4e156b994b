"""Short builders for cluster objects, and what of a Store can be seen."""

from collections.abc import Iterable

from kdns.cluster.objects import Namespace, Object, Pod, Port, Service, ServiceImport, Slice
from kdns.cluster.store import Replace, Store
from kdns.wire.records import address

KINDS = (Namespace, Service, Slice, Pod, ServiceImport)
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
    }
