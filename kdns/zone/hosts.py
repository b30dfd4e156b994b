"""Hosts that objects of the cluster want to have, to answers: of ingresses, gateways and services.

A host answers where its objects are reached, all of them together. A host `*.example.org` answers
what lies below example.org and is below no other name that exists (RFC 4592 §3.3.1); names between
a zone and a host exist without records. A question depends on its name, and where that does not
exist on each ancestor up to the first that does, and on the `*` below this one.
"""

from collections.abc import Callable, Iterable

from kdns.cluster.hosts import HostTable, Owner
from kdns.cluster.objects import Service
from kdns.wire import names, types
from kdns.wire.names import Key, parent
from kdns.zone.names import Pick
from kdns.zone.outer import Found, Reach, labels, reached
from kdns.zone.outside import OutsideZone, apex, reach, server
from kdns.zone.services import PORTLESS, Touch, matching, ready
from kdns.zone.view import View

Where = Callable[[Key], tuple[Reach, int]]
"""Where a host is reached, and the TTL of that."""


def owner(table: HostTable, zone: OutsideZone, key: Key, touch: Touch) -> Key | None:
    """The host that answers a name, or the name itself where it exists without records."""
    touch(key)
    if table.exists(key):
        return key
    encloser = key
    while len(encloser) > len(zone.key):
        encloser = parent(encloser)
        touch(encloser)
        if table.exists(encloser):
            break
    star = Key(b"\x01*" + encloser)
    touch(star)
    return star if table.at(star) else None


def in_ingress(
    view: View, zone: OutsideZone, key: Key, type_: int, touch: Touch, ttl: int
) -> Found:
    """Answers a host of ingresses and gateways."""
    entrances = view.store.entrances

    def where(host: Key) -> tuple[Reach, int]:
        found = entrances.at(host, lambda namespace: _is_shown(view, namespace, touch))
        return _joined(Reach(one.addresses, one.targets) for one in found), ttl

    return _answer(view, zone, key, entrances.hosts, where, type_, touch)


def in_services(
    view: View, zone: OutsideZone, key: Key, type_: int, touch: Touch, ttl: int
) -> Found:
    """Answers a host that annotations of services ask for."""
    table = view.store.hosts
    front = labels(key, zone)
    pick, bare = Pick(), key
    if len(front) > 1 and front[0][:1] == front[1][:1] == "_":
        port, protocol = (text.removeprefix("_") for text in front[:2])
        pick, bare = Pick(port=port, protocol=protocol), parent(parent(key))
        touch(bare)
        if not table.at(bare):
            pick, bare = Pick(), key

    def where(host: Key) -> tuple[Reach, int]:
        return _of_services(view, table.at(host), host, pick, touch, ttl)

    if bare == key:
        return _answer(view, zone, key, table, where, type_, touch)
    found, found_ttl = where(bare)
    if not found.ports:
        return None
    return reached(zone, key, bare, type_, found_ttl, found)


def _answer(
    view: View,
    zone: OutsideZone,
    key: Key,
    table: HostTable,
    where: Where,
    type_: int,
    touch: Touch,
) -> Found:
    if key == zone.key and type_ in {types.SOA, types.NS}:
        return apex(view, zone, type_, touch)
    host = owner(table, zone, key, touch)
    if host is None:
        if key == zone.key:
            return zone.nodata
        parts = labels(key, zone)
        return server(view, zone, key, parts, type_, touch) if parts[-1] == zone.apex else None
    found, ttl = where(host)
    if found.is_nowhere:
        return zone.nodata
    return reached(zone, key, key, type_, ttl, found)


def _is_shown(view: View, namespace: str, touch: Touch) -> bool:
    touch(namespace)
    return view.exposes(namespace)


def _joined(those: Iterable[Reach]) -> Reach:
    """All of it in one."""
    found = list(those)
    addresses = tuple(dict.fromkeys(address for one in found for address in one.addresses))
    targets = tuple(dict.fromkeys(target for one in found for target in one.targets))
    return Reach(addresses, targets, tuple(port for one in found for port in one.ports))


def _of_services(
    view: View, owners: Iterable[Owner], host: Key, pick: Pick, touch: Touch, ttl: int
) -> tuple[Reach, int]:
    """Where the services with a host are reached, and the least TTL that one of them asks for."""
    text = names.format(host).removesuffix(".")
    found: list[Reach] = []
    ttls: list[int] = []
    for _, key in owners:
        touch(key)
        service = view.store.services.get(key)
        if service is None or service.more is None:
            continue
        if not _is_shown(view, service.namespace, touch):
            continue
        whole = _outside_or_inside(view, service, text)
        ports = matching(service.ports, pick) if pick.port else whole.ports
        found.append(Reach(whole.addresses, whole.targets, ports))
        ttls.append(service.more.ttl if service.more.ttl >= 0 else ttl)
    return _joined(found), min(ttls, default=ttl)


def _outside_or_inside(view: View, service: Service, host: str) -> Reach:
    """External addresses, ClusterIPs, or both, by what the annotations of the service say."""
    more = service.more
    found = []
    if more is not None and host in more.hosts:
        found.append(reach(service))
    if more is not None and host in more.internal_hosts:
        addresses = service.addresses
        if service.is_headless:
            slices = view.store.slices(service.key)
            addresses = tuple(slice_.address(at) for slice_ in slices for at in ready(slice_))
        found.append(Reach(addresses, (), service.ports or PORTLESS))
    joined = _joined(found)
    return Reach(joined.addresses, joined.targets, service.ports or PORTLESS)
