"""All records of a zone of `k8s_external`, for transfers: what its names answer, each once.

CoreDNS 1.15.0 lists services of hidden namespaces and services under reverse zones as well, and
cuts the targets of some SRV records; the page of the plugin says so.
"""

from collections.abc import Iterator
from dataclasses import replace

from kdns.cluster.objects import Service
from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key
from kdns.zone.names import ALL, endpoint_label
from kdns.zone.outer import Found, Pending, labels
from kdns.zone.outside import Names, OutsideZone, apex, of_service, reach, service_name
from kdns.zone.services import choose
from kdns.zone.view import View, Zone, below

_TYPES = (types.A, types.AAAA, types.CNAME, types.SRV)


def records(names: Names, view: View, zone: OutsideZone) -> Iterator[RRset]:
    """The SOA first, then all else."""
    yield from zone.at_present().soa.answer
    servers = apex(view, zone, types.NS, _nobody)
    yield from (*servers.answer, *servers.additional)
    view = replace(view, store=view.store.frozen())
    for key in sorted(view.store.services):
        service = view.store.services[key]
        if service.external_name or not view.exposes(service.namespace):
            continue
        name = service_name(zone.key, service.namespace, service.name)
        if zone.is_reverse:
            yield from _pointers(names, zone, service)
        elif name is not None:
            yield from _of(names, view, zone, service, name)


def _pointers(names: Names, zone: Zone, service: Service) -> Iterator[RRset]:
    """The PTR records of a service's addresses that lie in a reverse zone."""
    name = service_name(names.primary, service.namespace, service.name)
    for address in dict.fromkeys(service.external_addresses):
        owner = reverse_key(address)
        if name is not None and owner.endswith(zone.key):
            yield RRset(owner, types.PTR, names.ttl, (name,))


def reverse_key(address: bytes) -> Key:
    """The reverse name of an address."""
    if len(address) == 4:
        digits, end = [str(octet) for octet in reversed(address)], b"\x07in-addr\x04arpa\0"
    else:
        digits, end = list(reversed(address.hex())), b"\x03ip6\x04arpa\0"
    return Key(b"".join(bytes((len(one),)) + one.encode() for one in digits) + end)


def _of(names: Names, view: View, zone: Zone, service: Service, name: Key) -> Iterator[RRset]:
    """What all the names of one service answer."""
    ports = {(port.name, port.protocol) for port in service.ports}
    hosts: set[str] = set()
    if reach(service).is_nowhere:
        if not (names.has_headless and service.is_headless):
            return
        ports, hosts = _ends(view, service)
    asked: list[tuple[bytes | None, int]] = [(name, type_) for type_ in _TYPES]
    for text in sorted(hosts):
        asked += [(below(text, name), type_) for type_ in (types.A, types.AAAA)]
    for port, protocol in sorted(ports):
        asked.append((below(f"_{port}", below(f"_{protocol}", name)) if port else None, types.SRV))
    for key, type_ in asked:
        if key is not None:
            parts = labels(Key(key), zone)
            yield from _answers(of_service(names, view, zone, Key(key), parts, type_, _nobody))


def _ends(view: View, service: Service) -> tuple[set[tuple[str, str]], set[str]]:
    """The ports and labels of a service's endpoints."""
    ports: set[tuple[str, str]] = set()
    hosts: set[str] = set()
    for slice_, endpoints, its in choose(view, view.store.slices(service.key), ALL):
        ports |= {(port.name, port.protocol) for port in its}
        hosts |= {endpoint_label(slice_, at, pod_names=view.pod_names) for at in endpoints}
    return ports, hosts


def _answers(found: Found) -> tuple[RRset, ...]:
    answer = found.answer if isinstance(found, Pending) else found
    return answer.answer if isinstance(answer, Answer) else ()


def _nobody(_: object) -> None:
    """Nobody remembers a transfer."""
