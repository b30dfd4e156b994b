"""Reverse names to answers: PTR for ClusterIPs and endpoints.

An answer depends on the address, and on the namespaces of its owners where `namespaces` limits
what is exposed: the Store names an address in each Change that gives it to another owner or name.
"""

from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key
from kdns.zone.names import dash, endpoint_label
from kdns.zone.services import Touch
from kdns.zone.view import View, Zone, positive, service_name


def answer(
    view: View, zone: Zone, key: Key, address: bytes, type_: int, touch: Touch
) -> Answer | None:
    """Answers for the reverse name of an address; None when no owner is known."""
    touch(address)
    found = _service(view, address, touch) or _endpoints(view, address, touch)
    if not found:
        return None
    if type_ != types.PTR:
        return zone.nodata
    return positive(RRset(key, types.PTR, view.ttl, found))


def _service(view: View, address: bytes, touch: Touch) -> tuple[bytes, ...]:
    """The name of the first service at an address that may be told."""
    for service in view.store.services_at(address):
        if not view.namespaces or _is_exposed(view, service.namespace, touch):
            name = service_name(view.primary, service.namespace, service.name)
            if name is not None:
                return (name,)
    return ()


def _endpoints(view: View, address: bytes, touch: Touch) -> tuple[bytes, ...]:
    """The names of all endpoints at an address: those with a hostname first, then by name."""
    names: dict[bytes, bool] = {}
    for slice_, at in view.store.endpoints_at(address):
        if at in slice_.unready:
            continue
        if view.namespaces and not _is_exposed(view, slice_.namespace, touch):
            continue
        text = dash(address)
        if slice_.hostnames or view.pod_names:
            text = endpoint_label(slice_, at, pod_names=view.pod_names)
        name = service_name(view.primary, slice_.namespace, slice_.service, text)
        if name is not None:
            names[name] = not slice_.hostname(at)
    if len(names) < 2:
        return tuple(names)
    return tuple(sorted(names, key=lambda name: (names[name], name)))


def _is_exposed(view: View, namespace: str, touch: Touch) -> bool:
    """CoreDNS: only a list of namespaces filters PTR, existence alone does not (facts B.7)."""
    touch(namespace)
    return view.exposes(namespace)
