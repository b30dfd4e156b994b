"""Kubernetes JSON as it comes: msgspec Structs of just the fields that answers need.

Unknown fields are skipped by the decoder. Every field may be null or missing: the API prints both,
and people write both. Enumerations are plain text, so a value of tomorrow is no error. What these
become, and every check of their content, stands in parse.py.
"""

from typing import Any

from msgspec import Struct, field


class Raw(Struct, rename="camel", gc=False):
    """The base of all raw types."""


class Annotations(Raw):
    """The annotations that are read, all others are skipped."""

    trigger: str | None = field(
        default=None, name="endpoints.kubernetes.io/last-change-trigger-time"
    )
    """When what a slice shows happened to its service or pods."""
    ends_list: str | None = field(default=None, name="k8s.io/initial-events-end")
    """On a bookmark: all that existed has been sent."""
    hosts: str | None = field(default=None, name="external-dns.alpha.kubernetes.io/hostname")
    """Names that a service is to have."""
    internal_hosts: str | None = field(
        default=None, name="external-dns.alpha.kubernetes.io/internal-hostname"
    )
    ttl: str | int | None = field(default=None, name="external-dns.alpha.kubernetes.io/ttl")
    search_path: str | None = field(default=None, name="kdns.io/search-path")
    """Of a namespace: `plain` keeps `autopath` from walking for its pods."""


class Meta(Raw):
    """metadata."""

    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str | None] | None = None
    resource_version: str | None = None
    annotations: Annotations | None = None
    deletion_timestamp: Any = None  # Any: only its presence counts


class ServicePort(Raw):
    """A port of a Service or ServiceImport."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    target_port: int | str | None = None
    node_port: int | None = None


class ServiceSpec(Raw):
    """spec of a Service."""

    type: str | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = field(default=None, name="clusterIPs")
    external_ips: list[str] | None = field(default=None, name="externalIPs")
    external_name: str | None = None
    selector: dict[str, str | None] | None = None
    ports: list[ServicePort] | None = None
    ip_families: list[str] | None = None
    ip_family_policy: str | None = None
    publish_not_ready_addresses: bool | None = None
    external_traffic_policy: str | None = None
    traffic_distribution: str | None = None


class Ingress(Raw):
    """One address of a load balancer."""

    ip: str | None = None
    hostname: str | None = None


class LoadBalancer(Raw):
    """status.loadBalancer of a Service."""

    ingress: list[Ingress] | None = None


class ServiceStatus(Raw):
    """status of a Service."""

    load_balancer: LoadBalancer | None = None


class Reference(Raw):
    """The object behind an endpoint."""

    kind: str | None = None
    name: str | None = None


class Conditions(Raw):
    """What a slice says of an endpoint."""

    ready: bool | None = None


class Endpoint(Raw):
    """An endpoint of a slice."""

    addresses: list[str] | None = None
    conditions: Conditions | None = None
    hostname: str | None = None
    target_ref: Reference | None = None
    zone: str | None = None


class HintedZone(Raw):
    """A zone that an endpoint is meant for."""

    name: str | None = None


class Hints(Raw):
    """Whom an endpoint is meant for."""

    for_zones: list[HintedZone] | None = None


class WideEndpoint(Endpoint):
    """An endpoint with what only is read where nodes are watched."""

    node_name: str | None = None
    hints: Hints | None = None


class EndpointAddress(Raw):
    """An address of an Endpoints object."""

    ip: str | None = None
    hostname: str | None = None
    target_ref: Reference | None = None


class EndpointSubset(Raw):
    """A subset of an Endpoints object."""

    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None
    ports: list[ServicePort] | None = None


class ContainerPort(Raw):
    """A port that a container names."""

    name: str | None = None
    container_port: int | None = None
    protocol: str | None = None


class Container(Raw):
    """A container of a pod."""

    ports: list[ContainerPort] | None = None
    restart_policy: str | None = None


class PodSpec(Raw):
    """spec of a Pod."""

    node_name: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None


class PodAddress(Raw):
    """One of status.podIPs."""

    ip: str | None = None


class PodCondition(Raw):
    """One of a pod's conditions."""

    type: str | None = None
    status: str | None = None


class PodStatus(Raw):
    """status of a Pod."""

    phase: str | None = None
    pod_ip: str | None = field(default=None, name="podIP")
    pod_ips: list[PodAddress] | None = field(default=None, name="podIPs")
    conditions: list[PodCondition] | None = None


class ImportSpec(Raw):
    """spec of a ServiceImport."""

    type: str | None = None
    ips: list[str] | None = None
    ports: list[ServicePort] | None = None


class RawNamespace(Raw):
    """v1 Namespace."""

    metadata: Meta | None = None


class RawService(Raw):
    """v1 Service."""

    metadata: Meta | None = None
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None


class RawSlice(Raw):
    """discovery.k8s.io/v1 EndpointSlice."""

    metadata: Meta | None = None
    address_type: str | None = None
    endpoints: list[Endpoint] | None = None
    ports: list[ServicePort] | None = None


class RawWideSlice(Raw):
    """The same with wide endpoints."""

    metadata: Meta | None = None
    address_type: str | None = None
    endpoints: list[WideEndpoint] | None = None
    ports: list[ServicePort] | None = None


class RawEndpoints(Raw):
    """v1 Endpoints."""

    metadata: Meta | None = None
    subsets: list[EndpointSubset] | None = None


class RawPod(Raw):
    """v1 Pod."""

    metadata: Meta | None = None
    spec: PodSpec | None = None
    status: PodStatus | None = None


class RawImport(Raw):
    """multicluster.x-k8s.io ServiceImport."""

    metadata: Meta | None = None
    spec: ImportSpec | None = None
