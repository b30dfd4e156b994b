"""Kubernetes objects as decoded become compact ones; ValueError names the field that is wrong.

Takes what a YAML or JSON parser made (`parse`) or a raw Struct (the function of its kind). Names
are folded to lower case and must fit into a DNS name: one label for services, namespaces and
hostnames, at most 253 characters for the rest. Nothing here raises anything but ValueError.
"""

from collections.abc import Callable, Iterable, Mapping
from sys import intern
from typing import Any

from msgspec import Struct, convert

from kdns.cluster import fields, outer_parse, outer_raw, raw
from kdns.cluster.columns import Columns, columns
from kdns.cluster.objects import (
    Gateway,
    Ingress,
    Namespace,
    Node,
    Pod,
    Port,
    Route,
    Service,
    ServiceImport,
    Slice,
)
from kdns.cluster.workloads import (
    EndpointAddress,
    Endpoints,
    PodState,
    ServiceSpec,
    Subset,
    Target,
)

Thing = (
    Namespace
    | ServiceSpec
    | Slice
    | Endpoints
    | PodState
    | ServiceImport
    | Node
    | Ingress
    | Gateway
    | Route
)

SERVICE_LABEL = "kubernetes.io/service-name"
IMPORT_LABEL = "multicluster.kubernetes.io/service-name"
CLUSTER_LABEL = "multicluster.kubernetes.io/source-cluster"

_WIDTHS = {"IPv4": 4, "IPv6": 16, "FQDN": 0}
_INSIDE = {None, "ClusterIP"}
_FINISHED = {"Succeeded", "Failed", "Unknown"}


def parse(document: object) -> Thing | None:
    """The object a decoded document describes; None for a kind that answers do not need."""
    if not isinstance(document, Mapping):
        raise ValueError(fields.wrong("an object", document, "$"))  # noqa: TRY004 - bad text, not a bug
    kind, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str | None):
        raise ValueError("Expected `str` - at `$.kind`")  # noqa: TRY004 - bad text, not a bug
    group = _GROUPS.get(kind)
    if group is None or (version is not None and version.rpartition("/")[0] != group):
        return None
    type_, make = _KINDS[kind]
    return make(convert(document, type_))


def namespace(given: raw.RawNamespace) -> Namespace:
    """A namespace; one that is being deleted still exists."""
    meta = given.metadata or raw.Meta()
    name = fields.label(meta.name, "$.metadata.name")
    is_plain = meta.annotations is not None and meta.annotations.search_path == "plain"
    return Namespace(name, fields.labels(meta.labels), meta.resource_version or "", is_plain)


def service(given: raw.RawService) -> ServiceSpec:
    """A service and what its endpoints are made from."""
    found, spec = service_alone(given), given.spec or raw.ServiceSpec()
    if spec.type == "ExternalName":
        return ServiceSpec(found)
    families, lacks = _families(spec, found.addresses, is_headless=found.is_headless)
    return ServiceSpec(
        found,
        fields.labels(spec.selector),
        tuple(_targets(spec.ports or (), found.ports)),
        families,
        bool(spec.publish_not_ready_addresses),
        lacks,
    )


def service_alone(given: raw.RawService) -> Service:
    """A service as DNS sees it: all that is read where others make its endpoints."""
    meta, spec = given.metadata or raw.Meta(), given.spec or raw.ServiceSpec()
    where, name = fields.identity(meta, fields.label)
    labels, version = fields.labels(meta.labels), meta.resource_version or ""
    if spec.type == "ExternalName":
        target = _external(spec.external_name)
        return Service(where, name, (), False, target, labels=labels, version=version)
    addresses, is_headless = _cluster_ips(spec)
    ports = tuple(fields.ports(spec.ports, "$.spec.ports")) if spec.ports else ()
    external, hosts = _ingress(given)
    more = outer_parse.more(meta, spec) if _may_say_more(meta, spec) else None
    return Service(
        where, name, addresses, is_headless, "", ports, external, hosts, labels, version, more
    )


def _may_say_more(meta: raw.Meta, spec: raw.ServiceSpec) -> bool:
    """False for most services, which say nothing that only some directives read."""
    said = meta.annotations
    if said is not None and (said.hosts or said.internal_hosts):
        return True
    return spec.traffic_distribution is not None or spec.type not in _INSIDE


def slice_(given: raw.RawSlice | raw.RawWideSlice) -> Slice | None:
    """An endpoint slice; None when it belongs to no service."""
    meta = given.metadata or raw.Meta()
    where, name = fields.identity(meta, fields.name)
    labels = meta.labels or {}
    owner, cluster = labels.get(SERVICE_LABEL), ""
    if IMPORT_LABEL in labels:
        owner = labels[IMPORT_LABEL]
        cluster = fields.label(labels.get(CLUSTER_LABEL), f"$.metadata.labels['{CLUSTER_LABEL}']")
    if not owner:
        return None
    width = _WIDTHS.get(given.address_type or "")
    if width is None:
        raise ValueError(fields.wrong("IPv4, IPv6 or FQDN", given.address_type, "$.addressType"))
    listed: list[Any] = list(given.endpoints or ()) if width else []  # Any: wide ones or not
    packed, unready, hostnames, pods, zones = columns(listed, width) or _columns(listed, width)
    return Slice(
        where,
        name,
        fields.label(owner, f"$.metadata.labels['{SERVICE_LABEL}']"),
        width,
        packed,
        unready,
        _column(hostnames),
        _column(pods),
        _column(zones),
        tuple(fields.ports(given.ports, "$.ports")),
        cluster,
        meta.resource_version or "",
        fields.labels(meta.labels),
        *(_wide(listed) if isinstance(given, raw.RawWideSlice) else (None, None)),
    )


