"""Kubernetes JSON as it comes, with what only an explanation reads: probes, conditions, times.

As in cluster.raw, every field may be null or missing and what is not named here is skipped.
"""

from typing import Any

from msgspec import field

from kdns.cluster import raw
from kdns.cluster.raw import Raw


class Annotations(Raw):
    """The one annotation that is read."""

    trigger: str | None = field(
        default=None, name="endpoints.kubernetes.io/last-change-trigger-time"
    )


class Managed(Raw):
    """One of managedFields: who wrote, and when."""

    time: str | None = None


class Meta(Raw):
    """metadata."""

    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str | None] | None = None
    annotations: Annotations | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    managed_fields: list[Managed] | None = None


class NamespaceStatus(Raw):
    """status of a Namespace."""

    phase: str | None = None


class Namespace(Raw):
    """v1 Namespace."""

    metadata: Meta | None = None
    status: NamespaceStatus | None = None


class Service(Raw):
    """v1 Service."""

    metadata: Meta | None = None
    spec: raw.ServiceSpec | None = None
    status: raw.ServiceStatus | None = None


class Conditions(Raw):
    """What a slice says of an endpoint."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Raw):
    """An endpoint of a slice."""

    addresses: list[str] | None = None
    conditions: Conditions | None = None
    hostname: str | None = None
    target_ref: raw.Reference | None = None
    node_name: str | None = None
    zone: str | None = None


class Slice(Raw):
    """discovery.k8s.io/v1 EndpointSlice."""

    metadata: Meta | None = None
    address_type: str | None = None
    endpoints: list[Endpoint] | None = None
    ports: list[raw.ServicePort] | None = None


class EndpointAddress(raw.EndpointAddress):
    """An address of an Endpoints object."""

    node_name: str | None = None


class Subset(Raw):
    """A subset of an Endpoints object."""

    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None
    ports: list[raw.ServicePort] | None = None


class Endpoints(Raw):
    """v1 Endpoints."""

    metadata: Meta | None = None
    subsets: list[Subset] | None = None


class HttpGet(Raw):
    """A probe that asks for a page."""

    path: str | None = None
    port: int | str | None = None
    scheme: str | None = None
    host: str | None = None


class PortProbe(Raw):
    """A probe that connects: tcpSocket, or grpc with its service."""

    port: int | str | None = None
    service: str | None = None


class Exec(Raw):
    """A probe that runs a command."""

    command: list[str] | None = None


class Probe(Raw):
    """A readiness probe."""

    http_get: HttpGet | None = None
    tcp_socket: PortProbe | None = None
    grpc: PortProbe | None = None
    command: Exec | None = field(default=None, name="exec")
    period_seconds: int | None = None


class Container(Raw):
    """A container of a pod."""

    name: str | None = None
    ports: list[raw.ContainerPort] | None = None
    readiness_probe: Probe | None = None


class Cause(Raw):
    """Why a container waits or has ended."""

    reason: str | None = None
    exit_code: int | None = None


class State(Raw):
    """The state of a container; one of these."""

    running: Any = None  # Any: only its presence counts
    waiting: Cause | None = None
    terminated: Cause | None = None


class ContainerStatus(Raw):
    """What the kubelet says of a container."""

    name: str | None = None
    ready: bool | None = None
    restart_count: int | None = None
    state: State | None = None


class Option(Raw):
    """An option of dnsConfig."""

    name: str | None = None
    value: str | None = None


class DnsConfig(Raw):
    """What a pod's resolv.conf is to have."""

    nameservers: list[str] | None = None
    searches: list[str] | None = None
    options: list[Option] | None = None


class PodSpec(Raw):
    """spec of a Pod."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    node_name: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    host_network: bool | None = None
    dns_policy: str | None = None
    dns_config: DnsConfig | None = None


class PodCondition(raw.PodCondition):
    """A condition of a pod."""

    last_transition_time: str | None = None
    reason: str | None = None
    message: str | None = None


class PodStatus(Raw):
    """status of a Pod."""

    phase: str | None = None
    pod_ip: str | None = field(default=None, name="podIP")
    pod_ips: list[raw.PodAddress] | None = field(default=None, name="podIPs")
    conditions: list[PodCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Pod(Raw):
    """v1 Pod."""

    metadata: Meta | None = None
    spec: PodSpec | None = None
    status: PodStatus | None = None


class Policy(Raw):
    """networking.k8s.io/v1 NetworkPolicy."""

    metadata: Meta | None = None
    spec: dict[str, Any] | None = None  # Any: kept as the API writes it
