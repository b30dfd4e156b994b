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
from typing import Any, Final, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from kdns.cluster.alike import bare, name_of, sharing
from kdns.cluster.follower import Follower
from kdns.cluster.grouping import Group, Listed, sort_in
from kdns.cluster.objects import Namespace, Object, Pod, Service, ServiceImport, Slice
from kdns.cluster.selection import Selection
from kdns.cluster.slices import SliceTable

K = TypeVar("K")
T = TypeVar("T")

SYNCED: Final = "/synced"
"""The key of a Change that says that the first full state has been applied."""


class Put(Struct, frozen=True, gc=False):
    """An object was added or changed."""

    object: Object
    is_chosen: bool = False
    """True when the selection has been made already, as by whoever asked the API for it."""


class Delete(Struct, frozen=True, gc=False):
    """An object is gone."""

    kind: type[Object]
    namespace: str
    name: str


class Replace(Struct, frozen=True, gc=False):
    """These are all objects of a kind: a fresh list. What is not among them is gone."""

    kind: type[Object]
    objects: tuple[Object, ...]


class Prune(Struct, frozen=True, gc=False):
    """A list that came piece by piece, as Puts, is complete: what it did not name is gone.

    `named` holds (namespace, name), the namespace empty for what has none. Holds end with it.
    A set is given away with the event and emptied on the way: 150,000 names that are freed at
    once hold the loop for 50 ms.
    """

    kind: type[Object]
    named: set[tuple[str, str]] | frozenset[tuple[str, str]]


class Synced(Struct, frozen=True, gc=False):
    """All that came before is the source's whole first state."""


class Release(Struct, frozen=True, gc=False):
    """A fresh list has been applied where this source is fed from: holds end, as with Prune."""


Event = Put | Delete | Replace | Prune | Synced | Release


class Change(Struct, frozen=True, gc=False):
    """What an event moved: the facts to forget. Empty when no answer can differ."""

    keys: frozenset[Hashable] = frozenset()


