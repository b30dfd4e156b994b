"""Services and their endpoints as the suite knows them: from the API server or from manifests.

Only what a DNS answer depends on is read, so that clauses compare answers with these alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Literal, TypeVar

import msgspec

SERVICE_NAME = "kubernetes.io/service-name"

_Shape = TypeVar("_Shape")
Kind = Literal["ClusterIP", "Headless", "ExternalName"]
Body = dict[str, object]
"""An object as the API writes it."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a service or slice; `protocol` in lower case, as names have it."""

    name: str
    number: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a slice, with the slice's ports."""

    address: str
    hostname: str
    is_ready: bool
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A service and its endpoints."""

    namespace: str
    name: str
    kind: Kind
    cluster_ips: tuple[str, ...] = ()
    """Empty also where a manifest leaves them to the API server."""
    ports: tuple[Port, ...] = ()
    external_name: str = ""
    endpoints: tuple[Endpoint, ...] = ()

    def fqdn(self, zone: str) -> str:
        """Its name, absolute."""
        return f"{self.name}.{self.namespace}.svc.{zone}"

    def ready(self) -> list[Endpoint]:
        """The endpoints that are to be found."""
        return [one for one in self.endpoints if one.is_ready]

    def addresses(self, type_: str) -> list[str]:
        """What its A or AAAA records must say, sorted and without repetition."""
        if self.kind == "Headless":
            return of_family(type_, (one.address for one in self.ready()))
        return of_family(type_, self.cluster_ips)

    def family(self) -> str:
        """The type of record to ask for where either will do: A, in a cluster of IPv6 only AAAA."""
        return "A" if self.addresses("A") or not self.addresses("AAAA") else "AAAA"

    def named_ports(self) -> list[Port]:
        """The ports that have SRV records."""
        return [port for port in self.ports if port.name]


def of_family(type_: str, addresses: Iterable[str]) -> list[str]:
    """The IPv4 (A) or IPv6 (AAAA) addresses among these, as records show them, sorted."""
    version = 4 if type_ == "A" else 6
    found = {ip_address(address) for address in addresses}
    return sorted(str(address) for address in found if address.version == version)


@dataclass(frozen=True, slots=True)
class Objects:
    """All services that are known, and whose they are."""

    services: tuple[Service, ...]
    namespaces: frozenset[str] = field(default_factory=frozenset)

    def where(self, suits: Callable[[Service], object]) -> list[Service]:
        """The services that suit, in their order."""
        return [service for service in self.services if suits(service)]

    def named(self, name: str) -> Service | None:
        """The first service of this name."""
        return next((one for one in self.services if one.name == name), None)


# The API's shapes


class _Metadata(msgspec.Struct):
    name: str
    namespace: str = "default"
    labels: dict[str, str] | None = None


class _Port(msgspec.Struct):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None

    def read(self) -> Port:
        return Port(self.name or "", self.port or 0, (self.protocol or "TCP").lower())


class _ServiceSpec(msgspec.Struct, rename="camel"):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    ports: list[_Port] | None = None
    external_name: str | None = None


class _Service(msgspec.Struct):
    metadata: _Metadata
    spec: _ServiceSpec


class _Conditions(msgspec.Struct):
    ready: bool | None = None


class _Endpoint(msgspec.Struct):
    addresses: list[str]
    hostname: str | None = None
    conditions: _Conditions | None = None


class _Slice(msgspec.Struct):
    metadata: _Metadata
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


def read(bodies: Iterable[Body]) -> Objects:
    """The services in a list of objects; raises ValueError for what is not of its kind's shape."""
    services: dict[tuple[str, str], Service] = {}
    slices: list[_Slice] = []
    namespaces = set()
    for body in _flat(bodies):
        match body.get("kind"):
            case "Service":
                service = read_service(body)
                services[service.namespace, service.name] = service
            case "EndpointSlice":
                slices.append(_convert(body, _Slice))
            case "Namespace":
                namespaces.add(_convert(body["metadata"], _Metadata).name)
    for slice_ in slices:
        owner = (slice_.metadata.labels or {}).get(SERVICE_NAME, "")
        place = slice_.metadata.namespace, owner
        if place in services:
            was = services[place]
            services[place] = replace(was, endpoints=(*was.endpoints, *_endpoints(slice_)))
    namespaces |= {service.namespace for service in services.values()}
    return Objects(tuple(services.values()), frozenset(namespaces))


def read_service(body: Body) -> Service:
    """A service without its endpoints."""
    found = _convert(body, _Service)
    spec, place = found.spec, (found.metadata.namespace, found.metadata.name)
    ports = tuple(port.read() for port in spec.ports or ())
    if spec.type == "ExternalName":
        return Service(*place, "ExternalName", external_name=spec.external_name or "")
    if spec.cluster_ip == "None":
        return Service(*place, "Headless", ports=ports)
    addresses = spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else [])
    return Service(*place, "ClusterIP", tuple(addresses), ports)


def _flat(bodies: Iterable[Body]) -> Iterable[Body]:
    """Lists, as kubectl prints them, give their items."""
    for body in bodies:
        items = body.get("items")
        if isinstance(items, list):
            yield from _flat(items)
        else:
            yield body


def _endpoints(slice_: _Slice) -> tuple[Endpoint, ...]:
    ports = tuple(port.read() for port in slice_.ports or ())
    return tuple(
        Endpoint(one.addresses[0], one.hostname or "", _is_ready(one.conditions), ports)
        for one in slice_.endpoints or ()
        if one.addresses
    )


def _is_ready(conditions: _Conditions | None) -> bool:
    """Unset is ready, as the API says."""
    return conditions is None or conditions.ready is not False


def _convert(body: object, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise ValueError(f"an object is not as the API writes it: {error}") from None
