"""What a name means in a cluster: a service, one of its endpoints or ports, a pod, something else.

A name as typed may mean several things, one for each step of the search path. The one that was
answered counts; else the one that comes nearest to what there is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from kdns.client.search import Walk
from kdns.explain.facts import Facts
from kdns.zone.shadows import PUBLIC

Kind = Literal[
    "service", "endpoint", "port", "pod", "namespace", "zone", "shapeless",
    "reverse", "external", "foreign",
]  # fmt: skip
CLASSIC = frozenset({"com", "net", "org", "edu", "gov", "mil", "int", "io"})
"""Top-level domains that nobody calls a namespace by chance; PUBLIC has `shop` and `prod`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A name as this cluster understands it."""

    kind: Kind
    name: str
    """Absolute, lower case."""
    namespace: str = ""
    service: str = ""
    endpoint: str = ""
    """The label in front of the service, or the dashed address of a pod."""
    port: str = ""
    protocol: str = ""
    zone: str = ""

    @property
    def key(self) -> str:
        """`namespace/service`."""
        return f"{self.namespace}/{self.service}"

    @property
    def is_ours(self) -> bool:
        """It is a name of a service, or something of one."""
        return self.kind in ("service", "endpoint", "port")


def candidates(name: str, namespace: str, facts: Facts, walks: tuple[Walk, ...]) -> list[str]:
    """The absolute names that a name may stand for, as they were or would be asked."""
    asked = [one.name.lower() for walk in walks for one in walk.asked]
    typed = name.lower()
    if typed.endswith("."):
        return list(dict.fromkeys([*asked, typed]))
    zone = facts.zones[0] if facts.zones else "cluster.local."
    searched = [f"{typed}.{end}" for end in (f"{namespace}.svc.{zone}", f"svc.{zone}", zone)]
    return list(dict.fromkeys([*asked, *searched, f"{typed}."]))


def subject(name: str, namespace: str, facts: Facts, walks: tuple[Walk, ...]) -> Subject:
    """What a name as typed means."""
    answered = next((one.name.lower() for one in walks if one.outcome == "answered"), "")
    typed = _absolute(name)
    found = parse(answered, facts.zones) if answered else None
    if found is None and answered == typed:
        found = _outside(typed)
    if found is not None:
        return found
    outside = parse(typed, facts.zones) or _outside(typed)
    read = (parse(one, facts.zones) for one in candidates(name, namespace, facts, walks))
    rated = [(_rating(one, name, facts), one) for one in read if one is not None]
    best = max(rated, key=lambda pair: pair[0], default=(0, outside))
    if outside.kind in ("foreign", "reverse"):
        return best[1] if best[0] >= 4 else outside
    return best[1] if best[0] >= 2 else outside


def parse(name: str, zones: Iterable[str]) -> Subject | None:
    """What an absolute name means below these zones; None when it means nothing there."""
    for zone in sorted(zones, key=len, reverse=True):
        if name == zone:
            return Subject("zone", name, zone=zone)
        if name.endswith(f".{zone}"):
            found = _below(name[: -len(zone) - 1].split("."))
            return replace(found or Subject("shapeless", ""), name=name, zone=zone)
    return None


def _below(labels: list[str]) -> Subject | None:
    match labels:
        case ["svc" | "pod"]:
            return Subject("zone", "")
        case [namespace, "svc" | "pod"]:
            return Subject("namespace", "", namespace)
        case [address, namespace, "pod"]:
            return Subject("pod", "", namespace, endpoint=address)
        case [service, namespace, "svc"]:
            return Subject("service", "", namespace, service)
        case [port, protocol, service, namespace, "svc"] if protocol.startswith("_"):
            return Subject("port", "", namespace, service, "", port.lstrip("_"), protocol[1:])
        case [port, service, namespace, "svc"] if port.startswith("_"):
            return Subject("port", "", namespace, service, "", port.lstrip("_"))
        case [endpoint, service, namespace, "svc"]:
            return Subject("endpoint", "", namespace, service, endpoint)
    return None


def _outside(name: str) -> Subject:
    """What a name below no zone of ours is."""
    labels = name.rstrip(".").split(".")
    if name.endswith((".in-addr.arpa.", ".ip6.arpa.")):
        return Subject("reverse", name)
    for word in ("svc", "pod"):
        at = labels.index(word) if word in labels else 0
        if at >= 2 and len(labels) > at + 1:
            zone = ".".join(labels[at + 1 :]) + "."
            return Subject("foreign", name, labels[at - 1], labels[at - 2], zone=zone)
    return Subject("external", name)


def _rating(found: Subject, name: str, facts: Facts) -> int:
    """How near a meaning comes to what there is: 5 a service, 4 said in so many words, …"""
    if found.is_ours and found.key in facts.services:
        return 6 if found.kind == "service" else 5
    if found.namespace in ("svc", "pod") and found.namespace not in facts.namespaces:
        return 0
    typed = name.lower().rstrip(".").split(".")
    if found.kind == "shapeless":
        return 3 if f"{'.'.join(typed)}." == found.name else 0
    is_said = "svc" in typed or "pod" in typed or found.name == f"{'.'.join(typed)}."
    if found.kind == "endpoint" and not typed[0].startswith("_"):
        return 4 if is_said and len(typed) >= 4 else 1  # a.b is service.namespace first
    if is_said:
        return 4
    if not found.is_ours:
        return 0
    if len(typed) == 1:
        return 3
    if typed[-1] in CLASSIC:
        return 0
    if found.namespace in facts.namespaces and found.namespace == typed[-1]:
        return 4
    is_known = any(name == found.service for _, name in facts.names)
    return 2 if is_known or (len(typed) == 2 and typed[-1] not in PUBLIC) else 0


def _absolute(name: str) -> str:
    return name.lower() if name.endswith(".") else f"{name.lower()}."
