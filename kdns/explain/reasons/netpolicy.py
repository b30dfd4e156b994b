"""NetworkPolicies read: whether one pod may reach a port of another, and which policy forbids it.

Three-valued: where a rule needs what is not known (labels of a namespace), nothing is claimed. As
the API has it: a pod that no policy selects for a direction may do all there; else some rule of
some policy must allow it, of both the sender (Egress) and the receiver (Ingress).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from kdns.explain.facts import Facts, PodFact, PolicyFact

Direction = Literal["Egress", "Ingress"]
Verdict = bool | None
_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: a pod, or an address alone."""

    address: str
    pod: PodFact | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a pod, by number and by the name its container gives it."""

    number: int
    protocol: str = "TCP"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the policies of one pod say of one direction."""

    allowed: Verdict
    policies: tuple[str, ...] = ()
    """`namespace/name` of those that select the pod for this direction."""


def judge(
    facts: Facts, pod: PodFact, direction: Direction, peer: Peer | None, port: Port
) -> Judgement:
    """Whether a pod may send to a peer, or be reached by it; None as a peer is anybody."""
    if "policies" in facts.unknown or pod.namespace not in facts.policies:
        return Judgement(None)
    if pod.host_network:
        return Judgement(True)  # policies do not see these pods
    selecting = [
        one
        for one in facts.policies[pod.namespace]
        if direction in _types(one) and selects(one.spec.get("podSelector"), pod.labels)
    ]
    if not selecting:
        return Judgement(True)
    names = tuple(f"{one.namespace}/{one.name}" for one in selecting)
    verdicts = [_allows(facts, one, direction, peer, port) for one in selecting]
    return Judgement(_any(verdicts), names)


def selects(selector: object, labels: Mapping[str, str]) -> bool:
    """True when a label selector of the API takes these labels; an empty one takes all."""
    if not isinstance(selector, Mapping):
        return True
    equal = selector.get("matchLabels")
    if isinstance(equal, Mapping) and any(labels.get(k) != v for k, v in equal.items()):
        return False
    terms = _maps(selector.get("matchExpressions"))
    return all(_holds(term, labels) for term in terms)


def _holds(term: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    value = labels.get(str(term.get("key", "")))
    values = term.get("values")
    known = values if isinstance(values, Sequence) else ()
    match term.get("operator"):
        case "In":
            return value is not None and value in known
        case "NotIn":
            return value is None or value not in known
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False


def _types(policy: PolicyFact) -> tuple[object, ...]:
    """The directions a policy is about: without policyTypes, Egress only if it has rules for it."""
    types = policy.spec.get("policyTypes")
    if isinstance(types, Sequence) and types:
        return tuple(types)
    return ("Ingress", "Egress") if policy.spec.get("egress") else ("Ingress",)


def _allows(
    facts: Facts, policy: PolicyFact, direction: Direction, peer: Peer | None, port: Port
) -> Verdict:
    rules = _maps(policy.spec.get(direction.lower()))
    side = "to" if direction == "Egress" else "from"
    return _any(
        [
            _both(_any_peer(facts, policy, rule.get(side), peer), _any_port(rule, port))
            for rule in rules
        ]
    )


def _any_peer(facts: Facts, policy: PolicyFact, peers: object, peer: Peer | None) -> Verdict:
    """An absent or empty list is everybody."""
    if not peers:
        return True
    return _any([_is_peer(facts, policy, one, peer) for one in _maps(peers)])


def _is_peer(
    facts: Facts, policy: PolicyFact, wanted: Mapping[str, object], peer: Peer | None
) -> Verdict:
    if peer is None:
        return None
    block = wanted.get("ipBlock")
    if isinstance(block, Mapping):
        return _in_block(block, peer.address)
    if peer.pod is None:
        return None if not peer.address else False
    if peer.pod.host_network:
        return None  # how these are seen is the network plugin's choice
    if "namespaceSelector" in wanted:
        home = facts.namespaces.get(peer.pod.namespace)
        if home is None and wanted["namespaceSelector"]:
            return None
        labels = {_NAME: peer.pod.namespace, **(home.labels if home else {})}
        if not selects(wanted["namespaceSelector"], labels):
            return False
    elif peer.pod.namespace != policy.namespace:
        return False
    return selects(wanted.get("podSelector"), peer.pod.labels)


def _in_block(block: Mapping[str, object], address: str) -> Verdict:
    try:
        found = ip_address(address)
        if found not in ip_network(str(block.get("cidr")), strict=False):
            return False
        excepted = block.get("except")
        holes = excepted if isinstance(excepted, Sequence) else ()
        return not any(found in ip_network(str(one), strict=False) for one in holes)
    except ValueError:
        return None


def _any_port(rule: Mapping[str, object], port: Port) -> Verdict:
    """An absent or empty list is every port."""
    ports = rule.get("ports")
    return True if not ports else any(_is_port(one, port) for one in _maps(ports))


def _is_port(wanted: Mapping[str, object], port: Port) -> bool:
    if str(wanted.get("protocol") or "TCP") != port.protocol:
        return False
    first, last = wanted.get("port"), wanted.get("endPort")
    if first is None:
        return True
    if isinstance(first, str) and not first.isdecimal():
        return first == port.name
    if not str(first).isdecimal():
        return False
    low = int(str(first))
    return low <= port.number <= (last if isinstance(last, int) else low)


def _any(verdicts: Sequence[Verdict]) -> Verdict:
    if any(one for one in verdicts):
        return True
    return None if any(one is None for one in verdicts) else False


def _both(one: Verdict, other: Verdict) -> Verdict:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _maps(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [one for one in value if isinstance(one, Mapping)]
