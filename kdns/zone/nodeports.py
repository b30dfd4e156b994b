"""Names of node ports, `<service>.<namespace>.nodeport.<zone>`, to answers: nodes that take them.

Depends on exactly the service with its slices, its namespace, and the nodes, which are one fact.
"""

from collections.abc import Iterable

from kdns.cluster.nodes import MACHINES
from kdns.cluster.objects import Node, Port, Service
from kdns.wire.names import Key
from kdns.zone.names import ALL, Pick, parse_pick
from kdns.zone.outer import Found, Reach, labels, reached
from kdns.zone.outside import OutsideZone, apex, server, service_name
from kdns.zone.services import Touch, matching, ready
from kdns.zone.view import View


def answer(view: View, zone: OutsideZone, key: Key, type_: int, touch: Touch, ttl: int) -> Found:
    """Answers a name in a zone; None when there is no such name."""
    parts = labels(key, zone)
    if not parts:
        return apex(view, zone, type_, touch)
    namespace = parts[-1]
    if namespace == zone.apex:
        return server(view, zone, key, parts, type_, touch)
    touch(namespace)
    if len(parts) > 4 or not view.exposes(namespace):
        return None
    if len(parts) == 1:
        return zone.nodata
    fact = f"{namespace}/{parts[-2]}"
    touch(fact)
    service = view.store.services.get(fact)
    pick = parse_pick(parts[:-2], multicluster=False, zonal=False) if len(parts) > 2 else ALL
    if service is None or pick is None:
        return None
    ports = _ports(service)
    if pick.endpoint:  # of three labels only `_tcp` may exist, for what is below it
        return zone.nodata if _is_above(ports, pick) else None
    found = matching(ports, pick)
    name = service_name(zone.key, service.namespace, service.name)
    if not found or name is None:
        return None
    touch(MACHINES)
    return reached(zone, key, name, type_, ttl, Reach(_addresses(view, service), (), found))


def _ports(service: Service) -> tuple[Port, ...]:
    """The node ports of a service, under the names of its ports."""
    numbers = service.more.node_ports if service.more is not None else ()
    pairs = zip(service.ports, numbers, strict=False)
    return tuple(Port(port.name, number, port.protocol) for port, number in pairs if number)


def _is_above(ports: Iterable[Port], pick: Pick) -> bool:
    return any(port.name and f"_{port.protocol}" == pick.endpoint for port in ports)


def _addresses(view: View, service: Service) -> tuple[bytes, ...]:
    """Addresses of the nodes that pass a service's packets on, of the families it has."""
    nodes: Iterable[Node] = view.store.nodes.ready()
    if service.more is not None and service.more.is_local:
        slices = view.store.slices(service.key)
        near = {slice_.node(at) for slice_ in slices for at in ready(slice_)}
        nodes = [node for node in nodes if node.name in near]
    widths = {len(address) for address in service.addresses}
    found = (address for node in nodes for address in node.addresses if len(address) in widths)
    return tuple(dict.fromkeys(found))
