"""Objects as the Store keeps them become facts: what a server answers from, and no more."""

from collections.abc import Iterable

from kdns.cluster.objects import Namespace, Port, Service, Slice
from kdns.explain.facts import EndpointFact, NamespaceFact, PortFact, ServiceFact, SliceFact
from kdns.wire.names import format_address

_ADDRESS_TYPES = {4: "IPv4", 16: "IPv6", 0: "FQDN"}


def namespace(given: Namespace) -> NamespaceFact:
    """A namespace."""
    return NamespaceFact(given.name, dict(given.labels))


def service(given: Service) -> ServiceFact:
    """A service, without its selector and type, which no answer is made from."""
    addresses = tuple(format_address(one) for one in given.addresses)
    external = tuple(format_address(one) for one in given.external_addresses)
    return ServiceFact(
        namespace=given.namespace,
        name=given.name,
        type="ExternalName" if given.external_name else "ClusterIP",
        addresses=("None",) if given.is_headless else addresses,
        ports=ports(given.ports),
        external_name=given.external_name,
        external_addresses=(*external, *given.external_hosts),
    )


def slice_(given: Slice) -> SliceFact:
    """A slice."""
    return SliceFact(
        namespace=given.namespace,
        name=given.name,
        service=given.service,
        endpoints=tuple(_endpoint(given, at) for at in range(given.count)),
        ports=ports(given.ports),
        address_type=_ADDRESS_TYPES.get(given.width, ""),
    )


def _endpoint(given: Slice, at: int) -> EndpointFact:
    is_ready = given.is_ready(at)
    return EndpointFact(
        (format_address(given.address(at)),),
        is_ready,
        is_ready,
        hostname=given.hostname(at),
        pod=given.pod(at),
        node=given.node(at),
        zone=given.zone(at),
    )


def ports(given: Iterable[Port]) -> tuple[PortFact, ...]:
    """Ports; one without a number stands for all."""
    return tuple(PortFact(one.name, max(one.number, 0), one.protocol.upper()) for one in given)
