"""Kubernetes objects as JSON bytes or plain values become facts; ValueError says what is wrong.

Object contents are other people's text: a time that is none is empty, an address must be one, and
words that anybody may write (messages, commands) are printable and of bounded length. Names are
folded, as the Store folds them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from kdns.cluster import fields
from kdns.cluster import raw as cut
from kdns.cluster.api.failures import MALFORMED
from kdns.cluster.parse import SERVICE_LABEL
from kdns.explain import raw
from kdns.explain.facts import (
    EndpointFact,
    NamespaceFact,
    PodFact,
    PolicyFact,
    PortFact,
    ServiceFact,
    SliceFact,
)
from kdns.explain.parts import (
    addresses,
    clean,
    folded,
    identity,
    labels,
    moment,
    port,
    texts,
    written,
)
from kdns.explain.pods import pod

Fact = ServiceFact | SliceFact | PodFact | NamespaceFact | PolicyFact

_GROUPS = {
    "Service": "",
    "EndpointSlice": "discovery.k8s.io",
    "Endpoints": "",
    "Pod": "",
    "Namespace": "",
    "NetworkPolicy": "networking.k8s.io",
}


class Known(Struct, frozen=True):
    """An object that was read."""

    kind: str
    fact: Fact | None
    """None for a slice of no service."""
    is_stored: bool = True
    """It comes from an API server: it has a resourceVersion."""


MOST_OF_POLICY = 1 << 18
"""Octets; perf: one of 3 MB, 10,000 rules, held the loop of a server for 55 ms."""


class _Named(Struct, gc=False):
    kind: str | None = None
    apiVersion: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


def kind_of(text: bytes | msgspec.Raw, told: str = "") -> tuple[str, bool]:
    """The kind of an object, which its list may have told, and whether it is one that is read."""
    try:
        named = _NAMED.decode(text)
    except MALFORMED as error:
        raise ValueError(str(error)) from None
    kind = named.kind or told
    return kind, _is_read(kind, named.apiVersion)


def parse(body: object) -> Known | None:
    """An object of plain values; None for a kind that is not read."""
    if not isinstance(body, Mapping):
        raise ValueError(fields.wrong("an object", body, "$"))  # noqa: TRY004 - bad text, not a bug
    kind, version = body.get("kind"), body.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str | None):
        raise ValueError("Expected `str` - at `$.kind`")  # noqa: TRY004 - bad text, not a bug
    if not _is_read(kind, version):
        return None
    try:
        text = msgspec.json.encode(body)
    except (*MALFORMED, TypeError, OverflowError, UnicodeEncodeError) as error:
        raise ValueError(f"it is no JSON: {clean(str(error))}") from None
    return scan(kind, text)


def scan(kind: str, text: bytes | msgspec.Raw) -> Known:
    """An object of this kind, as JSON."""
    if kind == "NetworkPolicy" and len(memoryview(text)) > MOST_OF_POLICY:
        raise ValueError(f"a NetworkPolicy of more than {MOST_OF_POLICY >> 10} KB is not judged")
    decoder, make = _KINDS[kind]
    try:
        found = decoder.decode(text)
    except MALFORMED as error:
        raise ValueError(clean(str(error))) from None
    meta = found.metadata
    return Known(kind, make(found), meta is not None and bool(meta.resource_version))


def _is_read(kind: str, version: str | None) -> bool:
    group = _GROUPS.get(kind)
    return group is not None and (version is None or version.rpartition("/")[0] == group)


def namespace(given: raw.Namespace) -> NamespaceFact:
    """A namespace."""
    meta, status = given.metadata or raw.Meta(), given.status or raw.NamespaceStatus()
    name = fields.label(meta.name, "$.metadata.name")
    is_ending = status.phase == "Terminating" or meta.deletion_timestamp is not None
    return NamespaceFact(name, labels(meta.labels), is_ending)


def service(given: raw.Service) -> ServiceFact:
    """A service."""
    meta, spec = given.metadata or raw.Meta(), given.spec or cut.ServiceSpec()
    where, name = identity(meta, fields.label)
    kind = spec.type or "ClusterIP"
    return ServiceFact(
        namespace=where,
        name=name,
        type=clean(kind),
        addresses=() if kind == "ExternalName" else _cluster_ips(spec),
        selector=labels(spec.selector),
        ports=tuple(_service_port(one) for one in spec.ports or ()),
        external_name=clean(spec.external_name or "") if kind == "ExternalName" else "",
        external_addresses=_external(spec, given.status or cut.ServiceStatus()),
        publishes_unready=bool(spec.publish_not_ready_addresses),
        created=moment(meta.creation_timestamp),
    )


def _cluster_ips(spec: cut.ServiceSpec) -> tuple[str, ...]:
    given = spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else [])
    return ("None",) if given[:1] == ["None"] else addresses(given, "$.spec.clusterIPs")


def _external(spec: cut.ServiceSpec, status: cut.ServiceStatus) -> tuple[str, ...]:
    balancer = (status.load_balancer or cut.LoadBalancer()).ingress or ()
    given = [*(spec.external_ips or ()), *(one.ip for one in balancer if one.ip)]
    hosts = [clean(one.hostname) for one in balancer if one.hostname]
    return (*addresses(given, "$.spec.externalIPs"), *hosts)


def _service_port(given: cut.ServicePort) -> PortFact:
    target = "" if given.target_port is None else clean(str(given.target_port))
    return PortFact(
        clean(given.name or ""),
        given.port or 0,
        clean(given.protocol or "TCP"),
        target,
        given.node_port or 0,
    )


def slice_(given: raw.Slice) -> SliceFact | None:
    """An EndpointSlice; None when it belongs to no service."""
    meta = given.metadata or raw.Meta()
    owner = (meta.labels or {}).get(SERVICE_LABEL)
    if not owner:
        return None
    where, name = identity(meta, fields.name)
    read = texts if given.address_type == "FQDN" else addresses
    return SliceFact(
        namespace=where,
        name=name,
        service=fields.label(owner, f"$.metadata.labels['{SERVICE_LABEL}']"),
        endpoints=tuple([_endpoint(one, read) for one in given.endpoints or ()]),
        ports=_ports(given.ports),
        address_type=clean(given.address_type or "IPv4"),
        managed_by=clean((meta.labels or {}).get("endpointslice.kubernetes.io/managed-by") or ""),
        triggered=_triggered(meta),
        written=written(meta),
    )


Read = Callable[[Iterable[str] | None, str], tuple[str, ...]]


def _endpoint(given: raw.Endpoint, read: Read) -> EndpointFact:
    said = given.conditions or raw.Conditions()
    is_ready = said.ready is not False
    return EndpointFact(
        read(given.addresses, "$.endpoints.addresses"),
        is_ready,
        is_ready if said.serving is None else said.serving,
        bool(said.terminating),
        folded(given.hostname),
        fields.pod_name(given.target_ref, "$.endpoints"),
        clean(given.node_name or ""),
        clean(given.zone or ""),
    )


def endpoints(given: raw.Endpoints) -> SliceFact:
    """An Endpoints object; ports of all subsets together."""
    meta = given.metadata or raw.Meta()
    where, name = identity(meta, fields.label)
    subsets = given.subsets or ()
    listed = [(one, True) for each in subsets for one in each.addresses or ()]
    listed += [(one, False) for each in subsets for one in each.not_ready_addresses or ()]
    ports = dict.fromkeys(one for each in subsets for one in _ports(each.ports))
    return SliceFact(
        namespace=where,
        name=name,
        service=name,
        endpoints=tuple(_subset_endpoint(one, is_ready) for one, is_ready in listed),
        ports=tuple(ports),
        triggered=_triggered(meta),
        written=written(meta),
        kind="Endpoints",
    )


def _subset_endpoint(given: raw.EndpointAddress, is_ready: bool) -> EndpointFact:
    return EndpointFact(
        addresses([given.ip or ""], "$.subsets.addresses.ip"),
        is_ready,
        is_ready,
        hostname=folded(given.hostname),
        pod=fields.pod_name(given.target_ref, "$.subsets.addresses"),
        node=clean(given.node_name or ""),
    )


def _ports(given: Iterable[cut.ServicePort] | None) -> tuple[PortFact, ...]:
    return tuple([port(one.name, one.port, one.protocol) for one in given or ()])


def _triggered(meta: raw.Meta) -> str:
    return moment(meta.annotations.trigger) if meta.annotations else ""


def policy(given: raw.Policy) -> PolicyFact:
    """A NetworkPolicy."""
    where, name = identity(given.metadata or raw.Meta(), fields.name)
    return PolicyFact(where, name, given.spec or {})


_KINDS: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Any], Fact | None]]] = {
    "Service": (msgspec.json.Decoder(raw.Service), service),
    "EndpointSlice": (msgspec.json.Decoder(raw.Slice), slice_),
    "Endpoints": (msgspec.json.Decoder(raw.Endpoints), endpoints),
    "Pod": (msgspec.json.Decoder(raw.Pod), pod),
    "Namespace": (msgspec.json.Decoder(raw.Namespace), namespace),
    "NetworkPolicy": (msgspec.json.Decoder(raw.Policy), policy),
}  # Any: each function takes its own raw type
