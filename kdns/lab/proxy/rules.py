"""A Service and its EndpointSlices become rules: address, port and protocol → endpoints.

Pure, and as kube-proxy has them: ready endpoints, or where none is ready those that serve while
they terminate; endpoints by the name of the port, in the order of their addresses, each once. A
rule without endpoints rejects.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
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

OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
AFFINITY_S = 10800
_PROTOCOLS: Mapping[str, Transport] = {"TCP": "TCP", "UDP": "UDP"}

Kind = Literal["ClusterIP", "NodePort", "ExternalIP", "LoadBalancer"]


class Place(NamedTuple):
    """What a client connects to."""

    address: str
    port: int
    protocol: Transport


class Endpoint(NamedTuple):
    """Where a connection goes."""

    address: str
    port: int
    node: str = ""
    is_ready: bool = True
    """Else it terminates, and serves as long as none is ready."""

    @property
    def place(self) -> tuple[str, int]:
        """Its address and port."""
        return self.address, self.port


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
    why: str = ""
    """Why there are none."""
    affinity_s: int = 0
    is_local: bool = False
    """Only endpoints of one node count: of the client's, or (from outside) of the one asked."""
    node: str = ""
    """The node whose address it is."""
    sources: tuple[str, ...] = ()
    """Networks that may ask, where not all may."""

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


def canonical(text: object) -> str:
    """An address in its shortest form; empty for what is none."""
    try:
        return str(ip_address(str(text)))
    except ValueError:
        return ""


def rules_of(service: Obj, slices: Sequence[Obj], nodes: Sequence[NodeAddress] = ()) -> list[Rule]:
    """All rules of a service."""
    if not is_served(service):
        return []
    spec = spec_of(service)
    affinity_s = affinity_of(spec)
    made = []
    for port in spec.get("ports") or ():
        protocol = _PROTOCOLS.get(port.get("protocol", "TCP"))
        if protocol is None:
            continue
        name = port.get("name") or ""
        known: dict[str, tuple[Endpoint, ...]] = {}
        for kind, address, number, node in _places(service, port, nodes):
            family = _family(address)
            if family not in known:
                known[family] = members_of(slices, name, protocol, family)
            members = known[family]
            policy = "internal" if kind == "ClusterIP" else "external"
            rule = Rule(
                Place(address, number, protocol),
                kind,
                key_of(service),
                name,
                members,
                "" if members else why_none(slices, name, protocol, family),
                affinity_s,
                spec.get(f"{policy}TrafficPolicy") == "Local",
                node,
                tuple(spec.get("loadBalancerSourceRanges") or ()) if kind == "LoadBalancer" else (),
            )
            made.append(rule)
    return made


def affinity_of(spec: Obj) -> int:
    """For how many seconds a client stays with its endpoint; 0: it does not."""
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(client.get("timeoutSeconds") or AFFINITY_S)


def _places(
    service: Obj, port: Obj, nodes: Sequence[NodeAddress]
) -> Iterator[tuple[Kind, str, int, str]]:
    """Kind, address, port and perhaps the node of each place where a port is asked."""
    spec, number = spec_of(service), int(port["port"])
    clusters = [canonical(one) for one in spec.get("clusterIPs") or [spec.get("clusterIP")]]
    for address in filter(None, clusters):
        yield "ClusterIP", address, number, ""
    for address in filter(None, map(canonical, spec.get("externalIPs") or ())):
        yield "ExternalIP", address, number, ""
    for point in (status_of(service).get("loadBalancer") or {}).get("ingress") or ():
        address = canonical(point.get("ip"))
        if address and point.get("ipMode") != "Proxy":
            yield "LoadBalancer", address, number, ""
    families = {_family(address) for address in clusters if address}
    for node, address in nodes if port.get("nodePort") else ():
        if _family(address) in families:
            yield "NodePort", address, int(port["nodePort"]), node


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def members_of(
    slices: Iterable[Obj], name: str, protocol: str, family: str
) -> tuple[Endpoint, ...]:
    """The endpoints of one port that may be used, each once."""
    found: dict[tuple[str, int], Endpoint] = {}
    for one in slices:
        if one.get("addressType") != family:
            continue
        numbers = [int(port["port"]) for port in _ports(one, name, protocol) if port.get("port")]
        for endpoint in one.get("endpoints") or ():
            for number in numbers:
                if member := _member(endpoint, number):
                    old = found.get(member.place)
                    found[member.place] = _better(old, member) if old else member
    return tuple(sorted(found.values(), key=lambda one: (ip_address(one.address), one.port)))


def _better(one: Endpoint, other: Endpoint) -> Endpoint:
    return max(one, other, key=lambda this: (this.is_ready, this.node))


def _ports(one: Obj, name: str, protocol: str) -> Iterator[Obj]:
    for port in one.get("ports") or ():
        if (port.get("name") or "") == name and (port.get("protocol") or "TCP") == protocol:
            yield port


def _member(endpoint: Obj, number: int) -> Endpoint | None:
    """An endpoint as it is used; the first of its addresses stands for all."""
    address = canonical(next(iter(endpoint.get("addresses") or ()), ""))
    conditions = endpoint.get("conditions") or {}
    is_ready = conditions.get("ready") is not False
    serves = conditions.get("serving", is_ready) is not False and conditions.get("terminating")
    if not address or not (is_ready or serves):
        return None
    return Endpoint(address, number, endpoint.get("nodeName") or "", is_ready)


def why_none(slices: Sequence[Obj], name: str, protocol: str, family: str) -> str:
    """Why a port has no endpoints, as a clause."""
    ours = [one for one in slices if one.get("addressType") == family]
    count = sum(len(one.get("endpoints") or ()) for one in ours)
    if not count:
        others = any(one.get("endpoints") for one in slices)
        return f"it has none for {family}" if others else "no pod is selected, or none is written"
    fitting = [one for one in ours if any(_ports(one, name, protocol))]
    if not fitting:
        called = f"named {name} " if name else "without a name "
        return f"none of its {count} endpoints has a port {called}for {protocol}"
    return "its endpoint is not ready" if count == 1 else f"none of its {count} is ready"
