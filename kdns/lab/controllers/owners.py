"""What ReplicaSets, StatefulSets and DaemonSets share: they own pods, act step by step, count."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from kdns.lab.controllers import pods as pods_
from kdns.lab.controllers.bodies import is_terminating, name_of, namespace_of
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import PODS, Resource
from kdns.lab.storage import Key

REVISION = "controller-revision-hash"
"""The label of a pod that says which template it has."""


class Owners(Controller):
    """Makes and removes the pods of one kind of owner."""

    kind: ClassVar[Resource]

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The owner itself, or the owners of a pod."""
        if resource is PODS:
            return pods_.owners_of(self.desk, self.kind, (event.old, event.object))
        return ((namespace_of(event.object), name_of(event.object)),)

    def sync(self, key: Key) -> float | None:
        """One step, and the counts."""
        desk = self.desk
        owner = desk.storage.find(self.kind, *key)
        if owner is None:
            return None
        pods = self.mine(owner)
        now = desk.storage.now()
        if not is_terminating(owner):
            pods += self.act(owner, pods, now)
        current = [pod for pod in map(desk.present, pods) if pod]
        desk.set_status(owner, self.count(owner, current, now))
        return pods_.soonest(current, owner, now)

    def mine(self, owner: Obj) -> list[Obj]:
        """The pods of an owner."""
        return pods_.claimed(self.desk, owner)

    def act(self, owner: Obj, pods: Sequence[Obj], now: float) -> list[Obj]:
        """Does what may be done now, and gives the pods that were made."""
        raise NotImplementedError

    def count(self, owner: Obj, pods: Sequence[Obj], now: float) -> Obj:
        """The status."""
        raise NotImplementedError

    def make(self, owner: Obj, pod: Obj) -> Obj:
        """Makes a pod and says so."""
        made = self.desk.create(pod)
        said = f"Created pod: {name_of(made)}"
        self.desk.tell(owner, "SuccessfulCreate", said, source=self.name)
        return made

    def remove(self, owner: Obj, pod: Obj) -> None:
        """Gives a pod up and says so."""
        self.desk.delete(pod)
        said = f"Deleted pod: {name_of(pod)}"
        self.desk.tell(owner, "SuccessfulDelete", said, source=self.name)
