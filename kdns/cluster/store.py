"""Events become current objects, indexes and a Change that says which facts moved.

The keys of a Change are facts, never names (design.md §3): "ns/svc" for whatever a service's names
answer, "ns" for a namespace, packed address bytes for PTR and verified pods. What a query touches
and what a Change names must be the same strings and bytes; nothing else joins the two flows.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from kdns.cluster.objects import Namespace, Object, Pod, Service, ServiceImport, Slice


@dataclass(frozen=True, slots=True)
class Put:
    """An object was added or changed."""

    object: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """An object is gone."""

    kind: type[Object]
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Replace:
    """These are all objects of a kind: a fresh list. What is not among them is gone."""

    kind: type[Object]
    objects: tuple[Object, ...]


Event = Put | Delete | Replace


@dataclass(frozen=True, slots=True)
class Change:
    """What an event moved: the facts to forget. Empty when no answer can differ."""

    keys: frozenset[Hashable] = field(default_factory=frozenset)


class Store:
    """The current objects, indexed for every question. Only `apply` changes it."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Namespace] = {}
        self.services: dict[str, Service] = {}
        """By namespace/name."""
        self.imports: dict[str, ServiceImport] = {}
        self.serial = 0
        """Unix time of the last change with effect on DNS, 0 before the first (facts B.8)."""
        self.has_synced = False

    def apply(self, event: Event, wall: float) -> Change:
        """Applies one event at Unix time `wall`."""
        raise NotImplementedError

    def slices(self, key: str) -> tuple[Slice, ...]:
        """The slices of a service, in a stable order."""
        raise NotImplementedError

    def import_slices(self, key: str) -> tuple[Slice, ...]:
        """The multicluster slices of an imported service."""
        raise NotImplementedError

    def services_at(self, address: bytes) -> tuple[Service, ...]:
        """The services that have this ClusterIP."""
        raise NotImplementedError

    def endpoints_at(self, address: bytes) -> Iterator[tuple[Slice, int]]:
        """Each slice and index at which this address is an endpoint, ready or not."""
        raise NotImplementedError

    def pods_at(self, address: bytes) -> tuple[Pod, ...]:
        """The pods that have this address."""
        raise NotImplementedError

    def apply_all(self, events: Iterable[Event], wall: float) -> Change:
        """Applies several events and joins their Changes."""
        return Change(frozenset().union(*(self.apply(event, wall).keys for event in events)))
