"""The arithmetic of a Deployment: how many pods its replica sets get next, and how far it is.

Pure functions over the Deployment and its replica sets, with the rules of Kubernetes for maxSurge
and maxUnavailable, so that `kubectl rollout status`, `history` and `undo` find what they look for.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kdns.lab.controllers.bodies import (
    annotations_of,
    condition,
    digest,
    generation_of,
    name_of,
    spec_of,
    status_of,
    with_conditions,
)
from kdns.lab.controllers.pods import since
from kdns.lab.errors import Obj

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
UPDATED = "ReplicaSetUpdated"
LATE = "ProgressDeadlineExceeded"
_LATE_SAID = "has timed out progressing."


class Bounds(NamedTuple):
    """How many pods more and fewer than wished there may be during a rollout."""

    surge: int
    unavailable: int


def replicas_of(one: Obj) -> int:
    """How many pods are wished for."""
    return int(spec_of(one).get("replicas", 1))


def is_recreate(deployment: Obj) -> bool:
    """True when all old pods must be gone before a new one comes."""
    return bool((spec_of(deployment).get("strategy") or {}).get("type") == "Recreate")


def bounds(deployment: Obj) -> Bounds:
    """What its strategy allows; never both nothing."""
    if is_recreate(deployment):
        return Bounds(0, replicas_of(deployment))
    rolling = (spec_of(deployment).get("strategy") or {}).get("rollingUpdate") or {}
    wanted = replicas_of(deployment)
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    return Bounds(surge, unavailable) if surge or unavailable else Bounds(0, 1)


def _share(value: int | str, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    percent = int(value.removesuffix("%"))
    return -(-percent * of // 100) if up else percent * of // 100


def template_of(one: Obj) -> Obj:
    """The pod template without the label that tells replica sets apart."""
    template: Obj = spec_of(one)["template"]
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def revision_of(one: Obj) -> int:
    """The revision noted on it; 0 before there is one."""
    text = annotations_of(one).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def new_set(deployment: Obj, sets: Sequence[Obj]) -> Obj | None:
    """The replica set that has the deployment's template."""
    wanted = template_of(deployment)
    same = [one for one in sets if template_of(one) == wanted]
    return min(same, key=lambda one: one["metadata"].get("creationTimestamp", ""), default=None)


def annotations_for(deployment: Obj, revision: int) -> dict[str, str]:
    """What a replica set says about its deployment."""
    own = {
        key: value
        for key, value in annotations_of(deployment).items()
        if key not in {REVISION, "kubectl.kubernetes.io/last-applied-configuration"}
    }
    wanted = replicas_of(deployment)
    return {
        **own,
        REVISION: str(revision),
        DESIRED: str(wanted),
        MAXIMUM: str(wanted + bounds(deployment).surge),
    }


def made_set(deployment: Obj, revision: int, owner: Obj) -> Obj:
    """The replica set for the deployment's present template, without pods yet."""
    template = template_of(deployment)
    mark = digest(template)
    labels = {**template["metadata"]["labels"], HASH: mark}
    spec = spec_of(deployment)
    selector = spec["selector"]
    made: Obj = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "namespace": deployment["metadata"]["namespace"],
            "name": f"{name_of(deployment)}-{mark}",
            "labels": labels,
            "annotations": annotations_for(deployment, revision),
            "ownerReferences": [owner],
        },
        "spec": {
            "replicas": 0,
            "selector": {
                **selector,
                "matchLabels": {**(selector.get("matchLabels") or {}), HASH: mark},
            },
            "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
        },
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return made


def sizes(deployment: Obj, new: Obj | None, old: Sequence[Obj]) -> dict[str, int]:
    """How many pods each replica set, by name, shall have now."""
    present = {name_of(one): replicas_of(one) for one in [*old, *([new] if new else [])]}
    if new is None:
        return present
    if is_recreate(deployment):
        busy = any(status_of(one).get("replicas", 0) or replicas_of(one) for one in old)
        wanted = replicas_of(new) if busy else replicas_of(deployment)
        return dict.fromkeys(present, 0) | {name_of(new): wanted}
    return present | _grown(deployment, new, old) | _shrunk(deployment, new, old)


def _grown(deployment: Obj, new: Obj, old: Sequence[Obj]) -> dict[str, int]:
    """The new replica set takes what room there is."""
    wanted, have = replicas_of(deployment), replicas_of(new)
    if have >= wanted:
        return {name_of(new): wanted}
    room = wanted + bounds(deployment).surge - have - sum(replicas_of(one) for one in old)
    return {name_of(new): have + max(0, min(room, wanted - have))}


def _shrunk(deployment: Obj, new: Obj, old: Sequence[Obj]) -> dict[str, int]:
    """Old ones give up what is not needed: first the pods that are of no use, then the others."""
    wanted = replicas_of(deployment)
    least = wanted - bounds(deployment).unavailable
    coming = replicas_of(new) - _available(new)
    total = sum(replicas_of(one) for one in old) + replicas_of(new)
    spare = total - least - coming
    left = {name_of(one): replicas_of(one) for one in old}
    for one in sorted(old, key=revision_of):
        unhealthy = max(0, min(replicas_of(one) - _available(one), spare))
        left[name_of(one)] -= unhealthy
        spare -= unhealthy
    # Statuses lag behind: what was given up a moment ago may still be counted as available.
    healthy = min(spare, sum(_available(one) for one in [*old, new]) - least)
    for one in sorted(old, key=revision_of):
        fewer = max(0, min(left[name_of(one)], healthy))
        left[name_of(one)] -= fewer
        healthy -= fewer
    return left


