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

    @property
    def key(self) -> str:
        """namespace/service."""
        return f"{self.namespace}/{self.service}"


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
