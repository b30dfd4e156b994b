"""As parse.py, for what names beyond the cluster are made from: nodes, ingresses, gateways, routes.

And the part of a service that only such names are made from.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from kdns.cluster import fields, outer_raw, raw
from kdns.cluster.objects import Gateway, Ingress, More, Node, Route
from kdns.corefile.values import duration
from kdns.wire import names

ZONE_LABEL = "topology.kubernetes.io/zone"
_OLD_ZONE_LABEL = "failure-domain.beta.kubernetes.io/zone"
_NEAR = frozenset(("PreferClose", "PreferSameZone"))
_NOTHING = More()
_LONGEST_TTL = 2**31 - 1
_GROUP = "gateway.networking.k8s.io"


def more(meta: raw.Meta, spec: raw.ServiceSpec) -> More | None:
    """What only some directives read of a service; None where it says nothing of that."""
    ports = tuple([one.node_port or 0 for one in spec.ports or ()])
    said = meta.annotations
    made = More(
        ports if any(ports) else (),
        spec.external_traffic_policy == "Local",
        spec.traffic_distribution in _NEAR,
        _listed(said.hosts) if said else (),
        _listed(said.internal_hosts) if said else (),
        _ttl(said.ttl) if said else -1,
    )
    return None if made == _NOTHING else made


def _listed(text: str | None) -> tuple[str, ...]:
    """Names with commas between; what is no name is passed over, since it is a mere wish."""
    found = []
    for word in (text or "").split(","):
        host = word.strip().removesuffix(".").lower()
        try:
            is_name = len(names.parse(host)) > 1
        except ValueError:
            continue
        if is_name:
            found.append(host)
    return tuple(dict.fromkeys(found))


def _ttl(given: str | int | None) -> int:
    """Seconds, as a number or a duration."""
    text = str(given or "")
    if text.isascii() and text.isdigit() and len(text) < 11:
        return min(int(text), _LONGEST_TTL)
    try:
        return min(int(duration(0)(text)), _LONGEST_TTL)
    except ValueError:
        return -1


def node(given: outer_raw.RawNode) -> Node:
    """A node."""
    meta, spec = given.metadata or raw.Meta(), given.spec or outer_raw.NodeSpec()
    status = given.status or outer_raw.NodeStatus()
    by_type: dict[str, list[bytes]] = {}
    for at, one in enumerate(status.addresses or ()):
        if one.type in {"InternalIP", "ExternalIP"} and one.address:
            path = f"$.status.addresses[{at}].address"
            by_type.setdefault(one.type, []).append(fields.address(one.address, path))
    labels = meta.labels or {}
    cidrs = spec.pod_cidrs or ([spec.pod_cidr] if spec.pod_cidr else [])
    return Node(
        fields.name(meta.name, "$.metadata.name"),
        tuple(dict.fromkeys(by_type.get("InternalIP") or by_type.get("ExternalIP") or ())),
        any(one.type == "Ready" and one.status == "True" for one in status.conditions or ()),
        labels.get(ZONE_LABEL) or labels.get(_OLD_ZONE_LABEL) or "",
        tuple(_net(text, f"$.spec.podCIDRs[{at}]") for at, text in enumerate(cidrs)),
        meta.resource_version or "",
    )


def _net(text: str, path: str) -> tuple[bytes, int]:
    try:
        net = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(fields.wrong("an address block", text, path)) from None
    return net.network_address.packed, net.prefixlen


def _hosts(texts: Iterable[str | None], path: str) -> tuple[str, ...]:
    """Each host once, folded."""
    return tuple(dict.fromkeys(fields.host(text, path).lower() for text in texts if text))


def ingress(given: outer_raw.RawIngress) -> Ingress:
    """An Ingress."""
    meta, spec = given.metadata or raw.Meta(), given.spec or outer_raw.IngressSpec()
    where, name = fields.identity(meta, fields.name)
    balancer = (given.status or raw.ServiceStatus()).load_balancer or raw.LoadBalancer()
    reached = balancer.ingress or ()
    path = "$.status.loadBalancer.ingress"
    return Ingress(
        where,
        name,
        _hosts((rule.host for rule in spec.rules or ()), "$.spec.rules"),
        tuple(dict.fromkeys(fields.address(one.ip, path) for one in reached if one.ip)),
        _hosts((one.hostname for one in reached), path),
        meta.resource_version or "",
    )


def gateway(given: outer_raw.RawGateway) -> Gateway:
    """A Gateway."""
    meta, spec = given.metadata or raw.Meta(), given.spec or outer_raw.GatewaySpec()
    where, name = fields.identity(meta, fields.name)
    reached = (given.status or outer_raw.GatewayStatus()).addresses or ()
    path = "$.status.addresses"
    is_name = [(one.value, one.type == "Hostname") for one in reached if one.value]
    is_address = [one.value for one in reached if one.value and one.type in {None, "IPAddress"}]
    return Gateway(
        where,
        name,
        _hosts((one.hostname for one in spec.listeners or ()), "$.spec.listeners"),
        tuple(dict.fromkeys(fields.address(value, path) for value in is_address)),
        _hosts((value for value, is_one in is_name if is_one), path),
        meta.resource_version or "",
    )


def route(given: outer_raw.RawRoute) -> Route:
    """An HTTPRoute; a gateway counts unless its controller has said that it refuses the route."""
    meta, spec = given.metadata or raw.Meta(), given.spec or outer_raw.RouteSpec()
    where, name = fields.identity(meta, fields.name)
    said: dict[str, set[str | None]] = {}
    for parent in (given.status or outer_raw.RouteStatus()).parents or ():
        verdicts = {one.status for one in parent.conditions or () if one.type == "Accepted"}
        said.setdefault(_gateway(parent.parent_ref, where), set()).update(verdicts)
    named = (_gateway(ref, where) for ref in spec.parent_refs or ())
    kept = [key for key in named if key and said.get(key) != {"False"}]
    hosts = _hosts(spec.hostnames or (), "$.spec.hostnames")
    return Route(where, name, hosts, tuple(dict.fromkeys(kept)), meta.resource_version or "")


def _gateway(ref: outer_raw.ParentRef | None, where: str) -> str:
    """The gateway that a route refers to, by namespace/name; empty for anything else."""
    if ref is None or not ref.name or ref.kind not in {None, "Gateway"}:
        return ""
    if ref.group not in {None, _GROUP}:
        return ""
    return f"{ref.namespace or where}/{ref.name}".lower()
