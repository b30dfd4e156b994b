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
    spec_of,
)
from kdns.lab.controllers.replicasets import remove
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import DAEMONSETS, NODES, PODS, Resource
from kdns.lab.storage import Key

REVISION = "controller-revision-hash"


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


class DaemonSets(Controller):
    """Makes and removes the pods of DaemonSets."""

    name: ClassVar[str] = "daemonset-controller"
    watches: ClassVar[tuple[Resource, ...]] = (DAEMONSETS, PODS, NODES)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The set itself, the sets of a pod, or all of them for a node."""
        if resource is PODS:
            return pods_.owners_of(self.desk, DAEMONSETS, (event.old, event.object))
        changed = [event.object] if resource is DAEMONSETS else self.desk.storage.list(DAEMONSETS)
        return [(one["metadata"]["namespace"], name_of(one)) for one in changed]

    def sync(self, key: Key) -> float | None:
        """One step, and the counts."""
        desk = self.desk
        owner = desk.storage.find(DAEMONSETS, *key)
        if owner is None:
            return None
        pods = pods_.claimed(desk, owner)
        nodes = fitting(owner, desk.storage.list(NODES))
        now = desk.storage.now()
        if not is_terminating(owner):
            todo = step(owner, pods, nodes, now)
            for node in todo.create:
                pods.append(self._make(owner, node))
            for pod in todo.delete:
                remove(desk, owner, pod, self.name)
        current = [pod for pod in map(desk.present, pods) if pod]
        desk.set_status(owner, status(owner, current, nodes, now))
        return pods_.soonest(current, owner, now)

    def _make(self, owner: Obj, node: str) -> Obj:
        name = f"{name_of(owner)}-{self.desk.suffix()}"
        pod = pods_.made_from(
            spec_of(owner)["template"], owner, name, {REVISION: revision_of(owner)}
        )
        made = self.desk.create({**pod, "spec": {**pod["spec"], "nodeName": node}})
        self.desk.tell(owner, "SuccessfulCreate", f"Created pod: {name}", source=self.name)
        return made
