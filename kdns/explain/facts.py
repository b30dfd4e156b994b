"""What an explanation may know of a cluster: objects as operators read them, and what is unknown.

Unlike the Store, which keeps what answers are made from, these say why an answer is what it is:
labels, probes, conditions, times. Facts are a value: who gathers them (explain.gather…) is another.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PortFact:
    """A port of a service, slice or container."""

    name: str = ""
    number: int = 0
    protocol: str = "TCP"
    target: str = ""
    """targetPort of a service as written, a number or a name; empty when not said."""
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class ServiceFact:
    """A Service."""

    namespace: str
    name: str
    type: str = "ClusterIP"
    addresses: tuple[str, ...] = ()
    """clusterIPs; `("None",)` when headless."""
    selector: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PortFact, ...] = ()
    external_name: str = ""
    external_addresses: tuple[str, ...] = ()
    """externalIPs and those of the load balancer."""
    publishes_unready: bool = False
    created: str = ""
    """RFC 3339, as are all times here; empty when not said."""


@dataclass(frozen=True, slots=True)
class EndpointFact:
    """One endpoint of a slice."""

    addresses: tuple[str, ...]
    is_ready: bool = True
    is_serving: bool = True
    is_terminating: bool = False
    hostname: str = ""
    pod: str = ""
    node: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class SliceFact:
    """An EndpointSlice, or an Endpoints object."""

    namespace: str
    name: str
    service: str
    endpoints: tuple[EndpointFact, ...] = ()
    ports: tuple[PortFact, ...] = ()
    address_type: str = "IPv4"
    managed_by: str = ""
    """endpointslice.kubernetes.io/managed-by."""
    triggered: str = ""
    """endpoints.kubernetes.io/last-change-trigger-time."""
    written: str = ""
    """When it was last written, of managedFields; empty when not said."""
    kind: str = "EndpointSlice"
    """Or `Endpoints`, read where a service has no slices."""


@dataclass(frozen=True, slots=True)
class ConditionFact:
    """A condition of a pod: Ready, ContainersReady, PodScheduled, …"""

    type: str
    status: str
    since: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ContainerFact:
    """A container and what is known of its state."""

    name: str
    ports: tuple[PortFact, ...] = ()
    is_ready: bool = False
    state: str = ""
    """`running`, `waiting: CrashLoopBackOff`, `terminated: Completed` …"""
    restarts: int = 0
    readiness: str = ""
    """Its readiness probe in words: `httpGet :8080/healthz every 10 s`; empty without one."""
    is_init: bool = False
    """One of initContainers; a sidecar, too."""


@dataclass(frozen=True, slots=True)
class PodFact:
    """A Pod."""

    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    phase: str = ""
    conditions: tuple[ConditionFact, ...] = ()
    containers: tuple[ContainerFact, ...] = ()
    hostname: str = ""
    subdomain: str = ""
    node: str = ""
    host_network: bool = False
    dns_policy: str = "ClusterFirst"
    nameservers: tuple[str, ...] = ()
    """Of dnsConfig, as are the next two."""
    searches: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    deleted: str = ""
    """deletionTimestamp."""
    created: str = ""

    @property
    def is_ready(self) -> bool:
        """By its Ready condition; one written by hand, without conditions, is when it may run."""
        for condition in self.conditions:
            if condition.type == "Ready":
                return condition.status == "True"
        return self.phase in {"", "Running"}


@dataclass(frozen=True, slots=True)
class NamespaceFact:
    """A Namespace."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    is_terminating: bool = False


@dataclass(frozen=True, slots=True)
class PolicyFact:
    """A NetworkPolicy, its spec as the API writes it."""

    namespace: str
    name: str
    spec: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerFact:
    """What a kdns says of itself; all empty for another server, or without one."""

    is_kdns: bool = False
    has_synced: bool = True
    stale_s: float = 0.0
    """How old its data is, once it has lost the API server or long heard nothing: the time since
    it last did. 0 where its data is fresh, or of a snapshot, whose age is not known."""
    is_restored: bool = False
    """It serves a snapshot."""
    failure: str = ""
    """What is wrong with its API connection."""
    is_silent: bool = False
    """Watches are open but nothing comes, bookmarks neither."""
    applied: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By `namespace/service`: when its last change of endpoints was received, and when applied."""
    zones: tuple[str, ...] = ()
    """Its cluster zones, such as `cluster.local.`."""
    behind: tuple[str, ...] = ()
    """`namespace/service`s in question of which the API server says something else than what it
    answers from: it has not heard yet, or `chosen` leaves them out."""
    chosen: tuple[str, ...] = ()
    """The options that leave a part of the cluster out: `namespaces shop`, `labels app=web` …"""
    pods: str = ""
    """Its option `pods`: disabled, insecure, verified; empty when not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known. A kind that could not be read is in `unknown`, with the reason."""

    zones: tuple[str, ...] = ("cluster.local.",)
    now: str = ""
    """When this was gathered; of a dump, the newest time in it. Empty where manifests name none."""
    namespaces: Mapping[str, NamespaceFact] = field(default_factory=dict)
    services: Mapping[str, ServiceFact] = field(default_factory=dict)
    """By `namespace/name`, of all namespaces: the nearest name may be in another one. Look through
    the keys: inside a server that has 10,000, values are made as they are looked at, and all of
    them would hold its loop for 80 ms. So it is with `slices`."""
    slices: Mapping[str, tuple[SliceFact, ...]] = field(default_factory=dict)
    """By `namespace/service`. No slices is an empty tuple; what is not here was not asked for."""
    pods: Mapping[str, tuple[PodFact, ...]] = field(default_factory=dict)
    """By namespace; one that is not here was not asked for. Those of kube-system are only the
    ones labelled k8s-app=kube-dns, unless a name leads there."""
    policies: Mapping[str, tuple[PolicyFact, ...]] = field(default_factory=dict)
    """By namespace; one that is not here was not asked for."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """`pods` → `403: …`, by the names of the fields above. `selectors`: of services in question
    nothing is known but what DNS serves; an empty selector then means nothing. `triggers`: nor
    what wrote their slices, and when. `other pods`: of a namespace in `pods` only some are there,
    among them all that services in question select."""
    server: ServerFact = field(default_factory=ServerFact)
    only: tuple[str, ...] = ()
    """The namespaces that services are known of; empty for all."""
    derived: frozenset[str] = frozenset()
    """`namespace/service`s whose slices no control plane has made: they are computed of the pods,
    as the server does for manifests."""
    is_of_files: bool = False
    """No API server said it: what is unknown is not in the files."""
    skipped: tuple[str, ...] = ()
    """What could not be read of documents, a line each: `all.yaml: document 3: …`."""
    owner: Callable[[str], str] | None = field(default=None, compare=False)
    """`namespace/service` by ClusterIP, or nothing; None where all have to be looked through."""

    @property
    def names(self) -> Iterator[tuple[str, str]]:
        """Namespace and name of every service."""
        for key in self.services:
            space, _, name = key.partition("/")
            yield space, name

    def service_at(self, address: str) -> ServiceFact | None:
        """The service that has this ClusterIP."""
        if self.owner is not None:
            return self.services.get(self.owner(address))
        return next((one for one in self.services.values() if address in one.addresses), None)
