"""Service and endpoint names to answers: A, AAAA, SRV with glue, or what else exists there.

`answer` gives an Answer, None for a name that does not exist, or the Service itself when it is an
ExternalName, whose records lie elsewhere. It touches before it looks: whatever it says depends on
exactly the service "ns/svc" (its slices included) and the namespace "ns".
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct, unpack
from typing import Any

from kdns.cluster.objects import Port, Service, ServiceImport, Slice
from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import LONGEST, Key
from kdns.zone.names import (
    ALL,
    DASHED,
    Pick,
    dashed,
    endpoint_label,
    parse_exact,
    parse_pick,
)
from kdns.zone.view import View, Zone, below, positive, service_name

Touch = Callable[[Hashable], None]
Chosen = tuple[Slice, Sequence[int], Sequence[Port]]
"""Ready endpoints of a slice by index, and the ports that were asked for."""
Host = tuple[bytes | None, bytes, Sequence[Port]]
"""An SRV target, an address of it, and its ports."""

WIDTHS = {types.A: 4, types.AAAA: 16}
FIXED = Struct("!HHH").pack
PORTLESS: tuple[Port, ...] = (Port("", -1, ""),)
"""CoreDNS: an object without ports counts as one port that makes no SRV (facts B.2, B.5)."""


def answer(
    view: View, zone: Zone, key: Key, parts: list[str], type_: int, touch: Touch
) -> Answer | Service | None:
    """Answers for `parts`, the labels of `key` left of the zone: […,] service, namespace, svc."""
    pick = ALL
    if len(parts) > 3:
        if len(parts) > 5 and not view.zonal:  # perf: bench nx
            return None
        found = parse_pick(parts[:-3], multicluster=zone.is_multicluster, zonal=view.zonal)
        if found is None:
            return None
        pick = found
    return named(view, zone, key, parts, type_, touch, pick)


def named(
    view: View,
    zone: Zone,
    key: Key,
    parts: list[str],
    type_: int,
    touch: Touch,
    pick: Pick = ALL,
) -> Answer | Service | None:
    """The same for what the labels in front of the service are known to pick."""
    namespace = parts[-2]
    fact = f"{namespace}/{parts[-3]}"
    touch(fact)
    touch(namespace)
    if not view.exposes(namespace):
        return None
    service: Service | ServiceImport | None
    if zone.is_multicluster:
        service = view.store.imports.get(fact)
    else:
        service = view.store.services.get(fact)
        if service is not None and service.external_name:
            return service if pick == ALL else None
    if service is None:
        return None
    if service.is_headless or pick.endpoint:
        return _endpoints(view, zone, key, service, pick, type_)
    return _cluster(view, zone, key, parts, service, pick, type_)


def _cluster(
    view: View,
    zone: Zone,
    key: Key,
    parts: list[str],
    service: Service | ServiceImport,
    pick: Pick,
    type_: int,
) -> Answer | None:
    """Answers with the ClusterIPs."""
    ports = service.ports or PORTLESS
    if pick is not ALL:
        ports = () if pick.zone else matching(ports, pick)
    if not ports:
        return None
    if view.ignore_empty and not any(map(ready, view.slices(zone, service.key))):
        return None
    addresses = service.addresses
    if type_ == types.SRV:
        target = _target(zone, key, parts, service)
        if len(addresses) == 1:
            return _located_at(view, zone, key, target, addresses[0], ports)
        return _located(view, zone, key, [(target, address, ports) for address in addresses])
    width = WIDTHS.get(type_)
    if width is None:
        return zone.nodata
    if len(addresses) > 1:
        addresses = tuple(dict.fromkeys([one for one in addresses if len(one) == width]))
    elif addresses and len(addresses[0]) != width:
        return zone.nodata
    return addressed(view, zone, key, type_, addresses)


def _target(
    zone: Zone, key: Key, parts: list[str], service: Service | ServiceImport
) -> bytes | None:
    """The name of a service, which is the end of the name that was asked for."""
    namespace, name = service.namespace, service.name
    if parts[-2] == namespace and key.isascii():  # perf: bench once SRV
        return key[-len(zone.key) - len(namespace) - len(name) - 6 :]
    return service_name(zone.key, namespace, name)


def _endpoints(
    view: View, zone: Zone, key: Key, service: Service | ServiceImport, pick: Pick, type_: int
) -> Answer | None:
    """Answers with ready endpoints."""
    slices = view.slices(zone, service.key)
    if pick is ALL and type_ in WIDTHS:
        return _all_addresses(view, zone, key, slices, type_)
    chosen = choose(view, slices, pick)
    if pick.zone:
        chosen = _zonal(chosen, pick)
    elif not chosen:
        return zone.nodata if _is_above(service, slices, pick) else None
    width = WIDTHS.get(type_)
    if width is not None:
        found: dict[bytes, None] = {}
        for slice_, endpoints, _ in chosen:
            if slice_.width == width:
                found |= dict.fromkeys(_addresses(slice_, endpoints))
        return addressed(view, zone, key, type_, tuple(found))
    if type_ == types.SRV:
        return _located(view, zone, key, _hosts(view, zone, chosen))
    return zone.nodata


def _all_addresses(
    view: View, zone: Zone, key: Key, slices: Iterable[Slice], type_: int
) -> Answer | None:
    """What most headless questions want (perf: bench miss 15 addresses)."""
    width = WIDTHS[type_]
    exists = False
    columns: list[Iterable[bytes]] = []
    for slice_ in slices:
        if slice_.unready:
            endpoints = ready(slice_)
            column = _addresses(slice_, endpoints) if endpoints else ()
        else:
            column = _column(slice_.width, slice_.addresses)
        if column:
            exists = True
            if slice_.width == width:
                columns.append(column)
    if not exists:
        return None
    found = dict.fromkeys(columns[0] if len(columns) == 1 else chain.from_iterable(columns))
    return addressed(view, zone, key, type_, tuple(found))


def choose(view: View, slices: Iterable[Slice], pick: Pick) -> list[Chosen]:
    chosen: list[Chosen] = []
    wanted, is_port = pick.endpoint, pick.port or pick.protocol
    address = parse_exact(wanted) if wanted else None
    for slice_ in slices:
        endpoints: Sequence[int] = ()
        if not wanted:
            endpoints = ready(slice_)
        elif pick.cluster == slice_.cluster:
            endpoints = _named(view, slice_, wanted, address)
        if endpoints:
            ports = slice_.ports or PORTLESS
            if is_port:
                ports = matching(ports, pick)
            if ports:
                chosen.append((slice_, endpoints, ports))
    return chosen


def ready(slice_: Slice) -> Sequence[int]:
    """The endpoints of a slice that are answered."""
    endpoints = range(slice_.count)
    if not slice_.unready:
        return endpoints
    return [at for at in endpoints if at not in slice_.unready]


def _addresses(slice_: Slice, endpoints: Sequence[int]) -> Iterable[bytes]:
    if type(endpoints) is range:  # perf: bench miss 15 addresses; a whole column at once
        return _column(slice_.width, slice_.addresses)
    return map(slice_.address, endpoints)


@lru_cache(maxsize=256)
def _column(width: int, addresses: bytes) -> tuple[Any, ...]:  # Any: of bytes
    """Takes a column of addresses apart. The bytes hold all it depends on, and their own hash."""
    return unpack(f"{width}s" * (len(addresses) // width), addresses) if width else ()


def _named(view: View, slice_: Slice, wanted: str, address: bytes | None) -> list[int]:
    """The ready endpoints of this label, which is the one of `address` if that is given."""
    unready = slice_.unready
    pods = slice_.pods if view.pod_names else None
    if not slice_.hostnames and not pods:  # perf: bench once endpoint names
        found = slice_.find(address) if address is not None else ()
        return [at for at in found if at not in unready]
    columns = [column for column in (slice_.hostnames, pods) if column]
    candidates = {at for column in columns for at, text in enumerate(column) if text == wanted}
    if address is not None:
        candidates.update(slice_.find(address))
    return [
        at
        for at in sorted(candidates - unready)
        if endpoint_label(slice_, at, pod_names=view.pod_names) == wanted
    ]


def matching(ports: tuple[Port, ...], pick: Pick) -> tuple[Port, ...]:
    name, protocol = pick.port, pick.protocol
    found = []
    for port in ports:
        if (not name or port.name == name) and (not protocol or port.protocol == protocol):
            found.append(port)  # noqa: PERF401 - perf: bench once SRV; there are one or two
    return tuple(found)


def _zonal(chosen: list[Chosen], pick: Pick) -> list[Chosen]:
    """The endpoints of one topology zone; all of them when it has none and is only preferred."""
    local: list[Chosen] = []
    for slice_, endpoints, ports in chosen:
        here = [at for at in endpoints if slice_.zone(at).lower() == pick.zone]
        if here:
            local.append((slice_, here, ports))
    return local if local or pick.is_pinned else chosen


def _is_above(service: Service | ServiceImport, slices: Iterable[Slice], pick: Pick) -> bool:
    """True for `_tcp` or a cluster before a service, with names below it (RFC 8020 §2)."""
    known = [slice_ for slice_ in slices if ready(slice_)]
    if any(slice_.cluster and slice_.cluster == pick.endpoint for slice_ in known):
        return not pick.cluster
    if pick.endpoint[:1] != "_":
        return False
    ports = service.ports
    if service.is_headless:
        ports = tuple(chain.from_iterable(slice_.ports for slice_ in known))
    return any(port.name and port.protocol == pick.endpoint[1:] for port in ports)


def _hosts(view: View, zone: Zone, chosen: Iterable[Chosen]) -> list[Host]:
    hosts: list[Host] = []
    for slice_, endpoints, ports in chosen:
        behind = (slice_.cluster,) if slice_.cluster else ()
        parent = service_name(zone.key, slice_.namespace, slice_.service, *behind)
        if parent is None:
            hosts += [(None, slice_.address(at), ports) for at in endpoints]
        elif slice_.hostnames or view.pod_names or len(parent) > LONGEST - DASHED:
            for at in endpoints:
                text = endpoint_label(slice_, at, pod_names=view.pod_names)
                hosts.append((below(text, parent), slice_.address(at), ports))
        else:  # perf: bench once SRV
            hosts += [(dashed(a) + parent, a, ports) for a in _addresses(slice_, endpoints)]
    return hosts


def addressed(view: View, zone: Zone, key: Key, type_: int, addresses: tuple[bytes, ...]) -> Answer:
    """These addresses, each once; NODATA when only the other family has some."""
    if not addresses:
        return zone.nodata
    found = (RRset(key, type_, view.ttl, addresses),)
    return Answer(types.NOERROR, found, (), (), types.AA, plugin="kubernetes", live=True)


def _located(view: View, zone: Zone, key: Key, hosts: Sequence[Host]) -> Answer:
    """SRV records and the addresses of their targets.

    CoreDNS: the weight is a hundredth share of all (address, port) pairs of both families, counted
    before equal records are joined and with port-less entries (facts B.5).
    """
    if len(hosts) == 1:
        return _located_at(view, zone, key, *hosts[0])
    weight = max(1, 100 // sum([len(ports) for _, _, ports in hosts])) if hosts else 0
    rdatas: dict[bytes, None] = {}
    glue: dict[tuple[bytes, int], list[bytes]] = {}
    before: Sequence[Port] | None = None
    for target, address, ports in hosts:
        if ports is not before:
            before = ports
            fixed = [FIXED(0, weight, port.number) for port in ports if port.number >= 0]
        if target is None or not fixed:
            continue
        for one in fixed:
            rdatas[one + target] = None
        place = (target, types.A if len(address) == 4 else types.AAAA)
        there = glue.get(place)
        if there is None:
            glue[place] = [address]
        else:
            there.append(address)
    if not rdatas:
        return zone.nodata
    ttl = view.ttl
    additional = [
        RRset(target, family, ttl, tuple(found if len(found) == 1 else dict.fromkeys(found)))
        for (target, family), found in glue.items()
    ]
    return positive(RRset(key, types.SRV, ttl, tuple(rdatas)), additional=tuple(additional))


def _located_at(
    view: View, zone: Zone, key: Key, target: bytes | None, address: bytes, ports: Sequence[Port]
) -> Answer:
    """The same for one host (perf: bench once SRV)."""
    ttl = view.ttl
    family = types.A if len(address) == 4 else types.AAAA
    rdatas: dict[bytes, None] = {}
    for port in ports:
        if port.number >= 0 and target is not None:
            rdatas[FIXED(0, max(1, 100 // len(ports)), port.number) + target] = None
    if target is None or not rdatas:
        return zone.nodata
    glue = RRset(target, family, ttl, (address,))
    return positive(RRset(key, types.SRV, ttl, tuple(rdatas)), additional=(glue,))
