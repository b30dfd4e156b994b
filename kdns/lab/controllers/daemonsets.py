"""DaemonSets: one pod of a template on every node that fits, replaced one by one."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from kdns.lab.controllers import pods as pods_
from kdns.lab.controllers.bodies import (
    digest,
    generation_of,
    has_all,
    is_active,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
)
from kdns.lab.controllers.owners import REVISION, Owners
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import DAEMONSETS, NODES, PODS, Resource
from kdns.lab.storage import Key


class Step(NamedTuple):
    """Nodes that lack a pod, and pods to give up."""

    create: Sequence[str]
    delete: Sequence[Obj]


def revision_of(owner: Obj) -> str:
    """The hash of the present template."""
    return digest(spec_of(owner)["template"])


def fitting(owner: Obj, nodes: Iterable[Obj]) -> list[str]:
    """The nodes that its template's nodeSelector allows."""
    wanted = (spec_of(owner)["template"].get("spec") or {}).get("nodeSelector") or {}
    return [name_of(node) for node in nodes
            if has_all(labels_of(node), wanted) and not is_terminating(node)]  # fmt: skip


def step(owner: Obj, pods: Iterable[Obj], nodes: Sequence[str], now: float) -> Step:
    """What brings every node to exactly one pod of the present template."""
    by_node: dict[str, list[Obj]] = {}
    for pod in pods:
        by_node.setdefault(spec_of(pod).get("nodeName", ""), []).append(pod)
    create = [node for node in nodes if not any(map(_stays, by_node.get(node, ())))]
    delete = [
        pod
        for node, there in by_node.items()
        for at, pod in enumerate(sorted(there, key=lambda pod: not is_active(pod)))
        if not is_terminating(pod) and (node not in nodes or at or is_finished(pod))
    ]
    if create or delete:
        return Step(create, delete)
    strategy = spec_of(owner).get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return Step((), ())
    everybody = [pod for there in by_node.values() for pod in there]
    if not all(pods_.is_available(pod, owner, now) for pod in everybody if is_current(owner, pod)):
        return Step((), ())
    return Step((), [pod for pod in everybody if not is_current(owner, pod)][:1])


def _stays(pod: Obj) -> bool:
    # A node gets its next pod when the last one has gone.
    return not is_finished(pod)


def is_current(owner: Obj, pod: Obj) -> bool:
    """True for a pod of the present template."""
    return labels_of(pod).get(REVISION) == revision_of(owner)


def status(owner: Obj, pods: Iterable[Obj], nodes: Sequence[str], now: float) -> Obj:
    """The counts."""
    there = [pod for pod in pods if is_active(pod)]
    rightly = [pod for pod in there if spec_of(pod).get("nodeName") in nodes]
    available = sum(pods_.is_available(pod, owner, now) for pod in rightly)
    counts = {
        "updatedNumberScheduled": sum(is_current(owner, pod) for pod in rightly),
        "numberAvailable": available,
        "numberUnavailable": len(nodes) - available,
    }
    return {
        "currentNumberScheduled": len(rightly),
        "desiredNumberScheduled": len(nodes),
        "numberMisscheduled": len(there) - len(rightly),
        "numberReady": sum(is_ready(pod) for pod in rightly),
        **{key: count for key, count in counts.items() if count},
        "observedGeneration": generation_of(owner),
    }


class DaemonSets(Owners):
    """Makes and removes the pods of DaemonSets."""

    name: ClassVar[str] = "daemonset-controller"
    kind: ClassVar[Resource] = DAEMONSETS
    watches: ClassVar[tuple[Resource, ...]] = (DAEMONSETS, PODS, NODES)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The set itself, the sets of a pod, or all of them for a node."""
        if resource is NODES:
            found = self.desk.storage.list(DAEMONSETS)
            return [(namespace_of(one), name_of(one)) for one in found]
        return super().keys(resource, event)

    def act(self, owner: Obj, pods: Sequence[Obj], now: float) -> list[Obj]:
        """Makes or gives up what the step says."""
        todo = step(owner, pods, self._nodes(owner), now)
        for pod in todo.delete:
            self.remove(owner, pod)
        return [self.make(owner, self._pod(owner, node)) for node in todo.create]

    def count(self, owner: Obj, pods: Sequence[Obj], now: float) -> Obj:
        """The status."""
        return status(owner, pods, self._nodes(owner), now)

    def _nodes(self, owner: Obj) -> list[str]:
        return fitting(owner, self.desk.storage.list(NODES))

    def _pod(self, owner: Obj, node: str) -> Obj:
        name, labels = f"{name_of(owner)}-{self.desk.suffix()}", {REVISION: revision_of(owner)}
        pod = pods_.made_from(spec_of(owner)["template"], owner, name, labels)
        return {**pod, "spec": {**pod["spec"], "nodeName": node}}
