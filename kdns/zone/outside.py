"""Names of services for those outside the cluster, `<service>.<namespace>.<zone>`, to answers.

What stands in front of a service as one label is not looked at unless its endpoints answer, as
CoreDNS 1.15.0 has it. Depends on exactly the service, its namespace, and for PTR on the address.
"""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from kdns.cluster.objects import Service
from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key, parse_reverse
from kdns.zone.names import ALL, endpoint_label, label, parse_pick
from kdns.zone.outer import Found, OuterSerial, Reach, addressed, glue, labels, positive, reached
from kdns.zone.services import FIXED, PORTLESS, WIDTHS, Chosen, Touch, choose, matching
from kdns.zone.view import View, Zone, below


class OutsideZone(Zone):
    """A zone of names beyond the cluster, for one of the plugins that have such names."""

    longest_ttl: ClassVar[int] = 1 << 31

    def __init__(
        self, key: Key, ttl: int, serial: OuterSerial, plugin: str, apex: str = "dns"
    ) -> None:
        held = label(apex)
        self.apex = apex
        self.plugin = plugin  # type: ignore[misc]  # one of its own
        self.before = (b"\x03ns1" + held, b"\x0ahostmaster" + held)  # type: ignore[misc]  # one of its own
        self.server = Key(self.before[0] + key)
        self.ttl = ttl
        super().__init__(key, ttl, serial)


class Names(Struct, frozen=True):
    """The options of a `k8s_external`."""

    primary: Key
    """The zone that PTR answers point into."""
    ttl: int = 5
    has_headless: bool = False


def answer(
    names: Names, view: View, zone: OutsideZone, key: Key, type_: int, touch: Touch
) -> Found:
    """Answers a name in a zone; None when there is no such name."""
    parts = labels(key, zone)
    if not parts:
        return apex(view, zone, type_, touch)
    if zone.has_reverse:
        address = parse_reverse(key)
        if address is not None:
            return _reverse(names, view, zone, key, address, type_, touch)
    if parts[-1] == zone.apex:
        return server(view, zone, key, parts, type_, touch)
    namespace = parts[-1]
    if len(parts) > 4:
        return None
    if len(parts) == 1:
        touch(namespace)
        return zone.nodata if view.exposes(namespace) else None
    return of_service(names, view, zone, key, parts, type_, touch)


def apex(view: View, zone: OutsideZone, type_: int, touch: Touch) -> Answer:
    if type_ == types.SOA:
        return zone.soa
    if type_ != types.NS:
        return zone.nodata
    extra = glue(zone.server, zone.ttl, own(view, touch))
    return positive(zone, RRset(zone.key, type_, zone.ttl, (zone.server,)), additional=extra)


def server(
    view: View, zone: OutsideZone, key: Key, parts: Sequence[str], type_: int, touch: Touch
) -> Answer | None:
    """`dns` and `ns1.dns`, the name of the zone's server."""
    if len(parts) == 1:
        return zone.nodata
    if len(parts) > 2 or parts[0] != "ns1":
        return None
    return addressed(zone, key, type_, zone.ttl, own(view, touch))


def own(view: View, touch: Touch) -> list[bytes]:
    """Where this server is reached: from outside, else at its own addresses."""
    found: list[bytes] = []
    for address in view.own:
        touch(address)
        for slice_, at in view.store.endpoints_at(address):
            touch(slice_.key)
            service = view.store.services.get(slice_.key)
            if service is not None and slice_.is_ready(at):
                found += service.external_addresses
    return found or [one for one in view.own if not _is_loopback(one)]


def _is_loopback(address: bytes) -> bool:
    return address[0] == 127 if len(address) == 4 else address == b"\0" * 15 + b"\1"


def _reverse(
    names: Names, view: View, zone: Zone, key: Key, address: bytes, type_: int, touch: Touch
) -> Answer | None:
    touch(address)
    found = []
    for service in view.store.external_at(address):
        touch(service.namespace)
        name = service_name(names.primary, service.namespace, service.name)
        if view.exposes(service.namespace) and name is not None:
            found.append(name)
    if not found:
        return None
    if type_ != types.PTR:
        return zone.nodata
    return positive(zone, RRset(key, types.PTR, names.ttl, tuple(found)))


def service_name(zone: Key, namespace: str, service: str) -> Key | None:
    """The name of a service in a zone; None when no name can hold it."""
    name = below(service, below(namespace, zone))
    return None if name is None else Key(name)


def of_service(
    names: Names,
    view: View,
    zone: Zone,
    key: Key,
    parts: list[str],
    type_: int,
    touch: Touch,
) -> Found:
    fact = f"{parts[-1]}/{parts[-2]}"
    touch(fact)
    touch(parts[-1])
    pick = parse_pick(parts[:-2], multicluster=False, zonal=False) if len(parts) > 2 else ALL
    service = view.store.services.get(fact)
    if pick is None or service is None or service.external_name or not view.exposes(parts[-1]):
        return None
    name = service_name(zone.key, service.namespace, service.name)
    if name is None:
        return None
    where = reach(service)
    if where.is_nowhere:
        if not (names.has_headless and service.is_headless):
            return None
        chosen = choose(view, view.store.slices(fact), pick)
        return _endpoints(names, view, zone, key, name, chosen, type_) if chosen else None
    if pick.port or pick.protocol:
        where = Reach(where.addresses, where.targets, matching(service.ports, pick))
        if not where.ports:
            return None
    return reached(zone, key, name, type_, names.ttl, where)


def reach(service: Service) -> Reach:
    """Where a service is reached from outside."""
    ports = service.ports or PORTLESS
    return Reach(service.external_addresses, service.external_hosts, ports)


def _endpoints(
    names: Names,
    view: View,
    zone: Zone,
    key: Key,
    name: Key,
    chosen: Sequence[Chosen],
    type_: int,
) -> Answer:
    if type_ in WIDTHS:
        found = [slice_.address(at) for slice_, endpoints, _ in chosen for at in endpoints]
        return addressed(zone, key, type_, names.ttl, found)
    if type_ != types.SRV:
        return zone.nodata
    weight = max(1, 100 // sum(len(endpoints) * len(ports) for _, endpoints, ports in chosen))
    rdatas: dict[bytes, None] = {}
    hosts: dict[bytes, list[bytes]] = {}
    for slice_, endpoints, ports in chosen:
        for at in endpoints:
            target = below(endpoint_label(slice_, at, pod_names=view.pod_names), name)
            numbers = [port.number for port in ports if port.number >= 0]
            if target is None or not numbers:
                continue
            rdatas |= dict.fromkeys(FIXED(0, weight, number) + target for number in numbers)
            hosts.setdefault(target, []).append(slice_.address(at))
    if not rdatas:
        return zone.nodata
    extra = [one for target, those in hosts.items() for one in glue(target, names.ttl, those)]
    rrset = RRset(key, types.SRV, names.ttl, tuple(rdatas))
    return positive(zone, rrset, additional=tuple(extra))
