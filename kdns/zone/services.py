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
from kdns.wire.names import Key
from kdns.zone.names import ALL, Pick, endpoint_label, parse_dashed, parse_pick
from kdns.zone.view import View, Zone, below, positive, service_name

Touch = Callable[[Hashable], None]
Chosen = tuple[Slice, Sequence[int], Sequence[Port]]
"""Ready endpoints of a slice by index, and the ports that were asked for."""
Host = tuple[Key | None, bytes, Sequence[Port]]
"""An SRV target, an address of it, and its ports."""

WIDTHS = {types.A: 4, types.AAAA: 16}
_FIXED = Struct("!HHH").pack
_PORTLESS: tuple[Port, ...] = (Port("", -1, ""),)
"""CoreDNS: an object without ports counts as one port that makes no SRV (facts B.2, B.5)."""


def answer(
    view: View, zone: Zone, key: Key, parts: list[str], type_: int, touch: Touch
) -> Answer | Service | None:
    """Answers for `parts`, the labels of `key` left of the zone: […,] service, namespace, svc."""
    pick = ALL
    if len(parts) > 3:
        found = parse_pick(parts[:-3], multicluster=zone.is_multicluster, zonal=view.zonal)
        if found is None:
            return None
        pick = found
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
    if pick.endpoint or service.is_headless:
        return _endpoints(view, zone, key, service, pick, type_)
    if pick.zone:
        return None
    return _cluster(view, zone, key, service, pick, type_)


def _cluster(
    view: View, zone: Zone, key: Key, service: Service | ServiceImport, pick: Pick, type_: int
) -> Answer | None:
    """Answers with the ClusterIPs."""
    ports = service.ports or _PORTLESS
    if pick is not ALL:
        ports = _matching(ports, pick)
    if not ports:
        return None
    addresses = service.addresses
    if view.ignore_empty and not any(map(_ready, view.slices(zone, service.key))):
        return None
    width = WIDTHS.get(type_)
    if width is not None:
        own = dict.fromkeys([a for a in addresses if len(a) == width])
        return _addressed(view, zone, key, type_, own)
    if type_ == types.SRV:
        target = service_name(zone.key, service.namespace, service.name)
        return _located(view, zone, key, [(target, address, ports) for address in addresses])
    return zone.nodata


def _endpoints(
    view: View, zone: Zone, key: Key, service: Service | ServiceImport, pick: Pick, type_: int
) -> Answer | None:
    """Answers with ready endpoints."""
    slices = view.slices(zone, service.key)
    if pick is ALL and type_ in WIDTHS:
        return _all_addresses(view, zone, key, slices, type_)
    chosen = [*_choose(view, slices, pick)]
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
        return _addressed(view, zone, key, type_, found)
    if type_ == types.SRV:
        return _located(view, zone, key, _hosts(view, zone, chosen))
    return zone.nodata


def _all_addresses(
    view: View, zone: Zone, key: Key, slices: Iterable[Slice], type_: int
) -> Answer | None:
    """What most headless questions want (perf: bench miss 15 addresses)."""
    width = WIDTHS[type_]
    exists = False
    found: dict[bytes, None] = {}
    for slice_ in slices:
        if slice_.unready:
            endpoints = _ready(slice_)
            column = _addresses(slice_, endpoints) if endpoints else ()
        else:
            column = _column(slice_.width, slice_.addresses)
        if column:
            exists = True
            if slice_.width == width:
                found = found | dict.fromkeys(column) if found else dict.fromkeys(column)
    return _addressed(view, zone, key, type_, found) if exists else None


def _choose(view: View, slices: Iterable[Slice], pick: Pick) -> Iterable[Chosen]:
    address = parse_dashed(pick.endpoint) if pick.endpoint else None
    for slice_ in slices:
        ports = slice_.ports or _PORTLESS
        if pick.port or pick.protocol:
            ports = _matching(ports, pick)
        if not ports or (pick.endpoint and pick.cluster != slice_.cluster):
            continue
        endpoints = _ready(slice_)
        if pick.endpoint:
            named = _named(view, slice_, pick.endpoint, address)
            endpoints = [at for at in named if slice_.is_ready(at)]
        if endpoints:
            yield slice_, endpoints, ports


def _ready(slice_: Slice) -> Sequence[int]:
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
    """The endpoints of this label: candidates found in C, then held against the one rule."""
    candidates: set[int] = set()
    for column in (slice_.hostnames, slice_.pods if view.pod_names else None):
        if column and wanted in column:
            candidates.update(at for at, text in enumerate(column) if text == wanted)
    if address is not None:
        candidates.update(slice_.find(address))
    return [
        at
        for at in sorted(candidates)
        if endpoint_label(slice_, at, pod_names=view.pod_names) == wanted
    ]


def _matching(ports: Iterable[Port], pick: Pick) -> tuple[Port, ...]:
    return tuple(
        port
        for port in ports
        if (not pick.port or port.name == pick.port)
        and (not pick.protocol or port.protocol == pick.protocol)
    )


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
    ready = [slice_ for slice_ in slices if _ready(slice_)]
    if any(slice_.cluster and slice_.cluster == pick.endpoint for slice_ in ready):
        return not pick.cluster
    if pick.endpoint[:1] != "_":
        return False
    ports = service.ports
    if service.is_headless:
        ports = tuple(chain.from_iterable(slice_.ports for slice_ in ready))
    return any(port.name and port.protocol == pick.endpoint[1:] for port in ports)


def _hosts(view: View, zone: Zone, chosen: Iterable[Chosen]) -> list[Host]:
    hosts: list[Host] = []
    for slice_, endpoints, ports in chosen:
        behind = (slice_.cluster,) if slice_.cluster else ()
        parent = service_name(zone.key, slice_.namespace, slice_.service, *behind)
        for at in endpoints:
            text = endpoint_label(slice_, at, pod_names=view.pod_names)
            hosts.append((below(text, parent), slice_.address(at), ports))
    return hosts


def _addressed(view: View, zone: Zone, key: Key, type_: int, addresses: Iterable[bytes]) -> Answer:
    """These addresses, each once; NODATA when only the other family has some."""
    rdatas = tuple(addresses)
    return positive(RRset(key, type_, view.ttl, rdatas)) if rdatas else zone.nodata


def _located(view: View, zone: Zone, key: Key, hosts: Sequence[Host]) -> Answer:
    """SRV records and the addresses of their targets.

    CoreDNS: the weight is a hundredth share of all (address, port) pairs of both families, counted
    before equal records are joined and with port-less entries (facts B.5).
    """
    weight = max(1, 100 // sum(len(ports) for _, _, ports in hosts)) if hosts else 0
    rdatas: dict[bytes, None] = {}
    glue: dict[tuple[Key, int], dict[bytes, None]] = {}
    for target, address, ports in hosts:
        if target is None:
            continue
        for port in ports:
            if port.number < 0:
                continue
            rdatas[_FIXED(0, weight, port.number) + target] = None
            family = types.A if len(address) == 4 else types.AAAA
            glue.setdefault((target, family), {})[address] = None
    if not rdatas:
        return zone.nodata
    additional = tuple(
        RRset(target, family, view.ttl, tuple(addresses))
        for (target, family), addresses in glue.items()
    )
    return positive(RRset(key, types.SRV, view.ttl, tuple(rdatas)), additional=additional)
