"""Garbage collection: what depends on an object goes with it, or waits for it, or is let go.

Background (the default): an object whose owners are all gone is deleted. Foreground: an owner under
deletion waits until its dependants are gone. Orphan: they lose the reference and stay.
"""

from collections.abc import Iterable
from typing import ClassVar

from kdns.lab.controllers.bodies import (
    is_terminating,
    name_of,
    namespace_of,
    uid_of,
)
from kdns.lab.controllers.desk import Desk, resource_of
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import EVENTS, RESOURCES, Resource, by_kind
from kdns.lab.storage import Deletion, Key

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def references_of(obj: Obj) -> list[Obj]:
    """Its owner references."""
    return obj["metadata"].get("ownerReferences") or []


def finalizers_of(obj: Obj) -> list[str]:
    """What holds it while it is being deleted."""
    return obj["metadata"].get("finalizers") or []


class Garbage(Controller):
    """Deletes what nobody owns any more. Its keys are a uid and "" (an owner) or "object"."""

    name: ClassVar[str] = "garbage-collector"
    watches: ClassVar[tuple[Resource, ...]] = tuple(one for one in RESOURCES if one is not EVENTS)

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._places: dict[str, tuple[Resource, Key]] = {}
        self._dependants: dict[str, set[str]] = {}

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The object, and those that it depends on or that depend on it."""
        obj, uid = event.object, uid_of(event.object)
        owners = {one["uid"] for one in references_of(obj)}
        before = {one["uid"] for one in references_of(event.old)} if event.old else set()
        if event.type == "DELETED":
            self._places.pop(uid, None)
            for owner in owners | before:
                self._dependants.get(owner, set()).discard(uid)
            return [(one, "") for one in (uid, *self._dependants.get(uid, ()), *owners)]
        self._places[uid] = resource, (namespace_of(obj), name_of(obj))
        for owner in before - owners:
            self._dependants.get(owner, set()).discard(uid)
        for owner in owners:
            self._dependants.setdefault(owner, set()).add(uid)
        return [(uid, "")] if owners or is_terminating(obj) else []

    def sync(self, key: Key) -> float | None:
        """Lets an object go, or those that depend on it, where that is due."""
        obj = self._present(key[0])
        if obj is None:
            if not self._dependants.get(key[0]):
                self._dependants.pop(key[0], None)
            return None
        if is_terminating(obj):
            self._end(obj)
        elif references_of(obj):
            self._check(obj)
        return None

    def _present(self, uid: str) -> Obj | None:
        if uid not in self._places:
            return None
        resource, key = self._places[uid]
        found = self.desk.storage.find(resource, *key)
        return found if found and uid_of(found) == uid else None

    def _check(self, obj: Obj) -> None:
        """Deletes an object none of whose owners is left, or one that waits for it to go."""
        owners = [self._owner(obj, one) for one in references_of(obj)]
        if not any(owners):
            self.desk.delete(obj, Deletion(uid=uid_of(obj), propagation="Background"))
            return
        waiting = [one for one in owners if one and FOREGROUND in finalizers_of(one)
                   and is_terminating(one)]  # fmt: skip
        if waiting and len(waiting) == sum(one is not None for one in owners):
            self.desk.delete(obj, Deletion(uid=uid_of(obj), propagation="Foreground"))

    def _owner(self, obj: Obj, reference: Obj) -> Obj | None:
        """The object that a reference means, if it exists; one of an unknown kind is there."""
        resource = by_kind(reference["apiVersion"], reference["kind"])
        if resource is None:
            return obj
        namespace = namespace_of(obj) if resource.is_namespaced else ""
        found = self.desk.storage.find(resource, namespace, reference["name"])
        return found if found and uid_of(found) == reference["uid"] else None

    def _end(self, owner: Obj) -> None:
        """Takes care of the dependants of an object that is to go."""
        uids = self._dependants.get(uid_of(owner), set())
        dependants = [one for one in map(self._present, sorted(uids)) if one]
        if ORPHAN in finalizers_of(owner):
            for one in dependants:
                self._release(one, owner)
            self._finish(owner, ORPHAN)
        elif FOREGROUND in finalizers_of(owner):
            for one in dependants:
                self._check(one)
            blocking = [one for one in map(self._present, sorted(uids))
                        if one and self._blocks(one, owner)]  # fmt: skip
            if not blocking:
                self._finish(owner, FOREGROUND)

    def _blocks(self, obj: Obj, owner: Obj) -> bool:
        return any(one["uid"] == uid_of(owner) and one.get("blockOwnerDeletion")
                   for one in references_of(obj))  # fmt: skip

    def _release(self, obj: Obj, owner: Obj) -> None:
        left = [one for one in references_of(obj) if one["uid"] != uid_of(owner)]
        self.desk.update({**obj, "metadata": {**obj["metadata"], "ownerReferences": left}})

    def _finish(self, owner: Obj, finalizer: str) -> None:
        left = [one for one in finalizers_of(owner) if one != finalizer]
        resource = resource_of(owner)
        new = {**owner, "metadata": {**owner["metadata"], "finalizers": left}}
        self.desk.storage.update(resource, namespace_of(owner), name_of(owner), new)
