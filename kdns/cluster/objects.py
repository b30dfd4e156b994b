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


Object = Namespace | Service | Slice | Pod | ServiceImport