def _available(one: Obj) -> int:
    return min(replicas_of(one), int(status_of(one).get("availableReplicas", 0)))


def status(deployment: Obj, new: Obj | None, old: Sequence[Obj], now: str) -> Obj:
    """The status that `kubectl rollout status` reads."""
    everybody = [*old, *([new] if new else [])]
    total = sum(int(status_of(one).get("replicas", 0)) for one in everybody)
    ready = sum(int(status_of(one).get("readyReplicas", 0)) for one in everybody)
    available = sum(_available(one) for one in everybody)
    counts = {
        "replicas": total,
        "updatedReplicas": int(status_of(new).get("replicas", 0)) if new else 0,
        "readyReplicas": ready,
        "availableReplicas": available,
        "unavailableReplicas": max(0, replicas_of(deployment) - available),
    }
    before = status_of(deployment)
    has_moved = any(value != before.get(key, 0) for key, value in counts.items())
    progress = _progress(deployment, new, counts)
    if not has_moved and late_in(deployment, progress, now) == 0:
        late = {"status": "False", "reason": LATE}
        progress = {**progress, **late, "message": f"{_subject(deployment, new)} {_LATE_SAID}"}
    changes = [_availability(deployment, available), progress]
    return {
        "observedGeneration": generation_of(deployment),
        **{key: value for key, value in counts.items() if value},
        "conditions": _told(before, changes, now, has_moved=has_moved),
    }


def late_in(deployment: Obj, progress: Obj, now: str) -> float | None:
    """Seconds until a rollout that does not move is late; None for one that needs no deadline."""
    old = condition(deployment, "Progressing")
    if progress["reason"] != UPDATED or old is None or old["reason"] not in {UPDATED, LATE}:
        return None
    if old["reason"] == LATE:  # and stays so until it moves, or another template is rolled out
        return 0.0 if progress["message"].startswith(old["message"].partition(" has")[0]) else None
    deadline = int(spec_of(deployment).get("progressDeadlineSeconds", 600))
    return max(0.0, since(old.get("lastUpdateTime", now)) + deadline - since(now))


def _told(before: Obj, changes: Sequence[Obj], now: str, *, has_moved: bool) -> list[Obj]:
    """Conditions of a Deployment carry the time of their last update, or progress, too."""
    old = {one["type"]: one for one in before.get("conditions") or ()}
    fresh = []
    for one in changes:
        was = old.get(one["type"], {})
        is_same = all(was.get(key) == one[key] for key in ("status", "reason", "message"))
        is_same = is_same and not (has_moved and one["reason"] == UPDATED)
        fresh.append({**one, "lastUpdateTime": was.get("lastUpdateTime", now) if is_same else now})
    return with_conditions(before, fresh, now)


def _availability(deployment: Obj, available: int) -> Obj:
    is_enough = available >= replicas_of(deployment) - bounds(deployment).unavailable
    return {
        "type": "Available",
        "status": "True" if is_enough else "False",
        "reason": "MinimumReplicasAvailable" if is_enough else "MinimumReplicasUnavailable",
        "message": f"Deployment {'has' if is_enough else 'does not have'} minimum availability.",
    }


def is_complete(deployment: Obj, counts: Obj) -> bool:
    """True when every pod is a new one and serves."""
    wanted = replicas_of(deployment)
    return bool(
        counts.get("updatedReplicas", 0) == wanted
        and counts.get("replicas", 0) == wanted
        and counts.get("availableReplicas", 0) == wanted
    )


def _progress(deployment: Obj, new: Obj | None, counts: Obj) -> Obj:
    name = _subject(deployment, new)
    made: Obj = {"type": "Progressing", "status": "True"}
    if spec_of(deployment).get("paused"):
        paused = {"status": "Unknown", "reason": "DeploymentPaused"}
        return {**made, **paused, "message": "Deployment is paused"}
    if is_complete(deployment, counts):
        return {**made, "reason": "NewReplicaSetAvailable",
                "message": f"{name} has successfully progressed."}  # fmt: skip
    old = condition(deployment, "Progressing") or {}
    is_settled = old.get("reason") == "NewReplicaSetAvailable"
    if is_settled and new and f'"{name_of(new)}"' in old.get("message", ""):
        # A pod that fails or a change of size is no rollout.
        return {key: old[key] for key in ("type", "status", "reason", "message")}
    return {**made, "reason": UPDATED, "message": f"{name} is progressing."}


def _subject(deployment: Obj, new: Obj | None) -> str:
    return f'ReplicaSet "{name_of(new)}"' if new else f'Deployment "{name_of(deployment)}"'


def surplus(deployment: Obj, old: Sequence[Obj]) -> list[Obj]:
    """Empty replica sets beyond the history that is to be kept, oldest first."""
    keep = int(spec_of(deployment).get("revisionHistoryLimit", 10))
    idle = [one for one in old if not replicas_of(one) and not status_of(one).get("replicas", 0)]
    idle.sort(key=revision_of)
    return idle[: max(0, len(idle) - keep)]