def _wide(given: list[raw.WideEndpoint]) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The nodes of endpoints, and the zones they are meant for, for each of their addresses."""
    nodes: list[str] = []
    hints: list[str] = []
    for one in given:
        zones = (one.hints.for_zones if one.hints else None) or ()
        hint = intern(",".join(zone.name for zone in zones if zone.name))
        for _ in fields.addresses(one.addresses, "$.endpoints"):
            nodes.append(intern((one.node_name or "").lower()))
            hints.append(hint)
    return _column(nodes), _column(hints)


def endpoints(given: raw.RawEndpoints) -> Endpoints:
    """An Endpoints object."""
    meta = given.metadata or raw.Meta()
    where, name = fields.identity(meta, fields.label)
    subsets = tuple(
        _subset(subset, f"$.subsets[{at}]") for at, subset in enumerate(given.subsets or [])
    )
    return Endpoints(where, name, subsets, meta.resource_version or "")


def pod(given: raw.RawPod) -> PodState:
    """A pod, finished ones included."""
    meta, spec = given.metadata or raw.Meta(), given.spec or raw.PodSpec()
    status = given.status or raw.PodStatus()
    where, name = fields.identity(meta, fields.name)
    return PodState(
        Pod(
            where,
            name,
            tuple(_pod_addresses(status)),
            fields.labels(meta.labels),
            meta.resource_version or "",
        ),
        fields.maybe_label(spec.hostname, "$.spec.hostname"),
        fields.maybe_label(spec.subdomain, "$.spec.subdomain"),
        tuple(_container_ports(spec)),
        _is_ready(status),
        meta.deletion_timestamp is not None,
        status.phase in _FINISHED,
        (spec.node_name or "").lower(),
    )


def service_import(given: raw.RawImport) -> ServiceImport:
    """A service of the cluster set."""
    meta, spec = given.metadata or raw.Meta(), given.spec or raw.ImportSpec()
    where, name = fields.identity(meta, fields.label)
    return ServiceImport(
        where,
        name,
        tuple(fields.addresses(spec.ips, "$.spec.ips")),
        spec.type == "Headless",
        tuple(fields.ports(spec.ports, "$.spec.ports")),
        meta.resource_version or "",
    )


_KINDS: dict[str, tuple[type[Struct], Callable[[Any], Thing | None]]] = {
    "Namespace": (raw.RawNamespace, namespace),
    "Service": (raw.RawService, service),
    "EndpointSlice": (raw.RawWideSlice, slice_),
    "Endpoints": (raw.RawEndpoints, endpoints),
    "Pod": (raw.RawPod, pod),
    "ServiceImport": (raw.RawImport, service_import),
    "Node": (outer_raw.RawNode, outer_parse.node),
    "Ingress": (outer_raw.RawIngress, outer_parse.ingress),
    "Gateway": (outer_raw.RawGateway, outer_parse.gateway),
    "HTTPRoute": (outer_raw.RawRoute, outer_parse.route),
}  # Any: each function takes its own raw type
_GROUPS = dict.fromkeys(_KINDS, "") | {
    "EndpointSlice": "discovery.k8s.io",
    "ServiceImport": "multicluster.x-k8s.io",
    "Ingress": "networking.k8s.io",
    "Gateway": "gateway.networking.k8s.io",
    "HTTPRoute": "gateway.networking.k8s.io",
}


def _external(text: str | None) -> str:
    if not text or text == ".":
        raise ValueError(fields.wrong("a DNS name", text, "$.spec.externalName"))
    return fields.host(text, "$.spec.externalName")


def _cluster_ips(spec: raw.ServiceSpec) -> tuple[tuple[bytes, ...], bool]:
    first = spec.cluster_ips[0] if spec.cluster_ips else spec.cluster_ip
    if first == "None":
        return (), True
    if first and not spec.cluster_ips:
        return (fields.address(first, "$.spec.clusterIP"),), False
    return tuple(fields.addresses(spec.cluster_ips, "$.spec.clusterIPs")), False


def _ingress(given: raw.RawService) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """The external addresses and hosts."""
    spec, status = given.spec or raw.ServiceSpec(), given.status or raw.ServiceStatus()
    if not (spec.external_ips or (status.load_balancer and status.load_balancer.ingress)):
        return (), ()
    balancer = (status.load_balancer or raw.LoadBalancer()).ingress or []
    path = "$.status.loadBalancer.ingress"
    addresses = [*fields.addresses(spec.external_ips, "$.spec.externalIPs")]
    addresses += [
        fields.address(one.ip, f"{path}[{at}].ip") for at, one in enumerate(balancer) if one.ip
    ]
    hosts = [
        fields.host(one.hostname, f"{path}[{at}].hostname")
        for at, one in enumerate(balancer)
        if one.hostname
    ]
    return tuple(dict.fromkeys(addresses)), tuple(hosts)


def _families(
    spec: raw.ServiceSpec, addresses: tuple[bytes, ...], *, is_headless: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The families of a service's endpoints, and those it lacks a ClusterIP of.

    A service that has an address and only prefers two is complete: so print clusters of one family.
    """
    named = []
    for at, family in enumerate(spec.ip_families or []):
        width = _WIDTHS.get(family)
        if not width:
            raise ValueError(fields.wrong("IPv4 or IPv6", family, f"$.spec.ipFamilies[{at}]"))
        named.append(width)
    has = [len(address) for address in addresses]
    fresh = spec.ip_family_policy == "PreferDualStack" and not (has or is_headless)
    if spec.ip_family_policy == "RequireDualStack" or fresh or (is_headless and not named):
        named += [4, 16] if (named or has or [4])[0] == 4 else [16, 4]
    families = tuple(dict.fromkeys(named or has or [4]))
    whole = is_headless or (has and spec.ip_family_policy != "RequireDualStack")
    return families, () if whole else tuple(f for f in families if f not in has)


