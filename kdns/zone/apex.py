"""The zone's own names to answers: NS at the apex, `ns.dns` and `dns-version`.

A name server is whichever service has one of our own addresses as an endpoint, exposed or not; its
answers depend on those addresses and on the services found. Without such a service we are `ns.dns`.
In a reverse zone the names of services lie in the primary zone, for they exist nowhere else.
"""

from kdns.wire import records, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key
from kdns.zone.names import endpoint_label
from kdns.zone.services import WIDTHS, Touch
from kdns.zone.view import View, Zone, positive, service_name

VERSION = records.txt(b"1.1.0")
_VERSION_TTL = 28800


def apex(view: View, zone: Zone, type_: int, touch: Touch) -> Answer:
    """Answers for the zone itself."""
    if type_ == types.SOA:
        return zone.soa
    if type_ != types.NS:
        return zone.nodata
    servers = _servers(view, zone, touch)
    glue = []
    for name, addresses in servers.items():
        for family, width in WIDTHS.items():
            rdatas = tuple(address for address in addresses if len(address) == width)
            if rdatas:
                glue.append(RRset(name, family, view.ttl, rdatas))
    return positive(RRset(zone.key, types.NS, view.ttl, tuple(servers)), additional=tuple(glue))


def ns_dns(view: View, zone: Zone, key: Key, type_: int, touch: Touch) -> Answer:
    """Answers for `ns.dns`: the addresses of all name servers."""
    width = WIDTHS.get(type_)
    if width is None:
        return zone.nodata
    servers = _servers(view, zone, touch)
    found = dict.fromkeys(
        address for addresses in servers.values() for address in addresses if len(address) == width
    )
    return positive(RRset(key, type_, view.ttl, tuple(found))) if found else zone.nodata


def version(zone: Zone, key: Key, type_: int) -> Answer:
    """Answers for `dns-version`."""
    if type_ != types.TXT:
        return zone.nodata
    return positive(RRset(key, types.TXT, _VERSION_TTL, (VERSION,)))


def _servers(view: View, zone: Zone, touch: Touch) -> dict[bytes, tuple[bytes, ...]]:
    """Name servers and their addresses, in an order that does not depend on how we learnt them."""
    home = view.primary if zone.is_reverse else zone.key
    found: dict[bytes, tuple[bytes, ...]] = {}
    for own in view.own:
        touch(own)
        for slice_, at in view.store.endpoints_at(own):
            touch(slice_.key)
            service = view.store.services.get(slice_.key)
            if service is None or not slice_.is_ready(at):
                continue
            if not service.is_headless:
                name = service_name(home, service.namespace, service.name)
                if name is not None:
                    found[name] = service.addresses
                continue
            for each in range(slice_.count):
                if slice_.is_ready(each):
                    text = endpoint_label(slice_, each, pod_names=view.pod_names)
                    name = service_name(home, slice_.namespace, slice_.service, text)
                    if name is not None:
                        found[name] = (*found.get(name, ()), slice_.address(each))
    return dict(sorted(found.items())) or {zone.ns_dns: view.own}
