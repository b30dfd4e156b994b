"""Kubernetes objects cut down to what answers need: compact values that the Store keeps."""

from msgspec import Struct


class Port(Struct, frozen=True, gc=False):
    """A port of a service or slice; `number` is -1 where the object names none (facts B.2)."""

    name: str
    number: int
    protocol: str
    """Lower case: tcp, udp, sctp."""


class Namespace(Struct, frozen=True, gc=False):
    """A namespace that exists."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    version: str = ""
    is_plain: bool = False
    """It asks (`kdns.io/search-path: plain`) that nobody walks the search path of its pods."""


class More(Struct, frozen=True, gc=False):
    """What of a service only some directives read; the Store drops it where none of them stands."""

    node_ports: tuple[int, ...] = ()
    """One for each port, 0 where it has none; empty when none has one."""
    is_local: bool = False
    """externalTrafficPolicy: Local."""
    is_near: bool = False
    """trafficDistribution asks for endpoints near the client."""
    hosts: tuple[str, ...] = ()
    """Names that annotations ask for, for its external addresses."""
    internal_hosts: tuple[str, ...] = ()
    """The same for its ClusterIPs."""
    ttl: int = -1
    """The TTL of those names, -1 where none is said."""


class Service(Struct, frozen=True, gc=False):
    """A service as DNS sees it."""

    namespace: str
    name: str
    addresses: tuple[bytes, ...] = ()
    """Packed ClusterIPs, in order."""
    is_headless: bool = False
    external_name: str = ""
    """Set for type ExternalName only; then there are no addresses."""
    ports: tuple[Port, ...] = ()
    external_addresses: tuple[bytes, ...] = ()
    """Packed external and load balancer addresses."""
    external_hosts: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    version: str = ""
    more: More | None = None

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


class Slice(Struct, frozen=True, gc=False):
    """An EndpointSlice, packed: addresses in one column, names only where there are any.

    Endpoint i has address `addresses[i*width:(i+1)*width]`; the other columns are None when every
    value in them is the usual one (ready, no hostname, no pod, no zone).
    """

    namespace: str
    name: str
    service: str
    """The service it belongs to; for a multicluster slice the imported service's name."""
    width: int
    """4 or 16 octets an address; 0 for the address type FQDN, which answers nothing."""
    addresses: bytes = b""
    unready: frozenset[int] = frozenset()
    hostnames: tuple[str, ...] | None = None
    pods: tuple[str, ...] | None = None
    """Target pod names."""
    zones: tuple[str, ...] | None = None
    ports: tuple[Port, ...] = ()
    cluster: str = ""
    """Source cluster of a multicluster slice."""
    version: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """Read once, by the selector; the Store drops them."""
    nodes: tuple[str, ...] | None = None
    """The nodes that endpoints are on; read only where nodes are watched, as are hints."""
    hints: tuple[str, ...] | None = None
    """The zones each endpoint is meant for, joined by commas."""

    @property
    def key(self) -> str:
        """namespace/service."""
        return f"{self.namespace}/{self.service}"

    @property
    def count(self) -> int:
        """How many endpoints it has."""
        return len(self.addresses) // self.width if self.width else 0

    def address(self, at: int) -> bytes:
        """The packed address of an endpoint."""
        return self.addresses[at * self.width : (at + 1) * self.width]

    def find(self, address: bytes) -> list[int]:
        """The endpoints that have this address."""
        width, addresses = self.width, self.addresses
        at = addresses.find(address) if len(address) == width else -1
        found = []
        while at >= 0:
            if at % width == 0:
                found.append(at // width)
            at = addresses.find(address, at + 1)
        return found

    def is_ready(self, at: int) -> bool:
        """True when an endpoint is answered."""
        return at not in self.unready

    def hostname(self, at: int) -> str:
        """The hostname of an endpoint, empty without one."""
        return self.hostnames[at] if self.hostnames else ""

    def pod(self, at: int) -> str:
        """The name of an endpoint's pod, empty without one."""
        return self.pods[at] if self.pods else ""

    def zone(self, at: int) -> str:
        """The topology zone of an endpoint, empty without one."""
        return self.zones[at] if self.zones else ""

    def node(self, at: int) -> str:
        """The node of an endpoint, empty where it is not known."""
        return self.nodes[at] if self.nodes else ""

    def hint(self, at: int) -> str:
        """The zones an endpoint is meant for, empty without any."""
        return self.hints[at] if self.hints else ""


class Pod(Struct, frozen=True, gc=False):
    """A pod that has not finished; only watched for `pods verified` and the like."""

    namespace: str
    name: str
    addresses: tuple[bytes, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    version: str = ""


class ServiceImport(Struct, frozen=True, gc=False):
    """A service of the cluster set (MCS-API)."""

    namespace: str
    name: str
    addresses: tuple[bytes, ...] = ()
    is_headless: bool = False
    ports: tuple[Port, ...] = ()
    version: str = ""

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


class Node(Struct, frozen=True, gc=False):
    """A machine of the cluster."""

    name: str
    addresses: tuple[bytes, ...] = ()
    """The internal ones, or those it has instead."""
    is_ready: bool = False
    zone: str = ""
    nets: tuple[tuple[bytes, int], ...] = ()
    """The nets of its pods: packed address and prefix length."""
    version: str = ""


class Ingress(Struct, frozen=True, gc=False):
    """An Ingress, as far as it has hosts and is reached somewhere."""

    namespace: str
    name: str
    hosts: tuple[str, ...] = ()
    addresses: tuple[bytes, ...] = ()
    targets: tuple[str, ...] = ()
    """Names it is reached at."""
    version: str = ""

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


class Gateway(Struct, frozen=True, gc=False):
    """A Gateway (Gateway API); `hosts` are those of its listeners."""

    namespace: str
    name: str
    hosts: tuple[str, ...] = ()
    addresses: tuple[bytes, ...] = ()
    targets: tuple[str, ...] = ()
    version: str = ""

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


class Route(Struct, frozen=True, gc=False):
    """An HTTPRoute: hosts that are reached at the gateways it is attached to."""

    namespace: str
    name: str
    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    """By namespace/name."""
    version: str = ""

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


Object = Namespace | Service | Slice | Pod | ServiceImport | Node | Ingress | Gateway | Route

KINDS: tuple[type[Object], ...] = (
    Namespace, Service, Slice, Pod, ServiceImport, Node, Ingress, Gateway, Route,
)  # fmt: skip
"""A number of a kind, wherever one is written, is its place in here."""