NOTHING: Final = Change()
PARTS: Final = 64
"""Tables that pods are looked up in by address: one of 150,000 takes 4 ms when it grows."""


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
        """The same for multicluster zones."""
        self.has_synced = False
        self.edition = 0
        """Grows with every change of an object, but not of its version alone."""
        self.follower = Follower()
        self._slices = SliceTable()
        self._services_at: dict[bytes, tuple[str, ...]] = {}
        self._pods: dict[str, dict[str, Pod]] = {}
        self._pods_at: list[dict[bytes, tuple[Pod, ...]]] = [{} for _ in range(PARTS)]
        self._setters: dict[type[Object], Callable[[str, str, Any], set[Hashable]]] = {
            Namespace: self._set_namespace,
            Service: self._set_service,
            Pod: self._set_pod,
            ServiceImport: self._set_import,
        }  # Any: each setter takes objects of its own kind

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

    def services_at(self, address: bytes) -> tuple[Service, ...]:
        """The services that have this ClusterIP, by key."""
        keys = self._services_at.get(address)
        return tuple([self.services[key] for key in keys]) if keys else ()

    def endpoints_at(self, address: bytes) -> list[tuple[Slice, int]]:
        """Each local slice and index at which this address is an endpoint, ready or not."""
        return self._slices.at(address)

    def pods_at(self, address: bytes) -> tuple[Pod, ...]:
        """The pods that have this address, by namespace and name."""
        return self._pods_at[hash(address) % PARTS].get(address, ())

    def get(self, kind: type[Object], namespace: str, name: str) -> Object | None:
        """The object of this kind and name."""
        if kind is Slice:
            return self._slices.get(namespace, name)
        if kind is Pod:
            return self._pods.get(namespace, {}).get(name)
        if kind is Namespace:
            return self.namespaces.get(name)
        table = self.services if kind is Service else self.imports
        return table.get(f"{namespace}/{name}")

    def objects(self) -> Iterator[list[Object]]:
        """Every object as it was put, kind by kind, in parts that take a short time each."""
        yield [*self.namespaces.values()]
        yield [*self.services.values()]
        yield [*self._slices.all()]
        for namespace in list(self._pods):
            yield [*self._pods.get(namespace, {}).values()]
        yield [*self.imports.values()]

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
        old, new = self.get(kind, namespace, name), bare(new)
        if old is not None and new is not None:
            if old == new:
                return NOTHING
            new = sharing(old, new)
        elif old is new:
            return NOTHING
        if old is None or new is None or replace(old, version=new.version) != new:
            self.edition += 1
            self.follower.put(kind, (namespace, name), new)
        if kind is Slice:
            return self._set_slice(namespace, name, cast("Slice | None", new), wall)
        keys = self._setters[kind](namespace, name, new)
        if kind is Namespace and old is not None and new is not None:
            return Change(frozenset(keys))  # no effect on DNS, so the serial stands
        return self._moved(keys, wall, imported=kind is ServiceImport)

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
        old = _swap(self.namespaces, name, new)
        told = [None if ns is None else (ns.labels, ns.is_plain) for ns in (old, new)]
        return {name} if told[0] != told[1] else set()

    def _set_service(self, namespace: str, name: str, new: Service | None) -> set[Hashable]:
        key = f"{namespace}/{name}"
        old = _swap(self.services, key, new)
        if old and new and replace(old, version=new.version, labels=new.labels) == new:
            return set()
        before = set(old.addresses) if old else set()
        after = set(new.addresses) if new else set()
        moved: set[Hashable] = {key, *(before ^ after)} if old or new else set()
        for address in before - after:
            left = tuple(other for other in self._services_at[address] if other != key)
            _swap(self._services_at, address, left or None)
        for address in after - before:
            others = self._services_at.get(address, ())
            self._services_at[address] = tuple(sorted((*others, key)))
        return moved if new else moved | self._slices.release(key, imported=False)

    def _set_import(self, namespace: str, name: str, new: ServiceImport | None) -> set[Hashable]:
        key = f"{namespace}/{name}"
        old = _swap(self.imports, key, new)
        if old and new and replace(old, version=new.version) == new:
            return set()
        if new is None:
            return ({key} if old else set()) | self._slices.release(key, imported=True)
        return {key}

    def _set_pod(self, namespace: str, name: str, new: Pod | None) -> set[Hashable]:
        pods = self._pods.setdefault(namespace, {})
        old = _swap(pods, name, new)
        if not pods:
            del self._pods[namespace]
        before = set(old.addresses) if old else set()
        after = set(new.addresses) if new else set()
        for address in before | after:
            part = self._pods_at[hash(address) % PARTS]
            there = [pod for pod in part.get(address, ()) if pod is not old]
            if new and address in after:
                there.append(new)
                there.sort(key=name_of)
            _swap(part, address, tuple(there) or None)
        return set(before ^ after)

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
        if kind is Pod:
            for namespace in list(self._pods):
                for name in list(self._pods.get(namespace, ())):
                    yield namespace, name
        elif kind is Slice:
            yield from self._slices.names()
        elif kind is Namespace:
            for name in list(self.namespaces):
                yield "", name
        else:
            for key in list(self.services if kind is Service else self.imports):
                namespace, _, name = key.partition("/")
                yield namespace, name

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
                listed[at] = cast("Slice | None", bare(kept))
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
            self.follower.put(Slice, (namespace, name), new)
        keys = self._slices.put(namespace, name, new)
        return self._moved(keys, wall, imported=_is_imported(old, new))


def _swap(table: dict[K, T], key: K, new: T | None) -> T | None:
    """Sets or, with None, takes out an entry; returns what was there."""
    old = table.pop(key, None)
    if new is not None:
        table[key] = new
    return old


def _is_imported(old: Slice | None, new: Slice | None) -> bool:
    known = new or old
    return bool(known and known.cluster)


def _join(changes: Iterable[Change]) -> Change:
    return Change(frozenset().union(*(change.keys for change in changes)))
