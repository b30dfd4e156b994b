"""NetworkPolicies, pods and namespaces become verdicts: may this address reach that port of a pod?

As the API has it: a pod that no policy selects for a direction may do everything there; otherwise
some rule of some policy must allow it, of the sender (Egress) and of the receiver (Ingress). Nodes
are never kept away (kubelets probe), and pods on the host network are nodes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from kdns.lab.controllers.bodies import (
    is_finished,
    labels_of,
    matches,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Transport

EGRESS, INGRESS = "Egress", "Ingress"
_NAME = "kubernetes.io/metadata.name"
_REMEMBERED = 1 << 16
"""Blocks, read once: where more are asked for in turn than are remembered, none is."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What policies see of a pod."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    ports: Mapping[tuple[str, str], int]
    """The number of a port, by protocol and name."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy."""

    namespace: str
    spec: Obj

    def is_for(self, pod: Pod, direction: str) -> bool:
        """True when it selects a pod for a direction."""
        return (
            pod.namespace == self.namespace
            and direction in self.spec.get("policyTypes", ())
            and matches(self.spec.get("podSelector") or {}, pod.labels)
        )

    def peers(self) -> Iterator[Obj]:
        """All that its rules name."""
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for rule in self.spec.get(direction) or ():
                yield from rule.get(side) or ()


def asked_labels(selector: Obj) -> set[str]:
    """The labels on which it depends whether a selector matches."""
    expressions = selector.get("matchExpressions") or ()
    return {*(selector.get("matchLabels") or ()), *(one["key"] for one in expressions)}


@dataclass(slots=True)
class Verdicts:
    """Policies, pods by address and labels of namespaces at one moment."""

    policies: Mapping[str, Sequence[Policy]] = field(default_factory=dict)
    pods: Mapping[str, Pod] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _known: dict[tuple[str, str, str], Sequence[Policy]] = field(default_factory=dict)

    def allows(self, source: str, target: str, port: int, transport: Transport) -> bool:
        """Whether one address may connect to a port of another."""
        sender, receiver = self.pods.get(source), self.pods.get(target)
        if sender and receiver and sender is receiver:
            return True
        named = _names(receiver, port, transport)
        out = sender is None or self._lets(sender, EGRESS, target, (port, transport, named))
        if not out:
            return False
        if receiver is None or sender is None:
            return True  # the nodes, and what is outside of all policies
        return self._lets(receiver, INGRESS, source, (port, transport, named))

    def _lets(
        self, pod: Pod, direction: str, other: str, port: "tuple[int, Transport, frozenset[str]]"
    ) -> bool:
        selecting = self.selecting(pod, direction)
        if not selecting:
            return True
        side = "to" if direction == EGRESS else "from"
        return any(
            self._is_peer(rule.get(side), other, policy) and _is_port(rule.get("ports"), *port)
            for policy in selecting
            for rule in policy.spec.get(direction.lower()) or ()
        )

    def selecting(self, pod: Pod, direction: str) -> Sequence[Policy]:
        """The policies that are for a pod: each is asked for with all others."""
        key = (pod.namespace, pod.name, direction)
        if key not in self._known:
            mine = self.policies.get(pod.namespace, ())
            self._known[key] = [one for one in mine if one.is_for(pod, direction)]
        return self._known[key]

    def forget(self, pod: Pod) -> None:
        """A pod is gone, or will be another."""
        for direction in (EGRESS, INGRESS):
            self._known.pop((pod.namespace, pod.name, direction), None)

    def _is_peer(self, peers: Sequence[Obj] | None, address: str, policy: Policy) -> bool:
        """True for everybody where nobody is named."""
        if not peers:
            return True
        pod = self.pods.get(address)
        return any(
            _in_block(one["ipBlock"], address)
            if one.get("ipBlock")
            else pod is not None and self._is_chosen(one, pod, policy)
            for one in peers
        )

    def _is_chosen(self, peer: Obj, pod: Pod, policy: Policy) -> bool:
        homes = peer.get("namespaceSelector")
        if homes is None:
            if pod.namespace != policy.namespace:
                return False
        else:
            labels = {_NAME: pod.namespace, **self.namespaces.get(pod.namespace, {})}
            if not matches(homes, labels):
                return False
        return matches(peer.get("podSelector") or {}, pod.labels)


def pod_of(obj: Obj) -> Pod | None:
    """A pod that has an address of its own."""
    addresses = tuple(one["ip"] for one in status_of(obj).get("podIPs") or ())
    if not addresses or is_finished(obj) or spec_of(obj).get("hostNetwork"):
        return None
    ports = {
        (port.get("protocol", "TCP"), port["name"]): port["containerPort"]
        for container in spec_of(obj).get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name")
    }
    return Pod(namespace_of(obj), name_of(obj), labels_of(obj), addresses, ports)


def _names(pod: Pod | None, port: int, transport: Transport) -> frozenset[str]:
    """What a pod calls this port."""
    if pod is None:
        return frozenset()
    return frozenset(
        name
        for (protocol, name), number in pod.ports.items()
        if protocol == transport and number == port
    )


def _is_port(
    ports: Sequence[Obj] | None, number: int, transport: Transport, names: frozenset[str]
) -> bool:
    """True for every port where none is named."""
    if not ports:
        return True
    return any(
        one.get("protocol", "TCP") == transport and _covers(one, number, names) for one in ports
    )


def _covers(wanted: Obj, number: int, names: frozenset[str]) -> bool:
    first = wanted.get("port")
    if first is None:
        return True
    if isinstance(first, str) and not first.isdecimal():
        return first in names
    return int(first) <= number <= int(wanted.get("endPort") or first)


def _in_block(block: Obj, address: str) -> bool:
    try:
        found = _address(address)
        if found not in _network(block.get("cidr", "")):
            return False
        return not any(found in _network(one) for one in block.get("except") or ())
    except ValueError:
        return False


@lru_cache(maxsize=_REMEMBERED)
def _address(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text)


@lru_cache(maxsize=_REMEMBERED)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)
