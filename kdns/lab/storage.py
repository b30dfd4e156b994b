"""The lab's objects: every write makes a new version, an event, and never changes what was stored.

Writes are checked and completed by the Rules of their kind here, so that a controller and a client
of the API are held to the same. Everything is synchronous: what a caller does between two awaits is
one transaction. `now` (seconds since the epoch) and `uid` are the only things from outside.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kdns.lab import errors
from kdns.lab.errors import Cause, Obj
from kdns.lab.history import Event, History, Item, Watch
from kdns.lab.marks import Marks
from kdns.lab.metadata import born, carried, changes, has_new_spec
from kdns.lab.ranges import USUAL, Ranges
from kdns.lab.resources import NAMESPACES, RESOURCES, Resource

Objects = list[Obj]
Items = list[Item]
Dump = list[tuple[Resource, Item]]

Key = tuple[str, str]
"""Namespace ("" for cluster-wide kinds) and name."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """How to delete: what must hold, how long to wait, what becomes of the dependants."""

    uid: str = ""
    version: str = ""
    grace_s: int | None = None
    propagation: str = ""


ANYHOW = Deletion()
_LAST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


class _Table:
    """The objects of one kind."""

    def __init__(self, floor: int) -> None:
        self.items: dict[Key, Item] = {}
        self.keys: list[Key] = []
        self.marks = Marks()
        self.history = History(floor)

    def put(self, key: Key, item: Item) -> None:
        if old := self.items.get(key):
            self.marks.drop(old.object)
        else:
            insort(self.keys, key)
        self.items[key] = item
        self.marks.add(item.object)

    def take(self, key: Key) -> None:
        self.marks.drop(self.items.pop(key).object)
        del self.keys[bisect_left(self.keys, key)]


class Storage:
    """All objects, one version counter, and a history per kind."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        uid: Callable[[], str],
        version: int = 1,
        ranges: Ranges = USUAL,
        authority: str = "",
    ) -> None:
        self.now = now
        self.uid = uid
        self.ranges = ranges
        self.authority = authority
        self.version = version
        self._tables = {resource: _Table(version) for resource in RESOURCES}

    # Reading

    def get(self, resource: Resource, namespace: str, name: str) -> Obj:
        """The object, which must not be changed; raises 404."""
        return self.item(resource, namespace, name).object

    def find(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The object, or None."""
        item = self._tables[resource].items.get((namespace, name))
        return item.object if item else None

    def item(self, resource: Resource, namespace: str, name: str) -> Item:
        """The object with its version and its encoded forms; raises 404."""
        item = self._tables[resource].items.get((namespace, name))
        if item is None:
            raise errors.not_found(resource.plural, name, resource.group)
        return item

    def list(self, resource: Resource, namespace: str = "") -> Objects:
        """All objects of a namespace, or ("") of all, by namespace and name."""
        return [item.object for item in self.items(resource, namespace)]

    def items(self, resource: Resource, namespace: str = "") -> Items:
        """As list, with versions and encoded forms."""
        table = self._tables[resource]
        keys = table.keys
        if namespace:
            keys = keys[
                bisect_left(keys, (namespace, "")) : bisect_left(keys, (namespace + "\0", ""))
            ]
        return [table.items[key] for key in keys]

    def bearing(self, resource: Resource, namespace: str, wanted: Mapping[str, str]) -> Objects:
        """The objects of a namespace that bear all these labels, by name."""
        if not wanted:
            return self.list(resource, namespace)
        return self._named(resource, namespace, self._marks(resource).bearing(namespace, wanted))

    def around(self, resource: Resource, owner: Obj) -> Objects:
        """Those that an owner controls, and those that bear the labels that it selects, by name."""
        namespace = owner["metadata"].get("namespace", "")
        selector = owner["spec"].get("selector")
        wanted = (selector or {}).get("matchLabels")
        if selector and not wanted:
            return self.list(resource, namespace)
        marks = self._marks(resource)
        names = marks.controlled(namespace, owner["metadata"]["uid"])
        if wanted:
            names |= marks.bearing(namespace, wanted)
        return self._named(resource, namespace, names)

    def selecting(self, resource: Resource, namespace: str, labels: Mapping[str, str]) -> Objects:
        """Those with a selector that may select who bears these labels, by name."""
        return self._named(resource, namespace, self._marks(resource).selecting(namespace, labels))

    def _marks(self, resource: Resource) -> Marks:
        return self._tables[resource].marks

    def _named(self, resource: Resource, namespace: str, names: Iterable[str]) -> Objects:
        items = self._tables[resource].items
        return [items[namespace, name].object for name in sorted(names)]

    def items_at(self, resource: Resource, version: int) -> Items:
        """All objects as they were at a version, by namespace and name; raises 410 if forgotten."""
        table = self._tables[resource]
        history = table.history
        place = history.since(version) - history.dropped
        then: dict[Key, Item | None] = {}
        for event in reversed(history.events[place:]):
            then[_key(event.object)] = event.old_item
        if not then:
            return self.items(resource)
        found = {**table.items, **then}
        keys = sorted(found) if len(found) > len(table.items) else table.keys
        return [item for item in map(found.get, keys) if item]

    def watch(self, resource: Resource, namespace: str = "", *, since: int | None = None) -> Watch:
        """Events behind a version; without one, ADDED for all there is and then what happens.

        Raises 410 when the version is older than what is remembered.
        """
        history = self._tables[resource].history
        first: list[Event] = []
        if since is None:
            first = [Event("ADDED", item, None) for item in self.items(resource, namespace)]
            since = self.version
        return Watch(history, history.since(since), namespace, first)

    # Writing

    def create(self, resource: Resource, namespace: str, obj: Obj, *, is_dry: bool = False) -> Obj:
        """Stores a new object and gives it as stored; raises 409, 422, 403, 404."""
        name = obj["metadata"].get("name", "")
        self._open_namespace(resource, namespace, name)
        new = born(resource, namespace, obj, timestamp(self.now()), self.uid())
        self._check(resource, new, None)
        if self.find(resource, namespace, name):
            raise errors.already_exists(resource.plural, name, resource.group)
        resource.rules.allocate(new, None, self)
        return new if is_dry else self._store(resource, new, None)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Obj,
        *,
        part: str = "",
        is_dry: bool = False,
    ) -> Obj:
        """Stores a new version made from the current one; part is "" or "status".

        Raises 409 unless obj has the current resourceVersion or none. What changes nothing makes no
        version. An object under deletion ends when its last finalizer goes.
        """
        item = self.item(resource, namespace, name)
        old = item.object
        new = carried(resource, obj, old)
        if part == "status":
            new = resource.rules.status_of(new, old)
        elif resource.has_status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        self._check(resource, new, old)
        resource.rules.allocate(new, old, self)
        if not changes(new, old):
            return old
        if resource.has_generation and has_new_spec(new, old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if is_dry:
            return new
        if "deletionTimestamp" in new["metadata"] and self._is_over(resource, new):
            return self._remove(resource, item, new)
        return self._store(resource, new, item)

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        how: Deletion = ANYHOW,
        *,
        is_dry: bool = False,
    ) -> Obj:
        """Deletes, or begins to; gives the object, with a deletionTimestamp if it lives on."""
        item = self.item(resource, namespace, name)
        old = item.object
        _require(resource, old, how)
        grace_s = resource.rules.grace_s(old, how.grace_s)
        new = old | {"metadata": dict(old["metadata"])}
        finalizers = _finalizers(old, how.propagation)
        new["metadata"].pop("finalizers", None)
        if finalizers:
            new["metadata"]["finalizers"] = finalizers
        is_new = "deletionTimestamp" not in old["metadata"]
        if is_new or grace_s < old["metadata"].get("deletionGracePeriodSeconds", 0):
            new["metadata"]["deletionTimestamp"] = timestamp(self.now() + grace_s)
            new["metadata"]["deletionGracePeriodSeconds"] = grace_s
            if resource.has_generation and is_new:
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if is_new:
            resource.rules.terminate(new)
        if is_dry:
            return new
        if not grace_s and not resource.rules.is_held(new):
            return self._remove(resource, item, old)
        return self._store(resource, new, item) if changes(new, old) else old

    # The whole of it

    def compact(self, version: int | None = None) -> None:
        """Forgets how the objects came to what they were at a version (or now)."""
        for table in self._tables.values():
            table.history.compact(self.version if version is None else version)

    def forget(self, version: int) -> None:
        """Lets go of the events up to a version; who has seen the last of them goes on."""
        for table in self._tables.values():
            table.history.forget(version)

    def load(self, objects: Iterable[tuple[Resource, Obj]], version: int) -> None:
        """Replaces everything by objects as they were stored once; every watch ends."""
        tables = {resource: _Table(version) for resource in RESOURCES}
        for resource, obj in objects:
            stored = int(obj["metadata"]["resourceVersion"])
            tables[resource].items[_key(obj)] = Item(obj, stored)
        for table in tables.values():
            table.keys = sorted(table.items)
            for item in table.items.values():
                table.marks.add(item.object)
        ended, self._tables = self._tables, tables
        self.version = version
        for table in ended.values():
            table.history.end()

    def dump(self) -> Dump:
        """Everything that is stored, for `load`."""
        return [(resource, item) for resource in RESOURCES for item in self.items(resource)]

    # Private

    def _open_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.is_namespaced:
            return
        where = self.get(NAMESPACES, "", namespace)
        if "deletionTimestamp" in where["metadata"]:
            why = "it is being terminated"
            message = f"unable to create new content in namespace {namespace} because {why}"
            words = f"namespace {namespace} is being terminated"
            cause = Cause("metadata.namespace", "NamespaceTerminating", words)
            raise errors.forbidden(resource.plural, name, message, resource.group, [cause])

    def _check(self, resource: Resource, new: Obj, old: Obj | None) -> None:
        rules = resource.rules
        rules.default(new)
        rules.prepare(new, old, self)
        causes = rules.validate(new, old, self.ranges)
        if causes:
            name = new["metadata"].get("name", "")
            raise errors.invalid(resource.kind, name, causes, resource.group)

    def _store(self, resource: Resource, new: Obj, item: Item | None) -> Obj:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        stored = Item(new, self.version)
        table = self._tables[resource]
        table.put(_key(new), stored)
        table.history.append(Event("MODIFIED" if item else "ADDED", stored, item))
        return new

    def _remove(self, resource: Resource, item: Item, last: Obj) -> Obj:
        self.version += 1
        metadata = last["metadata"] | {"resourceVersion": str(self.version)}
        gone = last | {"metadata": metadata}
        table = self._tables[resource]
        table.take(_key(gone))
        table.history.append(Event("DELETED", Item(gone, self.version), item))
        resource.rules.released(gone, self)
        return gone

    def _is_over(self, resource: Resource, obj: Obj) -> bool:
        """An object under deletion ends with its last finalizer, once its grace has run out."""
        waits = obj["metadata"].get("deletionGracePeriodSeconds", 0)
        return not waits and not resource.rules.is_held(obj)


def timestamp(seconds: float) -> str:
    """A time as objects have it."""
    return datetime.fromtimestamp(min(seconds, _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(obj: Obj) -> Key:
    metadata: dict[str, Any] = obj["metadata"]  # Any: as Obj
    return metadata.get("namespace", ""), metadata["name"]


def _require(resource: Resource, old: Obj, how: Deletion) -> None:
    metadata = old["metadata"]
    for word, key, wanted, perhaps in (
        ("UID", "uid", how.uid, "deleted and then recreated"),
        ("ResourceVersion", "resourceVersion", how.version, "modified"),
    ):
        found = metadata[key]
        if wanted and wanted != found:
            why = (
                f"the {word} in the precondition ({wanted}) does not match the {word} in record "
                f"({found}). The object might have been {perhaps}"
            )
            raise errors.conflict(resource.kind, metadata["name"], resource.group, why)


def _finalizers(old: Obj, propagation: str) -> list[str]:
    """Those of the object; Foreground and Orphan leave one for the garbage collector."""
    found = [
        one
        for one in old["metadata"].get("finalizers", [])
        if not propagation or one not in {"foregroundDeletion", "orphan"}
    ]
    added = {"Foreground": ["foregroundDeletion"], "Orphan": ["orphan"]}
    return found + added.get(propagation, [])
