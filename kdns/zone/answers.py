"""Names under a cluster zone to answers, over a Store as it stands at this moment.

`answer` is the whole grammar (facts B.3) in one place: the labels left of the zone say which kind
of name it is, and each kind has a module. There are three outcomes. An Answer, NODATA included: the
name exists. None: it does not, and the plugin decides between NXDOMAIN, SERVFAIL before the first
sync, and the next plugin. An Alias: CNAMEs that lead out of the zone.

The rule that keeps remembered answers right: `touch(fact)` comes before the look, for everything
the outcome depends on, found or not, shown or filtered out. What depends on the grammar and the
options alone touches nothing.

A name that has names below it exists (RFC 8020 §2), so it is NODATA for every type.
"""

from kdns.cluster.objects import Service
from kdns.wire import types
from kdns.wire.message import Answer
from kdns.wire.names import Key
from kdns.zone import apex, external, pods, reverse, services
from kdns.zone.external import Alias
from kdns.zone.names import Labels
from kdns.zone.services import Touch
from kdns.zone.view import View, Zone

Outcome = Answer | Alias | None

_ODD = frozenset((types.SOA, types.AXFR, types.IXFR))
"""Types for which the name matters less."""
_KINDS = {"svc": services.answer, "pod": pods.answer}


def answer(view: View, zone: Zone, key: Key, parts: Labels, type_: int, touch: Touch) -> Outcome:
    """Answers `key`, whose labels left of `zone` are `parts`."""
    if not parts:
        return apex.apex(view, zone, type_, touch)
    if type_ == types.SOA:
        return zone.nodata  # CoreDNS: never looks the name up (facts B.4)
    found = _look(view, zone, key, parts, type_, touch)
    if not isinstance(found, Service):
        return found

    def ask(name: Key, labels: Labels) -> Answer | Service | None:
        if not labels:
            return zone.nodata
        return _look(view, zone, name, labels, type_, touch)

    return external.answer(view, zone, key, found, type_, ask)


def plain(
    view: View, zone: Zone, namespace: str, key: Key, type_: int, touch: Touch
) -> Answer | None:
    """The same for a service's own name, whose end `view.plain` knows; None where there is more to
    it. perf: bench once A, AAAA, NXDOMAIN: most names are these.
    """
    if type_ in _ODD:
        return None
    parts = [key[1 : key[0] + 1].decode("latin-1"), namespace, "svc"]
    found = services.named(view, zone.at_present(), key, parts, type_, touch)
    if found is None:
        return zone.nxdomain
    return found if type(found) is Answer else None


def _look(
    view: View, zone: Zone, key: Key, parts: Labels, type_: int, touch: Touch
) -> Answer | Service | None:
    if isinstance(parts, bytes):
        return reverse.answer(view, zone, key, parts, type_, touch)
    last = parts[-1]
    kind = _KINDS.get(last)
    if kind is not None:
        if len(parts) > 2 and not zone.is_reverse:
            return kind(view, zone, key, parts, type_, touch)
        if len(parts) == 1:
            return zone.nodata
        return None if zone.is_reverse else _namespace(view, zone, parts, touch)
    if last == "dns":
        if len(parts) == 1:
            return zone.nodata
        if parts == ["ns", "dns"]:
            return apex.ns_dns(view, zone, key, type_, touch)
    return apex.version(zone, key, type_) if parts == ["dns-version"] else None


def _namespace(view: View, zone: Zone, parts: list[str], touch: Touch) -> Answer | None:
    """A namespace exists below `svc` and `pod` when it is exposed, and pods have names at all."""
    namespace, kind = parts
    if kind == "pod" and view.pods == "disabled":
        return None
    touch(namespace)
    return zone.nodata if view.exposes(namespace) else None
