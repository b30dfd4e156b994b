"""The endpoint controller as a pure function: services and pods, or Endpoints, become slices.

For sources without a control plane behind them. It follows the controllers of Kubernetes: pods
without an address or that have finished are no endpoints, a terminating pod is an unready one, and
a hostname counts only in the service that the pod names as its subdomain. A slice has at most
MAX_ENDPOINTS of one family and one set of ports. Which slice an endpoint is in follows from its
name alone (slices split by the bits of its hash), so one pod more or less changes one slice.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from msgspec import Struct

from kdns.cluster.objects import Port, Service, Slice
from kdns.cluster.workloads import Endpoints, PodState, ServiceSpec

MAX_ENDPOINTS = 100

Labels = tuple[tuple[str, str], ...]


class Endpoint(Struct, frozen=True, gc=False):
    """One address, before it is packed."""

    address: bytes
    is_ready: bool
    hostname: str
    pod: str
    node: str = ""

    @property
    def name(self) -> str:
        """What no other endpoint of the service is called."""
        return f"{self.pod} {self.hostname} {self.address.hex()}"

    @property
    def hash(self) -> int:
        """64 bits that put it into a slice."""
        return int.from_bytes(blake2b(self.name.encode(), digest_size=8).digest())


class PodIndex:
    """Pods by namespace and label, so that a service need not look at every pod."""

    def __init__(self, pods: Iterable[PodState]) -> None:
        self._by_label: dict[tuple[str, str, str], dict[str, PodState]] = defaultdict(dict)
        for state in pods:
            if state.pod.addresses and not state.is_finished:
                for key, value in state.pod.labels:
                    self._by_label[state.pod.namespace, key, value][state.pod.name] = state

    def matching(self, namespace: str, selector: Labels) -> list[PodState]:
        """The pods that have every label of a selector, by name."""
        found = [self._by_label.get((namespace, key, value), {}) for key, value in selector]
        if not found:
            return []
        least = min(found, key=len)
        names = [name for name in least if all(name in pods for pods in found)]
        return [least[name] for name in sorted(names)]


def select(spec: ServiceSpec, pods: PodIndex) -> list[Slice]:
    """The slices of a service with a selector."""
    service = spec.service
    groups: dict[tuple[int, tuple[Port, ...]], list[Endpoint]] = defaultdict(list)
    for state in pods.matching(service.namespace, spec.selector):
        ports = _ports(spec, state)
        for address in state.pod.addresses:
            if len(address) in spec.families:
                groups[len(address), ports].append(_endpoint(spec, state, address))
    for width in spec.families:
        # The API's controller keeps an empty slice too: scaling to nothing is a Put, no Delete.
        if not any(group[0] == width for group in groups):
            groups[width, ()] = []
    return _slices(service, groups)


def mirror(service: Service, endpoints: Endpoints) -> list[Slice]:
    """The slices of a service whose author wrote its endpoints."""
    groups: dict[tuple[int, tuple[Port, ...]], list[Endpoint]] = defaultdict(list)
    for subset in endpoints.subsets:
        for one in subset.addresses:
            groups[len(one.address), subset.ports].append(
                Endpoint(one.address, one.is_ready, one.hostname, one.pod)
            )
    return _slices(service, groups)


def _endpoint(spec: ServiceSpec, state: PodState, address: bytes) -> Endpoint:
    is_ready = spec.shows_unready or (state.is_ready and not state.is_terminating)
    is_named = state.hostname and state.subdomain == spec.service.name
    return Endpoint(
        address, is_ready, state.hostname if is_named else "", state.pod.name, state.node
    )


def _ports(spec: ServiceSpec, state: PodState) -> tuple[Port, ...]:
    """The service's ports as they are on this pod; one whose name it lacks is left out."""
    ports = []
    for target in spec.targets:
        number = target.target
        if isinstance(number, str):
            number = _named(state, number, target.protocol)
        if number > 0:
            ports.append(Port(target.name, number, target.protocol))
    return tuple(ports)


def _named(state: PodState, name: str, protocol: str) -> int:
    for port in state.ports:
        if port.name == name and port.protocol == protocol:
            return port.number
    return -1


def _slices(
    service: Service, groups: dict[tuple[int, tuple[Port, ...]], list[Endpoint]]
) -> list[Slice]:
    slices = []
    for (width, ports), endpoints in groups.items():
        family = "ipv6" if width == 16 else "ipv4"
        mark = blake2b(repr(ports).encode(), digest_size=4).hexdigest()
        unique = {one.name: one for one in sorted(endpoints, key=lambda one: one.is_ready)}
        for bits, part in _split(list(unique.values()), ""):
            name = f"{service.name}-{family}-{mark}" + (f"-{bits}" if bits else "")
            slices.append(_pack(service, name, width, ports, part))
    return slices


def _split(endpoints: list[Endpoint], bits: str) -> Iterable[tuple[str, list[Endpoint]]]:
    """Halves by one bit of the hash after another until each part fits into a slice."""
    if len(endpoints) <= MAX_ENDPOINTS:
        yield bits, endpoints
        return
    mask = 1 << (63 - len(bits))
    for bit, is_set in ("0", False), ("1", True):
        yield from _split([one for one in endpoints if bool(one.hash & mask) is is_set], bits + bit)


def _pack(
    service: Service, name: str, width: int, ports: tuple[Port, ...], part: Sequence[Endpoint]
) -> Slice:
    ordered = sorted(part, key=lambda one: one.name)
    return Slice(
        service.namespace,
        name,
        service.name,
        width,
        b"".join(one.address for one in ordered),
        frozenset(at for at, one in enumerate(ordered) if not one.is_ready),
        tuple(one.hostname for one in ordered) if any(one.hostname for one in ordered) else None,
        tuple(one.pod for one in ordered) if any(one.pod for one in ordered) else None,
        None,
        ports,
        labels=service.labels,
        nodes=tuple(one.node for one in ordered) if any(one.node for one in ordered) else None,
    )
