"""Events become current objects, indexes and a Change that says which facts moved.

The keys of a Change are facts, never names (design.md §3): "ns/svc" for whatever a service's names
answer, "ns" for a namespace, packed address bytes for PTR and verified pods. What a query touches
and what a Change names must be the same strings and bytes; nothing else joins the two flows.

Whatever order events come in, are lost, repeated or listed anew, the Store ends as one fresh list
would leave it, and a service never passes through an empty state because its endpoints moved:

* A fresh list of slices is applied new slices first, then a whole service at a time.
* A watch shows one slice at a time, and the slice controller writes the slice that loses an
  endpoint and the one that gains it in any order. So what leaves a slice is *held*, as a slice of
  its own that every look-up sees, but only on evidence that it may move: it was ready, its service
  has another slice of the same family to go to (or is in the midst of such moves), and no endpoint
  with its pod, hostname or address stands in any of them.
* All else shows at once: an endpoint that turns unready, as a pod that is shut down does before it
  leaves; a pod that comes back with a new address; whatever happens to a service with one slice a
  family, which is up to 100 endpoints (the controller creates slices before it deletes any, so the
  last slice is never deleted on a move); a deleted service; and every fresh list.
* A hold ends when the endpoint shows up, ready or not, when no slice of the service changed for
  moves.QUIET_S, and at the latest after moves.LIMIT_S. Somebody must call `settle` for that.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from typing import Any, cast

from msgspec.structs import replace

from kdns.cluster import entrances
from kdns.cluster.alike import name_of, sharing, swap
from kdns.cluster.entrances import EntranceTable
from kdns.cluster.events import (
    NOTHING,
    SYNCED,
    Change,
    Delete,
    Event,
    Prune,
    Put,
    Release,
    Replace,
    Synced,
)  # fmt: skip
from kdns.cluster.follower import Follower
from kdns.cluster.grouping import Group, Listed, sort_in
from kdns.cluster.hosts import HostTable
from kdns.cluster.nodes import NodeTable
from kdns.cluster.objects import (
    More,
    Namespace,
    Node,
    Object,
    Pod,
    Service,
    ServiceImport,
    Slice,
)
from kdns.cluster.owners import Owners
from kdns.cluster.pods import PodTable
from kdns.cluster.selection import Selection
from kdns.cluster.slices import SliceTable

__all__ = [
    "NOTHING", "SYNCED", "Change", "Delete", "Event", "Prune", "Put", "Release", "Replace", "Store",
    "Synced",
]  # fmt: skip
"""What a Store is told and says; all but itself is made in cluster.events."""

_NO_MORE = More()
_NOTHING = Service("", "")


class Store:
    """The current objects, indexed for every question. Only `apply` and `settle` change it."""

    def __init__(self, selection: Selection | None = None) -> None:
        self.selection = selection or Selection()
        self.namespaces: dict[str, Namespace] = {}
        self.services: dict[str, Service] = {}
        """By namespace/name."""
        self.imports: dict[str, ServiceImport] = {}
        self.serial = 0
        """Unix time of the last change with effect on DNS, 0 before the first (facts B.8)."""
        self.import_serial = 0
        """The same for multicluster zones,"""
        self.outer_serial = 0
        """and for what only names beyond the cluster are made from: nodes, ingresses, gateways."""
        self.has_synced = False
        self.edition = 0
        """Grows with every change of an object, but not of its version alone."""
        self.follower = Follower()
        self.noted: Callable[[Object | None, Object | None], None] | None = None
        """Is told what an object was and what it is, within the change."""
        self.nodes = NodeTable()
        self.entrances = EntranceTable()
        self.hosts = HostTable()
        """Names that annotations of services ask for; only with `selection.hosts`."""
        self._slices = SliceTable()
        self._services_at = Owners()
        self._external_at = Owners()
        self._pods = PodTable()
        self._setters: dict[type[Object], Callable[[str, str, Any], set[Hashable]]] = {
            Namespace: self._set_namespace,
            Service: self._set_service,
            Pod: self._pods.put,
            ServiceImport: self._set_import,
            Node: self.nodes.put,
            **{kind: partial(self.entrances.put, kind) for kind in entrances.KINDS},
        }
        # Any: each setter takes objects of its own kind

    def apply(self, event: Event, wall: float) -> Change:
        """Applies one event at Unix time `wall`."""
        if not isinstance(event, Put | Delete):
            return _join(self.steps(event, wall))
        ended = self._slices.settle(wall)
        change = self._apply_one(event, wall)
        return _join((self._ended(ended, wall), change)) if ended else change

    def apply_all(self, events: Iterable[Event], wall: float) -> Change:
        """Applies several events and joins their Changes."""
        return _join(self.apply(event, wall) for event in events)

    def steps(self, event: Event, wall: float) -> Iterator[Change]:
        """Applies one event bit by bit, for whoever must do something else in between.

        After each step the Store is whole: no service is seen between two states of its slices.
        """
        yield self.settle(wall)
        match event:
            case Put() | Delete():
                yield self._apply_one(event, wall)
            case Replace() if event.kind is Slice:
                yield from self._replace_slices(event, wall)
            case Replace():
                yield from self._replace(event, wall)
            case Prune():
                yield from self._prune(event, wall)
            case Release():
                yield from self._release(wall)
            case Synced():
                is_first, self.has_synced = not self.has_synced, True
                yield Change(frozenset((SYNCED,) if is_first else ()))
                yield from (NOTHING for _ in self._slices.tidy())

    def _apply_one(self, event: Put | Delete, wall: float) -> Change:
        if isinstance(event, Put):
            return self._put(event.object, wall, is_chosen=event.is_chosen)
        return self._set(event.kind, event.namespace, event.name, None, wall)

    def settle(self, wall: float) -> Change:
        """Lets go of some endpoints on the move whose time is up; due at `settles_at`."""
        return self._ended(self._slices.settle(wall), wall)

    @property
    def settles_at(self) -> float | None:
        """The Unix time to call `settle` at, None when there is nothing to settle."""
        return self._slices.settles_at

    def slices(self, key: str) -> tuple[Slice, ...]:
        """The slices of a service, in a stable order."""
        return self._slices.of(key)

    def import_slices(self, key: str) -> tuple[Slice, ...]:
        """The multicluster slices of an imported service."""
        return self._slices.imported(key)

    @property
    def serials(self) -> tuple[int, int, int]:
        """All three serials, for who holds the same elsewhere."""
        return self.serial, self.import_serial, self.outer_serial

    @serials.setter
    def serials(self, told: tuple[int, int, int]) -> None:
        self.serial, self.import_serial, self.outer_serial = told

    def services_at(self, address: bytes) -> tuple[Service, ...]:
        """The services that have this ClusterIP, by key."""
        keys = self._services_at.at(address)
        return tuple([self.services[key] for key in keys]) if keys else ()

    def external_at(self, address: bytes) -> tuple[Service, ...]:
        """The services that are reached at this address from outside, by key."""
        return tuple(self.services[key] for key in self._external_at.at(address))

    def endpoints_at(self, address: bytes) -> list[tuple[Slice, int]]:
        """Each local slice and index at which this address is an endpoint, ready or not."""
        return self._slices.at(address)

    def pods_at(self, address: bytes) -> tuple[Pod, ...]:
        """The pods that have this address, by namespace and name."""
        return self._pods.at(address)

    def get(self, kind: type[Object], namespace: str, name: str) -> Object | None:
        """The object of this kind and name."""
        if kind is Slice:
            return self._slices.get(namespace, name)
        if kind is Service:
            return self.services.get(f"{namespace}/{name}")
        if kind is Pod:
            return self._pods.get(namespace, name)
        if kind is Namespace:
            return self.namespaces.get(name)
        if kind is Node:
            return self.nodes.get(namespace, name)
        if kind is ServiceImport:
            return self.imports.get(f"{namespace}/{name}")
        return self.entrances.get(kind, namespace, name)

    def objects(self) -> Iterator[list[Object]]:
        """Every object as it was put, kind by kind, in parts that take a short time each."""
        yield [*self.namespaces.values()]
        yield [*self.services.values()]
        yield [*self._slices.all()]
        yield from self._pods.all()
        yield [*self.imports.values()]
        yield from self.nodes.all()
        yield from self.entrances.all()

    def frozen(self) -> "Store":
        """Services with their slices, which change no more; perf: a list of 10,000 takes 1 ms."""
        kept = Store(self.selection)
        kept.namespaces, kept.services = dict(self.namespaces), dict(self.services)
        kept.imports, kept.serials = dict(self.imports), self.serials
        kept._slices = self._slices.frozen()
        return kept

    def versions(self, kind: type[Object]) -> Iterator[tuple[str, str, str]]:
        """Namespace, name and resource version of every object of a kind."""
        for at in self._names(kind):
            found = self.get(kind, *at)
            if found is not None:
                yield *at, found.version

    def _put(self, thing: Object, wall: float, *, is_chosen: bool = False) -> Change:
        kept = thing if is_chosen or self.selection.keeps(thing) else None
        return self._set(type(thing), *name_of(thing), kept, wall)

    def _set(
        self, kind: type[Object], namespace: str, name: str, new: Object | None, wall: float
    ) -> Change:
        """Sets or, with None, takes out one object."""
        old, new = self.get(kind, namespace, name), self.selection.bare(new)
        if old is not None and new is not None:
            if old == new:
                return NOTHING
            new = sharing(old, new)
        elif old is new:
            return NOTHING
        differs = old is None or new is None or replace(old, version=new.version) != new
        if differs:
            self._differ(kind, (namespace, name), old, new)
        if kind is Slice:
            return self._set_slice(namespace, name, cast("Slice | None", new), wall)
        keys = self._setters[kind](namespace, name, new)
        if kind is Namespace and old is not None and new is not None:
            return Change(frozenset(keys))  # no effect on DNS, so the serial stands
        if kind is Node or kind in entrances.KINDS:
            if not differs:
                return NOTHING
            if keys:
                self.outer_serial = int(wall)
            return Change(frozenset(keys))
        return self._moved(keys, wall, imported=kind is ServiceImport)

    def _differ(
        self, kind: type[Object], at: tuple[str, str], old: Object | None, new: Object | None
    ) -> None:
        self.edition += 1
        self.follower.put(kind, at, new)
        if self.noted is not None:
            self.noted(old, new)

    def _moved(self, keys: set[Hashable], wall: float, *, imported: bool = False) -> Change:
        if keys and imported:
            self.import_serial = int(wall)
        elif keys:
            self.serial = int(wall)
        return Change(frozenset(keys))

    def _ended(self, keys: set[Hashable], wall: float) -> Change:
        """The Change of holds that ended, local ones or imported ones."""
        if self.imports:
            self._moved(keys, wall, imported=True)
        return self._moved(keys, wall)

    def _set_namespace(self, _: str, name: str, new: Namespace | None) -> set[Hashable]:
        old = swap(self.namespaces, name, new)
        told = [None if ns is None else (ns.labels, ns.is_plain) for ns in (old, new)]
        return {name} if told[0] != told[1] else set()

    def _set_service(self, namespace: str, name: str, new: Service | None) -> set[Hashable]:
        key = f"{namespace}/{name}"
        old = swap(self.services, key, new)
        if old and new and replace(old, version=new.version, labels=new.labels) == new:
            return set()
        was, now = old or _NOTHING, new or _NOTHING
        moved: set[Hashable] = {key} if old or new else set()
        moved |= self._services_at.move(key, was.addresses, now.addresses)
        if was.external_addresses or now.external_addresses:
            moved |= self._external_at.move(key, was.external_addresses, now.external_addresses)
        if self.selection.hosts:
            more = now.more or _NO_MORE
            moved |= self.hosts.put(("service", key), (*more.hosts, *more.internal_hosts))
        return moved if new else moved | self._slices.release(key, imported=False)

    def _set_import(self, namespace: str, name: str, new: ServiceImport | None) -> set[Hashable]:
        key = f"{namespace}/{name}"
        old = swap(self.imports, key, new)
        if old and new and replace(old, version=new.version) == new:
            return set()
        if new is None:
            return ({key} if old else set()) | self._slices.release(key, imported=True)
        return {key}

    def _set_slice(self, namespace: str, name: str, new: Slice | None, wall: float) -> Change:
        old = self._slices.get(namespace, name)
        exists = old is not None and old.key in (self.imports if old.cluster else self.services)
        keys = self._slices.change(namespace, name, new, exists=exists, wall=wall)
        return self._moved(keys, wall, imported=_is_imported(old, new))

    def _prune(self, event: Prune, wall: float) -> Iterator[Change]:
        for at in self._names(event.kind):
            if at not in event.named:
                yield self._set(event.kind, *at, None, wall)
                continue
            if isinstance(event.named, set):
                event.named.remove(at)
            yield NOTHING
        if event.kind is Slice:
            yield from self._release(wall)

    def _release(self, wall: float) -> Iterator[Change]:
        self.follower.released()
        while moved := self._slices.release_some():
            yield self._ended(moved, wall)

    def _names(self, kind: type[Object]) -> Iterator[tuple[str, str]]:
        """Namespace and name of every object of a kind; what is named may be taken out."""
        if kind is Slice:
            yield from self._slices.names()
        elif kind is Pod:
            yield from self._pods.names()
        elif kind is Namespace:
            for name in list(self.namespaces):
                yield "", name
        elif kind is Service or kind is ServiceImport:
            for key in list(self.services if kind is Service else self.imports):
                namespace, _, name = key.partition("/")
                yield namespace, name
        elif kind is Node:
            yield from self.nodes.names()
        else:
            yield from self.entrances.names(kind)

    def _replace(self, event: Replace, wall: float) -> Iterator[Change]:
        listed: set[tuple[str, str]] = set()
        for thing in event.objects:
            listed.add(name_of(thing))
            yield self._put(thing, wall)
        for at in self._names(event.kind):
            yield NOTHING if at in listed else self._set(event.kind, *at, None, wall)

    def _replace_slices(self, event: Replace, wall: float) -> Iterator[Change]:
        """New slices first, one by one; then what changes or vanishes, whole services at a time."""
        listed: Listed = {}
        for slice_ in cast("tuple[Slice, ...]", event.objects):
            at = name_of(slice_)
            if self._slices.get(*at) is None:
                yield self._put(slice_, wall)
                listed[at] = self._slices.get(*at)
            else:
                kept = slice_ if self.selection.keeps(slice_) else None
                listed[at] = cast("Slice | None", self.selection.bare(kept))
        groups: dict[str, Group] = {}
        for at in self._slices.names():
            old = cast("Slice", self._slices.get(*at))
            if old != listed.get(at):
                sort_in(groups, old, listed.get(at))
            yield NOTHING
        for group in {id(group): group for group in groups.values()}.values():
            yield _join([self._put_slice(*at, new, wall) for at, new in group.slices.items()])
        yield from self._release(wall)

    def _put_slice(self, namespace: str, name: str, new: Slice | None, wall: float) -> Change:
        old = self._slices.get(namespace, name)
        if old != new:
            self._differ(Slice, (namespace, name), old, new)
        keys = self._slices.put(namespace, name, new)
        return self._moved(keys, wall, imported=_is_imported(old, new))


def _is_imported(old: Slice | None, new: Slice | None) -> bool:
    known = new or old
    return bool(known and known.cluster)


def _join(changes: Iterable[Change]) -> Change:
    return Change(frozenset().union(*(change.keys for change in changes)))
