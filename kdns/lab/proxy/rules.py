"""A Service and its EndpointSlices become rules: address, port and protocol → endpoints.

Pure, and as kube-proxy has them: ready endpoints, or where none is ready those that serve while
they terminate; endpoints by the name of the port. A rule without endpoints rejects.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from kdns.lab.controllers.bodies import (
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kdns.lab.controllers.slices import HEADLESS, SERVICE_NAME
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Transport
from kdns.lab.proxy.slices import Endpoint, Port, Slices, canonical

OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
AFFINITY_S = 10800
_PROTOCOLS: Mapping[str, Transport] = {"TCP": "TCP", "UDP": "UDP"}

Kind = Literal["ClusterIP", "NodePort", "ExternalIP", "LoadBalancer"]


class Place(NamedTuple):
    """What a client connects to."""

    address: str
    port: int
    protocol: Transport


class NodeAddress(NamedTuple):
    """One address of a node."""

    node: str
    address: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of connections to one place."""

    place: Place
    kind: Kind
    service: str
    """`namespace/name`."""
    port: str
    """Its name in the service, if it has one."""
    members: tuple[Endpoint, ...]
    """Of all nodes: those that are ready, and those that terminate and still serve."""
    nth: tuple[int, int] = field(default=(0, 0), compare=False)
    """Which port of its service, and which place of that, it is."""
    affinity_s: int = 0
    is_local: bool = False
    """Only endpoints of one node count: of the client's, or (from outside) of the one asked."""
    node: str = ""
    """The node whose address it is."""
    sources: tuple[str, ...] = ()
    """Networks that may ask, where not all may."""

    @property
    def family(self) -> str:
        """Of its address, as slices write it."""
        return _family(self.place.address)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those that are used, on whatever node."""
        return usable(self.members)

    @property
    def is_from_outside(self) -> bool:
        """True for all places but the ClusterIP."""
        return self.kind != "ClusterIP"

    def reached_from(self, node: str) -> tuple[Endpoint, ...]:
        """The endpoints for a client on a node of the cluster, or ("") for one outside of it.

        kube-proxy: to a place for clients outside, pods go as if by the load balancer, so that
        `externalTrafficPolicy: Local` is not for them. A load balancer asks nodes with endpoints.
        """
        counts = (self.node if not node else "") if self.is_from_outside else node
        if not self.is_local or not counts:
            return self.endpoints
        return usable(one for one in self.members if one.node == counts)


def usable(members: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """The ready ones, or all (they serve, and terminate) where none is."""
    found = tuple(members)
    return tuple(one for one in found if one.is_ready) or found


def is_served(service: Obj) -> bool:
    """True for a service that is kube-proxy's business, and the default one's."""
    labels, spec = labels_of(service), spec_of(service)
    if OTHER_PROXY in labels or HEADLESS in labels or spec.get("type") == "ExternalName":
        return False
    return spec.get("clusterIP", "") not in {"", "None"}


def service_of(one: Obj) -> str:
    """The `namespace/name` of a slice's service; empty where it has none."""
    named = labels_of(one).get(SERVICE_NAME)
    is_ours = named and HEADLESS not in labels_of(one) and OTHER_PROXY not in labels_of(one)
    return f"{namespace_of(one)}/{named}" if is_ours else ""


def key_of(service: Obj) -> str:
    """`namespace/name`."""
    return f"{namespace_of(service)}/{name_of(service)}"


def addresses_of(nodes: Iterable[Obj]) -> tuple[NodeAddress, ...]:
    """The addresses at which node ports are asked."""
    return tuple(
        NodeAddress(name_of(node), address)
        for node in nodes
        for one in status_of(node).get("addresses") or ()
        if one.get("type") in {"InternalIP", "ExternalIP"}
        and (address := canonical(one.get("address")))
    )


def rules_of(
    service: Obj,
    slices: Slices,
    nodes: Sequence[NodeAddress] = (),
    wanted: Container[Port] | None = None,
) -> list[Rule]:
    """The rules of a service, or of those of its ports that are wanted."""
    if not is_served(service):
        return []
    spec = spec_of(service)
    stands = list(_stands(service))
    families = {_family(address) for kind, address in stands if kind == "ClusterIP"}
    on_nodes = [one for one in nodes if _family(one.address) in families]
    made: list[Rule] = []
    for nth, port in enumerate(spec.get("ports") or ()):
        if (wanted is None or port_of(port) in wanted) and port_of(port)[1] in _PROTOCOLS:
            places = _places(port, stands, on_nodes)
            made += _rules_at(places, _Shared(service, slices, port_of(port), nth))
    return made


class _Shared(NamedTuple):
    """What the rules of one port have in common."""

    service: Obj
    slices: Slices
    port: Port
    nth: int


def _rules_at(places: Iterable[tuple[Kind, Place, str]], shared: _Shared) -> Iterator[Rule]:
    spec, key = spec_of(shared.service), key_of(shared.service)
    affinity_s = affinity_of(spec)
    known: dict[str, tuple[Endpoint, ...]] = {}
    for nth, (kind, place, node) in enumerate(places):
        family = _family(place.address)
        if family not in known:
            known[family] = shared.slices.members(shared.port, family)
        policy = "internal" if kind == "ClusterIP" else "external"
        yield Rule(
            place,
            kind,
            key,
            shared.port[0],
            known[family],
            (shared.nth, nth),
            affinity_s,
            spec.get(f"{policy}TrafficPolicy") == "Local",
            node,
            tuple(spec.get("loadBalancerSourceRanges") or ()) if kind == "LoadBalancer" else (),
        )


def port_of(port: Obj) -> Port:
    """By what a port of a service is known in its slices."""
    return port.get("name") or "", port.get("protocol", "TCP")


def affinity_of(spec: Obj) -> int:
    """For how many seconds a client stays with its endpoint; 0: it does not."""
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(client.get("timeoutSeconds") or AFFINITY_S)


def _stands(service: Obj) -> Iterator[tuple[Kind, str]]:
    """Kind and address of each place but those of nodes."""
    spec = spec_of(service)
    clusters = [canonical(one) for one in spec.get("clusterIPs") or [spec.get("clusterIP")]]
    for address in filter(None, clusters):
        yield "ClusterIP", address
    for address in filter(None, map(canonical, spec.get("externalIPs") or ())):
        yield "ExternalIP", address
    for point in (status_of(service).get("loadBalancer") or {}).get("ingress") or ():
        address = canonical(point.get("ip"))
        if address and point.get("ipMode") != "Proxy":
            yield "LoadBalancer", address


def _places(
    port: Obj, stands: Iterable[tuple[Kind, str]], nodes: Iterable[NodeAddress]
) -> Iterator[tuple[Kind, Place, str]]:
    """Kind, place and perhaps the node of each place where a port is asked."""
    protocol = _PROTOCOLS[port_of(port)[1]]
    for kind, address in stands:
        yield kind, Place(address, int(port["port"]), protocol), ""
    for node, address in nodes if port.get("nodePort") else ():
        yield "NodePort", Place(address, int(port["nodePort"]), protocol), node


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"
