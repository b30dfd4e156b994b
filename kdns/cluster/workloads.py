"""What the endpoint controller and the address allocation read: services as specified, pods as run.

They go beyond objects.py by what only somebody without a control plane must know.
"""

from msgspec import Struct

from kdns.cluster.objects import Pod, Port, Service


class Target(Struct, frozen=True, gc=False):
    """A service port and where it leads: a number, or the name of a container's port."""

    name: str
    protocol: str
    target: int | str


class ServiceSpec(Struct, frozen=True, gc=False):
    """A service with what its endpoints are made from."""

    service: Service
    selector: tuple[tuple[str, str], ...] = ()
    """Empty when nobody but its author makes its endpoints."""
    targets: tuple[Target, ...] = ()
    families: tuple[int, ...] = (4,)
    """Octets an address, the first family first; which ones its endpoints have."""
    shows_unready: bool = False
    lacks: tuple[int, ...] = ()
    """Families of which it should have a ClusterIP but names none."""


class PodState(Struct, frozen=True, gc=False):
    """A pod as the endpoint controller sees it."""

    pod: Pod
    hostname: str = ""
    subdomain: str = ""
    ports: tuple[Port, ...] = ()
    is_ready: bool = False
    is_terminating: bool = False
    is_finished: bool = False
    node: str = ""

    @property
    def is_gone(self) -> bool:
        """True for a pod that DNS no longer knows."""
        return self.is_finished or self.is_terminating


class EndpointAddress(Struct, frozen=True, gc=False):
    """An address of an Endpoints object."""

    address: bytes
    hostname: str = ""
    pod: str = ""
    is_ready: bool = True


class Subset(Struct, frozen=True, gc=False):
    """Addresses that share ports."""

    addresses: tuple[EndpointAddress, ...]
    ports: tuple[Port, ...]


class Endpoints(Struct, frozen=True, gc=False):
    """A v1 Endpoints object."""

    namespace: str
    name: str
    subsets: tuple[Subset, ...] = ()
    version: str = ""
