"""Deployments: a replica set per template, sized step by step as `rollouts` says."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from kdns.lab.controllers import rollouts
from kdns.lab.controllers.bodies import (
    annotations_of,
    condition,
    controller_of,
    is_controlled_by,
    is_terminating,
    labels_of,
    matches,
    name_of,
    owner_reference,
    spec_of,
)
from kdns.lab.controllers.rollouts import replicas_of
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import DEPLOYMENTS, REPLICASETS, Resource
from kdns.lab.storage import Key


class Deployments(Controller):
    """Makes, sizes and forgets the replica sets of Deployments."""

    name: ClassVar[str] = "deployment-controller"
    watches: ClassVar[tuple[Resource, ...]] = (DEPLOYMENTS, REPLICASETS)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The Deployment itself, or the one of a replica set."""
        metadata = event.object["metadata"]
        if resource is DEPLOYMENTS:
            return ((metadata["namespace"], metadata["name"]),)
        owner = controller_of(event.object)
        return ((metadata["namespace"], owner["name"]),) if owner else ()

    def sync(self, key: Key) -> float | None:
        """One step of the rollout; each step's effect brings the next."""
        desk = self.desk
        deployment = desk.storage.find(DEPLOYMENTS, *key)
        if deployment is None or is_terminating(deployment):
            return None
        sets = self._sets(deployment)
        new = rollouts.new_set(deployment, sets)
        old = [one for one in sets if one is not new]
        if not spec_of(deployment).get("paused"):
            new = self._newest(deployment, new, old)
            deployment = self._marked(deployment, new)
        self._size(deployment, new, old)
        for one in rollouts.surplus(deployment, old):
            desk.delete(one)
        new = new and desk.present(new)
        left = [one for one in map(desk.present, old) if one]
        now = desk.now()
        after = desk.set_status(deployment, rollouts.status(deployment, new, left, now))
        progress = condition(after, "Progressing") or {}
        return rollouts.late_in(after, progress, now) or None

    def _sets(self, deployment: Obj) -> list[Obj]:
        """Its replica sets, and orphans that fit, which it takes in."""
        found = []
        for one in self.desk.storage.around(REPLICASETS, deployment):
            if is_terminating(one):
                continue
            if is_controlled_by(one, deployment):
                found.append(one)
            elif controller_of(one) is None and _fits(deployment, one):
                owned = [*(one["metadata"].get("ownerReferences") or ()),
                         owner_reference(deployment)]  # fmt: skip
                metadata = {**one["metadata"], "ownerReferences": owned}
                found.append(self.desk.update({**one, "metadata": metadata}))
        return found

    def _newest(self, deployment: Obj, new: Obj | None, old: Sequence[Obj]) -> Obj:
        """The replica set of the present template, with the highest revision."""
        highest = max(map(rollouts.revision_of, old), default=0)
        if new is None:
            made = rollouts.made_set(deployment, highest + 1, owner_reference(deployment))
            size = rollouts.sizes(deployment, made, old)[name_of(made)]
            self._tell(deployment, made, 0, size)
            return self.desk.create({**made, "spec": {**made["spec"], "replicas": size}})
        revision = rollouts.revision_of(new)
        if revision <= highest:  # an undo: an old template is the newest again
            revision = highest + 1
        told = {**annotations_of(new), **rollouts.annotations_for(deployment, revision)}
        spec = {key: value for key, value in new["spec"].items() if key != "minReadySeconds"}
        if least := spec_of(deployment).get("minReadySeconds"):
            spec["minReadySeconds"] = least
        metadata = {**new["metadata"], "annotations": told}
        return self.desk.update({**new, "metadata": metadata, "spec": spec})

    def _marked(self, deployment: Obj, new: Obj) -> Obj:
        """The Deployment with the revision of its newest replica set noted on it."""
        revision = str(rollouts.revision_of(new))
        annotations = {**annotations_of(deployment), rollouts.REVISION: revision}
        metadata = {**deployment["metadata"], "annotations": annotations}
        return self.desk.update({**deployment, "metadata": metadata})

    def _size(self, deployment: Obj, new: Obj | None, old: Sequence[Obj]) -> None:
        wanted = rollouts.sizes(deployment, new, old)
        for one in [*([new] if new else []), *old]:
            before, after = replicas_of(one), wanted[name_of(one)]
            if before == after:
                continue
            self.desk.update({**one, "spec": {**one["spec"], "replicas": after}})
            self._tell(deployment, one, before, after)

    def _tell(self, deployment: Obj, one: Obj, before: int, after: int) -> None:
        if before == after:
            return
        word = "up" if after > before else "down"
        said = f"Scaled {word} replica set {name_of(one)} from {before} to {after}"
        self.desk.tell(deployment, "ScalingReplicaSet", said, source=self.name)


def _fits(deployment: Obj, one: Obj) -> bool:
    return matches(spec_of(deployment).get("selector"), labels_of(one))
