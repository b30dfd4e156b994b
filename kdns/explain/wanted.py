"""Names that a look-up asks become what must be known of the cluster to explain them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from kdns.explain.facts import PodFact, ServiceFact
from kdns.wire import names as wire
from kdns.zone.names import describe, parse_dashed

DNS: Final = "kube-system/kube-dns"
"""The service of the cluster's DNS, whatever answers behind it."""
DNS_LABEL: Final = "k8s-app=kube-dns"
DNS_SPACE: Final = "kube-system"
HOPS = 8
"""ExternalNames that are followed one after the other."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
"""What no object is called is not asked for; nor does anything else get into a URL."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What some names point to."""

    services: frozenset[str] = frozenset()
    """By `namespace/name`."""
    namespaces: frozenset[str] = frozenset()
    """Those whose pods, services and policies are in question."""
    addresses: frozenset[str] = frozenset()
    """Of reverse names and pod names, or of who asks."""
    pods: frozenset[str] = frozenset()
    """By `namespace/name`: who asks."""

    def __or__(self, other: "Wanted") -> "Wanted":
        """What either points to."""
        return Wanted(
            self.services | other.services,
            self.namespaces | other.namespaces,
            self.addresses | other.addresses,
            self.pods | other.pods,
        )


def wanted(names: Iterable[str], zones: Sequence[str]) -> Wanted:
    """What absolute names point to; those of other zones point to nothing."""
    found = Wanted()
    for name in names:
        found |= _of(name, zones)
    return found


def asked(names: Iterable[str], asker: str, zones: Sequence[str]) -> Wanted:
    """The same, with who asks: NAMESPACE/POD, NAMESPACE or an address, or nobody in particular."""
    found = wanted(names, zones)
    space, _, pod = asker.lower().partition("/")
    try:
        return found | Wanted(addresses=frozenset((str(ip_address(asker)),)))
    except ValueError:
        if not is_label(space):
            return found
    pods = frozenset((f"{space}/{pod}",) if _NAME.fullmatch(pod) else ())
    return found | Wanted(namespaces=frozenset((space,)), pods=pods)


def is_label(text: str) -> bool:
    """True for what a namespace or service may be called."""
    return _LABEL.fullmatch(text) is not None


def _of(name: str, zones: Sequence[str]) -> Wanted:
    labels = _labels(name)
    if labels[-1:] == ["arpa"]:
        return _reverse(name)
    for zone in sorted(zones, key=len, reverse=True):
        ends = _labels(zone)
        if ends and labels[-len(ends) :] == ends:
            return _below(labels[: -len(ends)])
    return Wanted()


def _labels(name: str) -> list[str]:
    return [label for label in name.lower().split(".") if label]


def _below(labels: list[str]) -> Wanted:
    """What the labels left of a zone point to."""
    if len(labels) < 2 or labels[-1] not in {"svc", "pod"} or not is_label(labels[-2]):
        return Wanted()
    said = describe(labels, multicluster=False, zonal=True)
    if "parse-error" in said:
        return Wanted()
    name, spaces = said["service"], frozenset((labels[-2],))
    if labels[-1] == "pod":
        packed = parse_dashed(name) if name else None
        addresses = (wire.format_address(packed),) if packed else ()
        return Wanted(namespaces=spaces, addresses=frozenset(addresses))
    keys = (f"{labels[-2]}/{name}",) if is_label(name) else ()
    return Wanted(frozenset(keys), spaces)


def _reverse(name: str) -> Wanted:
    try:
        packed = wire.parse_reverse(wire.parse_key(name if name.endswith(".") else f"{name}."))
    except ValueError:
        return Wanted()
    return Wanted(addresses=frozenset((wire.format_address(packed),) if packed else ()))


def addressed(found: Wanted, services: Mapping[str, ServiceFact]) -> Wanted:
    """The same, with the services that have its addresses."""
    for key, service in services.items() if found.addresses else ():
        if not found.addresses.isdisjoint((*service.addresses, *service.external_addresses)):
            found |= Wanted(frozenset((key,)), frozenset((service.namespace,)))
    return found


def led_to(found: Wanted, services: Mapping[str, ServiceFact], zones: Sequence[str]) -> Wanted:
    """The same, with where the ExternalNames among its services lead."""
    for _ in range(HOPS):
        more = found | wanted(_targets(found.services, services), zones)
        if more == found:
            break
        found = more
    return found


def _targets(keys: Iterable[str], services: Mapping[str, ServiceFact]) -> Iterator[str]:
    for key in keys:
        service = services.get(key)
        if service is not None and service.external_name:
            yield service.external_name


def selecting(pods: Iterable[PodFact], services: Iterable[ServiceFact]) -> Wanted:
    """The services that select these pods."""
    found = Wanted(namespaces=frozenset(pod.namespace for pod in pods))
    for service in services:
        for pod in pods if service.selector else ():
            is_same = pod.namespace == service.namespace
            if is_same and service.selector.items() <= pod.labels.items():
                found |= Wanted(frozenset((f"{service.namespace}/{service.name}",)))
    return found
