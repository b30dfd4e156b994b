"""Pods as their owners see them: made from a template, claimed by labels, counted, chosen to go."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from kdns.lab.controllers.bodies import (
    condition,
    controller_of,
    is_controlled_by,
    is_ready,
    is_terminating,
    labels_of,
    matches,
    namespace_of,
    owner_reference,
    spec_of,
    uid_of,
)
from kdns.lab.controllers.desk import Desk
from kdns.lab.errors import Obj
from kdns.lab.resources import PODS, Resource
from kdns.lab.storage import Key


def made_from(template: Obj, owner: Obj, name: str, labels: dict[str, str] | None = None) -> Obj:
    """A pod of a template."""
    metadata = template.get("metadata") or {}
    made: Obj = {
        "namespace": namespace_of(owner),
        "name": name,
        "labels": {**(metadata.get("labels") or {}), **(labels or {})},
        "ownerReferences": [owner_reference(owner)],
    }
    if metadata.get("annotations"):
        made["annotations"] = metadata["annotations"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": template.get("spec") or {}}


def claimed(desk: Desk, owner: Obj, among: Iterable[Obj] | None = None) -> list[Obj]:
    """An owner's pods, after taking in orphans that match and letting go who no longer does."""
    selector = spec_of(owner)["selector"]
    found = []
    for pod in desk.storage.around(PODS, owner) if among is None else among:
        is_ours, fits = is_controlled_by(pod, owner), matches(selector, labels_of(pod))
        if is_ours and fits:
            found.append(pod)
        elif is_ours and not is_terminating(pod):
            desk.update(_owned(pod, ()))
        elif (fits and controller_of(pod) is None
                and not is_terminating(pod) and not is_terminating(owner)):  # fmt: skip
            found.append(desk.update(_owned(pod, (owner_reference(owner),))))
    return found


def _owned(pod: Obj, references: Sequence[Obj]) -> Obj:
    others = [
        one for one in pod["metadata"].get("ownerReferences") or () if not one.get("controller")
    ]
    return {**pod, "metadata": {**pod["metadata"], "ownerReferences": [*others, *references]}}


def owners_of(desk: Desk, resource: Resource, pods: Iterable[Obj | None]) -> Iterable[Key]:
    """The keys of the owners of one kind that pods, as they were and are, concern."""
    for pod in pods:
        if pod is None:
            continue
        reference = controller_of(pod)
        if reference is not None:
            if reference["kind"] == resource.kind:
                yield namespace_of(pod), reference["name"]
            continue
        for owner in desk.storage.list(resource, namespace_of(pod)):
            if matches(spec_of(owner).get("selector"), labels_of(pod)):
                yield namespace_of(pod), owner["metadata"]["name"]


def since(text: str) -> float:
    """A time of an object in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def available_in(pod: Obj, owner: Obj, now: float) -> float | None:
    """Seconds until a pod has been ready for long enough; None while it is not ready."""
    if not is_ready(pod) or is_terminating(pod):
        return None
    least = int(spec_of(owner).get("minReadySeconds", 0))
    ready = condition(pod, "Ready") or {}
    if not least or not ready.get("lastTransitionTime"):
        return 0.0
    return max(0.0, since(ready["lastTransitionTime"]) + least - now)


def is_available(pod: Obj, owner: Obj, now: float) -> bool:
    """True when it has been ready for as long as its owner wants."""
    return available_in(pod, owner, now) == 0.0


def soonest(pods: Iterable[Obj], owner: Obj, now: float) -> float | None:
    """Seconds until another pod becomes available by mere time."""
    waits = (available_in(pod, owner, now) for pod in pods)
    return min((wait for wait in waits if wait), default=None)


def last_first(pods: Iterable[Obj]) -> list[Obj]:
    """Pods in the order in which they are given up: unbound, not ready, then the newest."""
    newest = sorted(
        pods, key=lambda pod: (pod["metadata"].get("creationTimestamp", ""), uid_of(pod)),
        reverse=True,
    )  # fmt: skip
    return sorted(newest, key=lambda pod: (bool(spec_of(pod).get("nodeName")), is_ready(pod)))
