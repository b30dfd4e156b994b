"""Policies, pods and namespaces by events become verdicts, and groups of pods that are alike.

What changes nothing for policies (most of what happens to pods) is noticed here. Pods of one
namespace are a group when they have the same of those labels that policies ask for at all: they
differ by address only.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from kdns.lab.controllers.bodies import labels_of, name_of, namespace_of, spec_of
from kdns.lab.errors import Obj
from kdns.lab.policies.verdicts import (
    EGRESS,
    INGRESS,
    Pod,
    Policy,
    Verdicts,
    asked_labels,
    pod_of,
)
from kdns.lab.storage import Key

_Mark = tuple[str | None, ...]
"""Namespace, and the values of the labels that count."""


class Group:
    """Pods that are alike."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}

    @property
    def addresses(self) -> Iterator[str]:
        """Of all of them."""
        return (address for pod in self.pods.values() for address in pod.addresses)

    def other_than(self, address: str) -> str:
        """One of its addresses, of another pod than has this one where there is another."""
        pods = (pod for pod in self.pods.values() if address not in pod.addresses)
        return next(pods, next(iter(self.pods.values()))).addresses[0]


class Change(NamedTuple):
    """What is another for policies."""

    addresses: frozenset[str]
    """Of the pod that is new, gone or other than it was."""
    is_confined: bool
    """A policy says where it may go, or said so: all that listens must know."""


class Cluster:
    """What verdicts depend on, at one moment."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        """By address."""
        self._named: dict[Key, Pod] = {}
        self._homes: dict[str, Mapping[str, str]] = {}
        self._groups: dict[_Mark, Group] = {}
        self._confined: dict[_Mark, Group] = {}
        self._counting: tuple[str, ...] = ()
        """The labels that policies ask for."""
        self._has_blocks = False
        self.verdicts = Verdicts({}, self.pods, self._homes)

    @property
    def has_policies(self) -> bool:
        """False: everything is allowed."""
        return bool(self.verdicts.policies)

    def is_guarded(self, address: str) -> bool:
        """Whether a policy says who may come to the pod there."""
        pod = self.pods.get(address)
        return pod is not None and bool(self.verdicts.selecting(pod, INGRESS))

    def groups(self, *, guarded: bool) -> Iterable[Group]:
        """Those that may be kept from a target: all where it is guarded, else the confined ones."""
        return (self._groups if guarded else self._confined).values()

    def unlike(self, targets: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """Of addresses and ports that are alike, one."""
        found: dict[object, tuple[str, int]] = {}
        for address, port in targets:
            pod = self.pods.get(address)
            alike = (self._mark(pod), port, frozenset(pod.ports.items())) if pod else address
            found.setdefault((alike, port), (address, port))
        return list(found.values())

    # What happens

    def set_policies(self, policies: Iterable[Obj]) -> None:
        """All policies there are now."""
        found: dict[str, list[Policy]] = {}
        counting: set[str] = set()
        self._has_blocks = False
        for one in policies:
            policy = Policy(namespace_of(one), spec_of(one))
            found.setdefault(policy.namespace, []).append(policy)
            peers = list(policy.peers())
            self._has_blocks = self._has_blocks or any(peer.get("ipBlock") for peer in peers)
            for selector in (policy.spec, *peers):
                counting |= asked_labels(selector.get("podSelector") or {})
        self._counting = tuple(sorted(counting))
        self.verdicts = Verdicts(found, self.pods, self._homes)
        self._groups.clear()
        self._confined.clear()
        for pod in self._named.values():
            self._join(pod)

    def set_namespace(self, namespace: Obj) -> bool:
        """A namespace is new or changed; True when that changes what others knew of it."""
        name, labels = name_of(namespace), labels_of(namespace)
        before = self._homes.get(name, labels)
        self._homes[name] = labels
        return before != labels

    def drop_namespace(self, namespace: Obj) -> None:
        """A namespace is gone, and had no pods any more."""
        self._homes.pop(name_of(namespace), None)

    def set_pod(self, pod: Obj) -> Change | None:
        """A pod is new or changed."""
        return self._replace((namespace_of(pod), name_of(pod)), pod_of(pod))

    def drop_pod(self, pod: Obj) -> Change | None:
        """A pod is gone."""
        return self._replace((namespace_of(pod), name_of(pod)), None)

    # Private

    def _replace(self, key: Key, new: Pod | None) -> Change | None:
        old = self._named.get(key)
        if new == old:
            return None
        is_confined = False
        if old:
            is_confined = self._leave(old)
            for address in old.addresses:
                if self.pods.get(address) is old:
                    del self.pods[address]
            del self._named[key]
            self.verdicts.forget(old)
        if new:
            self._named[key] = new
            self.pods.update(dict.fromkeys(new.addresses, new))
            is_confined = self._join(new) or is_confined
        addresses = frozenset(one for pod in (old, new) if pod for one in pod.addresses)
        return Change(addresses, is_confined)

    def _join(self, pod: Pod) -> bool:
        """Puts a pod into its group; True when that is confined."""
        mark = self._mark(pod)
        group = self._groups.setdefault(mark, Group())
        group.pods[pod.name] = pod
        if self.verdicts.selecting(pod, EGRESS):
            self._confined[mark] = group
        return mark in self._confined

    def _leave(self, pod: Pod) -> bool:
        mark = self._mark(pod)
        was_confined = mark in self._confined
        group = self._groups[mark]
        del group.pods[pod.name]
        if not group.pods:
            del self._groups[mark]
            self._confined.pop(mark, None)
        return was_confined

    def _mark(self, pod: Pod) -> _Mark:
        if self._has_blocks:
            return pod.namespace, pod.name
        return pod.namespace, *map(pod.labels.get, self._counting)
