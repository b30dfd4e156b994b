"""ReplicaSets: as many pods of a template as wished, and a status that counts them."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from kdns.lab.controllers import pods as pods_
from kdns.lab.controllers.bodies import (
    generation_of,
    has_all,
    is_active,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    spec_of,
)
from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import PODS, REPLICASETS, Resource
from kdns.lab.storage import Key


class Step(NamedTuple):
    """What brings the number of pods to what is wished."""

    create: int
    delete: Sequence[Obj]


def step(owner: Obj, pods: Iterable[Obj]) -> Step:
    """Pods to be made or given up."""
    active = [pod for pod in pods if is_active(pod)]
    lack = int(spec_of(owner).get("replicas", 1)) - len(active)
    return Step(max(lack, 0), pods_.last_first(active)[: max(-lack, 0)])


def status(owner: Obj, pods: Iterable[Obj], now: float) -> Obj:
    """The counts."""
    active = [pod for pod in pods if is_active(pod)]
    wanted = (spec_of(owner)["template"].get("metadata") or {}).get("labels") or {}
    counts = {
        "fullyLabeledReplicas": sum(has_all(labels_of(pod), wanted) for pod in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(pods_.is_available(pod, owner, now) for pod in active),
    }
    return {
        "replicas": len(active),
        **{key: count for key, count in counts.items() if count},
        "observedGeneration": generation_of(owner),
    }


class ReplicaSets(Controller):
    """Makes and removes the pods of ReplicaSets."""

    name: ClassVar[str] = "replicaset-controller"
    watches: ClassVar[tuple[Resource, ...]] = (REPLICASETS, PODS)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The set itself, or the sets of a pod."""
        if resource is PODS:
            return pods_.owners_of(self.desk, REPLICASETS, (event.old, event.object))
        metadata = event.object["metadata"]
        return ((metadata["namespace"], metadata["name"]),)

    def sync(self, key: Key) -> float | None:
        """Makes or removes pods, then counts."""
        desk = self.desk
        owner = desk.storage.find(REPLICASETS, *key)
        if owner is None:
            return None
        pods = pods_.claimed(desk, owner)
        if not is_terminating(owner):
            todo = step(owner, pods)
            for _ in range(todo.create):
                pods.append(make(desk, owner, f"{name_of(owner)}-{desk.suffix()}", self.name))
            for pod in todo.delete:
                remove(desk, owner, pod, self.name)
        now = desk.storage.now()
        current = [pod for pod in map(desk.present, pods) if pod]
        desk.set_status(owner, status(owner, current, now))
        return pods_.soonest(current, owner, now)


def make(
    desk: Desk, owner: Obj, name: str, source: str, labels: dict[str, str] | None = None
) -> Obj:
    """Makes a pod of an owner's template and says so."""
    made = desk.create(pods_.made_from(spec_of(owner)["template"], owner, name, labels))
    desk.tell(owner, "SuccessfulCreate", f"Created pod: {name}", source=source)
    return made


def remove(desk: Desk, owner: Obj, pod: Obj, source: str) -> None:
    """Gives a pod up and says so."""
    desk.delete(pod)
    desk.tell(owner, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}", source=source)
