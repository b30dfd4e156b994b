"""All records of a cluster zone, for transfers: SOA, name servers, then services by their names.

As CoreDNS 1.15.0 has it (facts B.9): no pods, no PTR, glue of TTL 0, and SRV weights that are 100
for a ClusterIP and an equal share of its slice for an endpoint.
"""

from collections.abc import Iterator
from dataclasses import replace

from kdns.cluster.objects import Port, Service, ServiceImport, Slice
from kdns.wire import types
from kdns.wire.message import RRset
from kdns.wire.names import Key
from kdns.zone import apex
from kdns.zone.external import target_of
from kdns.zone.names import endpoint_label
from kdns.zone.outer import glue
from kdns.zone.services import FIXED, ready
from kdns.zone.view import View, Zone, below, service_name


def records(view: View, zone: Zone) -> Iterator[RRset]:
    """The SOA first, then all else."""
    yield from zone.at_present().soa.answer
    servers = apex.apex(view, zone, types.NS, _nobody)
    yield from servers.answer
    for rrset in servers.additional:
        yield RRset(rrset.owner, rrset.type, 0, rrset.rdatas)
    if zone.is_reverse:
        return
    view = replace(view, store=view.store.frozen())
    services: list[Service | ServiceImport] = [*view.store.services.values()]
    if zone.is_multicluster:
        services = [*view.store.imports.values()]
    for service in sorted(services, key=lambda one: (one.name, one.namespace)):
        name = service_name(zone.key, service.namespace, service.name)
        if name is not None and view.exposes(service.namespace):
            yield from _of(view, zone, service, Key(name))


def _of(view: View, zone: Zone, service: Service | ServiceImport, name: Key) -> Iterator[RRset]:
    """The records of one service."""
    if isinstance(service, Service) and service.external_name:
        target = target_of(service.external_name)
        if target is not None:
            yield RRset(name, types.CNAME, view.ttl, (target,))
    elif service.is_headless:
        slices = view.slices(zone, service.key)
        found = [slice_.address(at) for slice_ in slices for at in ready(slice_)]
        yield from glue(name, view.ttl, found)
        for slice_ in slices:
            yield from _endpoints(view, slice_, name)
    else:
        yield from glue(name, view.ttl, service.addresses)
        whole = dict.fromkeys(_fixed(port) + name for port in service.ports if port.number >= 0)
        if whole and service.addresses:
            yield RRset(name, types.SRV, view.ttl, tuple(whole))
            for port in service.ports:
                yield from _located(port, name, view.ttl, [(_fixed(port), name)])


def _fixed(port: Port) -> bytes:
    return FIXED(0, 100, port.number)


def _endpoints(view: View, slice_: Slice, name: Key) -> Iterator[RRset]:
    """The ready endpoints of a slice, and where its ports are."""
    hosts: dict[bytes, list[bytes]] = {}
    endpoints = ready(slice_)
    for at in endpoints:
        host = below(endpoint_label(slice_, at, pod_names=view.pod_names), name)
        if host is not None:
            hosts.setdefault(host, []).append(slice_.address(at))
    for host, addresses in hosts.items():
        yield from glue(host, view.ttl, addresses)
    weight = max(1, 100 // len(endpoints)) if endpoints else 0
    for port in slice_.ports:
        fixed = FIXED(0, weight, max(port.number, 0))
        yield from _located(port, name, view.ttl, [(fixed, host) for host in hosts])


def _located(port: Port, name: Key, ttl: int, where: list[tuple[bytes, bytes]]) -> Iterator[RRset]:
    """The SRV records of a named port."""
    owner = below(f"_{port.name}", below(f"_{port.protocol}", name)) if port.name else None
    if owner is not None and port.number >= 0 and where:
        yield RRset(owner, types.SRV, ttl, tuple(fixed + host for fixed, host in where))


def _nobody(_: object) -> None:
    """Nobody remembers a transfer."""
