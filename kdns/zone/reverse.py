"""Reverse names to answers: PTR for ClusterIPs and endpoints.

An answer depends on the address, and on the namespaces of its owners where `namespaces` limits
what is exposed: the Store names an address in each Change that gives it to another owner or name.
"""

from collections.abc import Iterator

from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key, parse_reverse
from kdns.zone.names import endpoint_label
from kdns.zone.services import Touch
from kdns.zone.view import View, Zone, positive, service_name


def answer(view: View, zone: Zone, key: Key, type_: int, touch: Touch) -> Answer | None:
    """Answers for a reverse name; None when no owner is known or the address is not whole."""
    address = parse_reverse(key)
    if address is None:
        return None
    touch(address)
    owner = next(_services(view, address, touch), None)
    found = (owner,) if owner else tuple(_endpoints(view, address, touch))
    if not found:
        return None
    if type_ != types.PTR:
        return zone.nodata
    return positive(RRset(key, types.PTR, view.ttl, found))


def _services(view: View, address: bytes, touch: Touch) -> Iterator[Key]:
    for service in view.store.services_at(address):
        if _is_exposed(view, service.namespace, touch):
            name = service_name(view.primary, service.namespace, service.name)
            if name is not None:
                yield name


def _endpoints(view: View, address: bytes, touch: Touch) -> list[Key]:
    """The names of all endpoints at an address: those with a hostname first, then by name."""
    names: dict[Key, bool] = {}
    for slice_, at in view.store.endpoints_at(address):
        if not slice_.is_ready(at) or not _is_exposed(view, slice_.namespace, touch):
            continue
        text = endpoint_label(slice_, at, pod_names=view.pod_names)
        name = service_name(view.primary, slice_.namespace, slice_.service, text)
        if name is not None:
            names[name] = not slice_.hostname(at)
    return sorted(names, key=lambda name: (names[name], name))


def _is_exposed(view: View, namespace: str, touch: Touch) -> bool:
    """CoreDNS: only a list of namespaces filters PTR, existence alone does not (facts B.7)."""
    if not view.namespaces:
        return True
    touch(namespace)
    return view.exposes(namespace)
