"""StatefulSets: pods with numbers, made and replaced one after the other (or, Parallel, at once).

A pod's hostname is its name and its subdomain the governing service, so that it has a name in DNS.
The revision of a template is its hash. Volume claims are made, bound for show, and never deleted.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from kdns.lab.controllers import pods as pods_
from kdns.lab.controllers.bodies import (
    digest,
    generation_of,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kdns.lab.controllers.owners import REVISION, Owners
from kdns.lab.errors import Obj
from kdns.lab.resources import CLAIMS, PODS, STATEFULSETS, Resource


class Step(NamedTuple):
    """What may be done now: ordinals to make, pods to delete."""

    create: Sequence[int]
    delete: Sequence[Obj]


def revision_of(owner: Obj) -> str:
    """The name of the present template."""
    return f"{name_of(owner)}-{digest(spec_of(owner)['template'])}"


def ordinal_of(owner: Obj, pod: Obj) -> int:
    """A pod's number; -1 for one that has none."""
    prefix, _, number = name_of(pod).rpartition("-")
    return int(number) if prefix == name_of(owner) and number.isdigit() else -1


def ordinals(owner: Obj) -> range:
    """The numbers there shall be."""
    start = int((spec_of(owner).get("ordinals") or {}).get("start", 0))
    return range(start, start + int(spec_of(owner).get("replicas", 1)))


def pod_of(owner: Obj, ordinal: int) -> Obj:
    """The pod of a number."""
    name, spec = f"{name_of(owner)}-{ordinal}", spec_of(owner)
    labels = {
        REVISION: revision_of(owner),
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
    }
    pod = pods_.made_from(spec["template"], owner, name, labels)
    network = {"hostname": name}
    if spec.get("serviceName"):
        network["subdomain"] = spec["serviceName"]
    templates = spec.get("volumeClaimTemplates") or []
    names = {one["metadata"]["name"]: f"{one['metadata']['name']}-{name}" for one in templates}
    given = [one for one in pod["spec"].get("volumes") or [] if one["name"] not in names]
    claimed = [
        {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
        for volume, claim in names.items()
    ]
    volumes = {"volumes": claimed + given} if claimed else {}
    return {**pod, "spec": {**pod["spec"], **network, **volumes}}


def claims_of(owner: Obj, ordinal: int) -> list[Obj]:
    """The volume claims of a number, bound to volumes that are only names."""
    found = []
    for template in spec_of(owner).get("volumeClaimTemplates") or []:
        name = f"{name_of(template)}-{name_of(owner)}-{ordinal}"
        labels = {**labels_of(template), **(spec_of(owner)["selector"].get("matchLabels") or {})}
        wanted = template.get("spec") or {}
        status = {
            "phase": "Bound",
            "accessModes": wanted.get("accessModes") or [],
            "capacity": (wanted.get("resources") or {}).get("requests") or {},
        }
        volume = f"pvc-{digest([namespace_of(owner), name])}"
        found.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": namespace_of(owner), "labels": labels},
                "spec": {"storageClassName": "standard", **wanted, "volumeName": volume},
                "status": status,
            }
        )
    return found


def step(owner: Obj, pods: Iterable[Obj], now: float) -> Step:
    """The next thing to do; one at a time and in order unless the policy is Parallel."""
    by_ordinal = {ordinal_of(owner, pod): pod for pod in pods}
    is_parallel = spec_of(owner).get("podManagementPolicy") == "Parallel"
    finished = [pod for pod in by_ordinal.values() if is_finished(pod) and not is_terminating(pod)]
    if finished:
        return Step((), finished)
    wanted = ordinals(owner)
    missing = []
    for ordinal in wanted:
        pod = by_ordinal.get(ordinal)
        if pod is None:
            missing.append(ordinal)
        elif is_parallel or (not is_terminating(pod) and pods_.is_available(pod, owner, now)):
            continue
        if not is_parallel:  # everybody waits for this one
            return Step(missing, ())
    if missing:
        return Step(missing, ())
    surplus = sorted((at for at in by_ordinal if at not in wanted), reverse=True)
    leaving = [by_ordinal[at] for at in surplus]
    if leaving:
        return Step((), _still_there(leaving if is_parallel else leaving[:1]))
    return Step((), _outdated(owner, by_ordinal, now))


def _still_there(pods: Iterable[Obj]) -> list[Obj]:
    return [pod for pod in pods if not is_terminating(pod)]


def _outdated(owner: Obj, by_ordinal: dict[int, Obj], now: float) -> list[Obj]:
    """The pod with the highest number that has an older template, once those above it are well."""
    strategy = spec_of(owner).get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return []
    partition = int((strategy.get("rollingUpdate") or {}).get("partition", 0))
    for ordinal in sorted((at for at in by_ordinal if at >= partition), reverse=True):
        pod = by_ordinal[ordinal]
        if labels_of(pod).get(REVISION) != revision_of(owner):
            return _still_there([pod])
        if is_terminating(pod) or not pods_.is_available(pod, owner, now):
            return []
    return []


def status(owner: Obj, pods: Sequence[Obj], now: float) -> Obj:
    """The counts, and which revision is the current one."""
    update = revision_of(owner)
    current = status_of(owner).get("currentRevision") or update
    updated = sum(labels_of(pod).get(REVISION) == update for pod in pods)
    wanted = len(ordinals(owner))
    ready = sum(is_ready(pod) and not is_terminating(pod) for pod in pods)
    if updated == len(pods) == ready == wanted:
        current = update
    return {
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": sum(pods_.is_available(pod, owner, now) for pod in pods),
        "currentReplicas": sum(labels_of(pod).get(REVISION) == current for pod in pods),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": update,
        "observedGeneration": generation_of(owner),
        "collisionCount": 0,
    }


class StatefulSets(Owners):
    """Makes, replaces and removes the pods of StatefulSets."""

    name: ClassVar[str] = "statefulset-controller"
    kind: ClassVar[Resource] = STATEFULSETS
    watches: ClassVar[tuple[Resource, ...]] = (STATEFULSETS, PODS)

    def mine(self, owner: Obj) -> list[Obj]:
        """The pods that have a number."""
        return [pod for pod in super().mine(owner) if ordinal_of(owner, pod) >= 0]

    def act(self, owner: Obj, pods: Sequence[Obj], now: float) -> list[Obj]:
        """Makes or deletes what the step says."""
        todo = step(owner, pods, now)
        for pod in todo.delete:
            self.desk.delete(pod)
            said = f"delete Pod {name_of(pod)} in StatefulSet {name_of(owner)} successful"
            self.desk.tell(owner, "SuccessfulDelete", said, source=self.name)
        return [self._make(owner, ordinal) for ordinal in todo.create]

    def count(self, owner: Obj, pods: Sequence[Obj], now: float) -> Obj:
        """The status."""
        return status(owner, pods, now)

    def _make(self, owner: Obj, ordinal: int) -> Obj:
        for claim in claims_of(owner, ordinal):
            if self.desk.storage.find(CLAIMS, namespace_of(claim), name_of(claim)) is None:
                self.desk.create(claim)
        made = self.desk.create(pod_of(owner, ordinal))
        said = f"create Pod {name_of(made)} in StatefulSet {name_of(owner)} successful"
        self.desk.tell(owner, "SuccessfulCreate", said, source=self.name)
        return made