def _targets(given: Iterable[raw.ServicePort], ports: Iterable[Port]) -> Iterable[Target]:
    """Where service ports lead: to their own number unless they say otherwise."""
    for at, (one, port) in enumerate(zip(given, ports, strict=True)):
        target = one.target_port or port.number
        if isinstance(target, str):
            target = target.lower()
        elif target != port.number:
            fields.port(None, target, None, f"$.spec.ports[{at}].targetPort")
        yield Target(port.name, port.protocol, target)


Row = tuple[bytes, bool, str, str, str]


def _columns(given: Iterable[raw.Endpoint], width: int) -> Columns:
    """What `columns` makes, one endpoint after the other."""
    rows = [
        row
        for at, endpoint in enumerate(given)
        for row in _endpoint(endpoint, width, f"$.endpoints[{at}]")
    ]
    return (
        b"".join(row[0] for row in rows),
        frozenset(at for at, row in enumerate(rows) if not row[1]),
        [row[2] for row in rows],
        [row[3] for row in rows],
        [row[4] for row in rows],
    )


def _endpoint(given: raw.Endpoint, width: int, path: str) -> list[Row]:
    """A row for each of its addresses."""
    ready = given.conditions is None or given.conditions.ready is not False
    hostname = fields.label(given.hostname, f"{path}.hostname") if given.hostname else ""
    name = fields.pod_name(given.target_ref, path)
    zone = intern(given.zone[:253]) if given.zone else ""
    rows = []
    for address in fields.addresses(given.addresses, f"{path}.addresses"):
        if len(address) != width:
            raise ValueError(f"an address is not of the slice's type - at `{path}`")
        rows.append((address, ready, hostname, name, zone))
    return rows


def _column(values: list[str]) -> tuple[str, ...] | None:
    return tuple(values) if any(values) else None


def _subset(given: raw.EndpointSubset, path: str) -> Subset:
    addresses = [
        EndpointAddress(
            fields.address(one.ip or "", f"{path}.{field}[{at}].ip"),
            fields.maybe_label(one.hostname, f"{path}.{field}[{at}].hostname"),
            fields.pod_name(one.target_ref, f"{path}.{field}[{at}]"),
            is_ready,
        )
        for field, is_ready, listed in (
            ("addresses", True, given.addresses),
            ("notReadyAddresses", False, given.not_ready_addresses),
        )
        for at, one in enumerate(listed or [])
    ]
    return Subset(tuple(addresses), tuple(fields.ports(given.ports, f"{path}.ports")))


def _pod_addresses(status: raw.PodStatus) -> Iterable[bytes]:
    if status.pod_ips:
        return fields.addresses([one.ip or "" for one in status.pod_ips], "$.status.podIPs")
    return [fields.address(status.pod_ip, "$.status.podIP")] if status.pod_ip else []


def _container_ports(spec: raw.PodSpec) -> Iterable[Port]:
    """The named ports of containers and of sidecars, which are init containers that stay."""
    sidecars = [one for one in spec.init_containers or [] if one.restart_policy == "Always"]
    for container in (spec.containers or []) + sidecars:
        for port in container.ports or []:
            if port.name and port.container_port:
                path = "$.spec.containers"
                yield fields.port(port.name, port.container_port, port.protocol, path)


def _is_ready(status: raw.PodStatus) -> bool:
    """By its Ready condition; a pod written by hand with an address and no condition is ready."""
    for condition in status.conditions or []:
        if condition.type == "Ready":
            return condition.status == "True"
    return status.phase in {None, "Running"}
