"""The pods of a Store, by name and by address."""

from collections.abc import Hashable, Iterator
from typing import Final

from kdns.cluster.alike import name_of
from kdns.cluster.objects import Object, Pod

PARTS: Final = 64
"""Tables that pods are looked up in by address: one of 150,000 takes 4 ms when it grows."""


class PodTable:
    """Pods and where they are. What it changes is said by the addresses that it moved."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, Pod]] = {}
        self._at: list[dict[bytes, tuple[Pod, ...]]] = [{} for _ in range(PARTS)]

    def get(self, namespace: str, name: str) -> Pod | None:
        """The pod of this name."""
        return self._pods.get(namespace, {}).get(name)

    def at(self, address: bytes) -> tuple[Pod, ...]:
        """The pods that have this address, by namespace and name."""
        return self._at[hash(address) % PARTS].get(address, ())

    def names(self) -> Iterator[tuple[str, str]]:
        """Namespace and name of every pod; what is named may be taken out."""
        for namespace in list(self._pods):
            for name in list(self._pods.get(namespace, ())):
                yield namespace, name

    def all(self) -> Iterator[list[Object]]:
        """Every pod, in parts that take a short time each."""
        for namespace in list(self._pods):
            yield [*self._pods.get(namespace, {}).values()]

    def put(self, namespace: str, name: str, new: Pod | None) -> set[Hashable]:
        """Sets or, with None, takes out a pod."""
        pods = self._pods.setdefault(namespace, {})
        old = pods.pop(name, None)
        if new is not None:
            pods[name] = new
        if not pods:
            del self._pods[namespace]
        before = set(old.addresses) if old else set()
        after = set(new.addresses) if new else set()
        for address in before | after:
            part = self._at[hash(address) % PARTS]
            there = [pod for pod in part.pop(address, ()) if pod is not old]
            if new and address in after:
                there.append(new)
                there.sort(key=name_of)
            if there:
                part[address] = tuple(there)
        return set(before ^ after)
