"""As raw.py, for what names beyond the cluster are made from: nodes, ingresses, gateways."""

from msgspec import field

from kdns.cluster.raw import Meta, PodCondition, Raw, ServiceStatus


class NodeAddress(Raw):
    """One of status.addresses of a Node."""

    type: str | None = None
    address: str | None = None


class NodeSpec(Raw):
    """spec of a Node."""

    pod_cidr: str | None = field(default=None, name="podCIDR")
    pod_cidrs: list[str] | None = field(default=None, name="podCIDRs")


class NodeStatus(Raw):
    """status of a Node."""

    addresses: list[NodeAddress] | None = None
    conditions: list[PodCondition] | None = None


class RawNode(Raw):
    """v1 Node."""

    metadata: Meta | None = None
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class IngressRule(Raw):
    """A rule of an Ingress."""

    host: str | None = None


class IngressSpec(Raw):
    """spec of an Ingress."""

    rules: list[IngressRule] | None = None


class RawIngress(Raw):
    """networking.k8s.io/v1 Ingress."""

    metadata: Meta | None = None
    spec: IngressSpec | None = None
    status: ServiceStatus | None = None


class Listener(Raw):
    """A listener of a Gateway."""

    hostname: str | None = None


class GatewaySpec(Raw):
    """spec of a Gateway."""

    listeners: list[Listener] | None = None


class GatewayAddress(Raw):
    """Where a Gateway is reached."""

    type: str | None = None
    value: str | None = None


class GatewayStatus(Raw):
    """status of a Gateway."""

    addresses: list[GatewayAddress] | None = None


class RawGateway(Raw):
    """gateway.networking.k8s.io/v1 Gateway."""

    metadata: Meta | None = None
    spec: GatewaySpec | None = None
    status: GatewayStatus | None = None


class ParentRef(Raw):
    """What a route is attached to."""

    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None


class RouteParent(Raw):
    """What a controller says of an attachment."""

    parent_ref: ParentRef | None = None
    conditions: list[PodCondition] | None = None


class RouteSpec(Raw):
    """spec of an HTTPRoute."""

    hostnames: list[str] | None = None
    parent_refs: list[ParentRef] | None = None


class RouteStatus(Raw):
    """status of an HTTPRoute."""

    parents: list[RouteParent] | None = None


class RawRoute(Raw):
    """gateway.networking.k8s.io/v1 HTTPRoute."""

    metadata: Meta | None = None
    spec: RouteSpec | None = None
    status: RouteStatus | None = None
