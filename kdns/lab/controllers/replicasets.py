"""ReplicaSets: as many pods of a template as wished, and a status that counts them."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from kdns.lab.controllers import pods as pods_
from kdns.lab.controllers.bodies import (
    generation_of,
    has_all,
    is_active,
    is_ready,
    labels_of,
    name_of,
    spec_of,
)
from kdns.lab.controllers.owners import Owners
from kdns.lab.errors import Obj
from kdns.lab.resources import PODS, REPLICASETS, Resource


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


class ReplicaSets(Owners):
    """Makes and removes the pods of ReplicaSets."""

    name: ClassVar[str] = "replicaset-controller"
    kind: ClassVar[Resource] = REPLICASETS
    watches: ClassVar[tuple[Resource, ...]] = (REPLICASETS, PODS)

    def act(self, owner: Obj, pods: Sequence[Obj], now: float) -> list[Obj]:
        """Makes what lacks, gives up what is too much."""
        del now
        todo = step(owner, pods)
        for pod in todo.delete:
            self.remove(owner, pod)
        template = spec_of(owner)["template"]
        names = [f"{name_of(owner)}-{self.desk.suffix()}" for _ in range(todo.create)]
        return [self.make(owner, pods_.made_from(template, owner, name)) for name in names]

    def count(self, owner: Obj, pods: Sequence[Obj], now: float) -> Obj:
        """The status."""
        return status(owner, pods, now)
