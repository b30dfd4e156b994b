"""Where controllers read and write: the Storage, with the few forms of writing that they share.

`tell` leaves an Event about an object, as kubectl describe shows it: one that repeats is counted
up, and the oldest go once there are more than KEPT_EVENTS.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from kdns.lab.controllers.bodies import LETTERS, name_of, namespace_of, uid_of
from kdns.lab.errors import ApiError, Obj
from kdns.lab.resources import EVENTS, NAMESPACES, Resource, by_kind
from kdns.lab.storage import ANYHOW, Deletion, Key, Storage, timestamp

KEPT_EVENTS = 2000


class Desk:
    """A controller's access to the cluster."""

    def __init__(self, storage: Storage, chance: Callable[[int], int]) -> None:
        self.storage = storage
        self._chance = chance
        self.turn = asyncio.Lock()
        """Controllers work one after the other: between two the loop looks at its sockets."""
        self._latest = 0
        self._told: dict[tuple[str, ...], Key] = {}
        self._order: deque[tuple[tuple[str, ...], Key]] = deque()
        for event in storage.list(EVENTS):
            self._note(_sort(event["involvedObject"], event), _key(event))

    def now(self) -> str:
        """The time, as objects have it."""
        return timestamp(self.storage.now())

    def suffix(self, length: int = 5) -> str:
        """Random letters for a name."""
        return "".join(LETTERS[self._chance(len(LETTERS))] for _ in range(length))

    def present(self, obj: Obj) -> Obj | None:
        """That very object as it is now."""
        found = self.storage.find(resource_of(obj), namespace_of(obj), name_of(obj))
        return found if found and uid_of(found) == uid_of(obj) else None

    def create(self, obj: Obj) -> Obj:
        """Stores a new object, with its status if it has one."""
        resource, namespace = resource_of(obj), namespace_of(obj)
        made = self.storage.create(resource, namespace, obj)
        if resource.has_status and obj.get("status"):
            made = self.storage.update(
                resource, namespace, name_of(made), {**made, "status": obj["status"]}, part="status"
            )
        return made

    def update(self, obj: Obj) -> Obj:
        """Stores a version made from the current one; what changes nothing makes none."""
        return self.storage.update(resource_of(obj), namespace_of(obj), name_of(obj), obj)

    def set_status(self, obj: Obj, status: Obj) -> Obj:
        """Stores a status for the object as it was seen."""
        if obj.get("status") == status:
            return obj
        new = {**obj, "status": status}
        return self.storage.update(
            resource_of(obj), namespace_of(obj), name_of(obj), new, part="status"
        )

    def delete(self, obj: Obj, how: Deletion | None = None) -> None:
        """Deletes that very object; one that is gone already is fine."""
        how = how or Deletion(uid=uid_of(obj))
        try:
            self.storage.delete(resource_of(obj), namespace_of(obj), name_of(obj), how)
        except ApiError as error:
            if error.reason not in {"NotFound", "Conflict"}:
                raise

    def tell(
        self, about: Obj, reason: str, message: str, *, source: str, is_warning: bool = False
    ) -> None:
        """Leaves an Event about an object."""
        namespace = namespace_of(about) or "default"
        home = self.storage.find(NAMESPACES, "", namespace)
        if home is None or "deletionTimestamp" in home["metadata"]:
            return
        event = {"type": "Warning" if is_warning else "Normal", "reason": reason,
                 "message": message}  # fmt: skip
        involved = _involved(about)
        sort = _sort(involved, event)
        now = self.now()
        known = self._told.get(sort)
        old = known and self.storage.find(EVENTS, *known)
        if old:
            self.update({**old, "count": int(old.get("count", 1)) + 1, "lastTimestamp": now})
            return
        name = f"{name_of(about)[:230].rstrip('-.')}.{self._later():x}"
        made = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "involvedObject": involved,
            **event,
            "source": {"component": source},
            "reportingComponent": source,
            "reportingInstance": "",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "eventTime": None,
        }
        self.create(made)
        self._note(sort, (namespace, name))

    def _later(self) -> int:
        """The time in nanoseconds, later each time: kubectl shows those of one second by name."""
        self._latest = max(self._latest + 1, int(self.storage.now() * 1e9))
        return self._latest

    def _note(self, sort: tuple[str, ...], key: Key) -> None:
        self._told[sort] = key
        self._order.append((sort, key))
        while len(self._order) > KEPT_EVENTS:
            oldest, gone = self._order.popleft()
            if self._told.get(oldest) == gone:
                del self._told[oldest]
            if self.storage.find(EVENTS, *gone):
                self.storage.delete(EVENTS, *gone, ANYHOW)


def resource_of(obj: Obj) -> Resource:
    """The resource of an object that the lab knows."""
    resource = by_kind(obj["apiVersion"], obj["kind"])
    if resource is None:
        raise ValueError(f"the lab has no {obj['kind']} in {obj['apiVersion']}")
    return resource


def _involved(about: Obj) -> Obj:
    metadata = about["metadata"]
    found: Obj = {"kind": about["kind"], "apiVersion": about["apiVersion"]}
    for key in ("namespace", "name", "uid", "resourceVersion"):
        if metadata.get(key):
            found[key] = metadata[key]
    return found


def _sort(involved: Obj, event: Obj) -> tuple[str, ...]:
    return (involved.get("uid", ""), event["type"], event["reason"], event["message"])


def _key(obj: Obj) -> Key:
    return namespace_of(obj), name_of(obj)
