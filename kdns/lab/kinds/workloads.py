"""Deployments, ReplicaSets, StatefulSets and DaemonSets: defaults, checks, what may change."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds import podspec
from kdns.lab.kinds.kind import Kind
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

_UNMATCHED = "`selector` does not match template `labels`"
_GENERATION = "deprecated.daemonset.template.generation"
_WIDE = (
    Column("Containers", priority=1),
    Column("Images", priority=1),
    Column("Selector", priority=1),
)


class Workload(Kind):
    """What the four have in common: a selector, a template, replicas."""

    kind: ClassVar[str]
    bad_selector: ClassVar[str | None] = "invalid label selector"
    """What is said, besides what is wrong with it, of a selector that cannot be used."""

    def default(self, obj: Obj) -> None:
        """Replicas, and the template's spec."""
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        self.default_template(spec)

    def default_template(self, spec: Obj) -> None:
        """The template's spec."""
        template = spec.setdefault("template", {})
        podspec.default(template.setdefault("spec", {}))

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A new one has no status yet."""
        del storage
        if old is None:
            obj["status"] = self.first_status()

    def first_status(self) -> Obj:
        """The status of one that no controller has seen."""
        return {"replicas": 0}

    def check(self, obj: Obj) -> Iterable[Cause]:
        """Replicas, selector and template."""
        spec = obj["spec"]
        yield from checks.least("spec.replicas", spec.get("replicas"))
        yield from checks.least("spec.minReadySeconds", spec.get("minReadySeconds"))
        given = spec.get("selector")
        if given is None:
            yield checks.required("spec.selector")
        elif not given.get("matchLabels") and not given.get("matchExpressions"):
            why = f"empty selector is invalid for {self.kind}"
            yield checks.invalid("spec.selector", given, why)
        wrong = list(checks.selector("spec.selector", given or {}))
        yield from wrong
        yield from self.check_strategy(spec)
        labels = (spec["template"].get("metadata") or {}).get("labels")
        if wrong:
            if self.bad_selector is not None:
                yield checks.invalid("spec.selector", given, self.bad_selector)
        elif given is None or not matches(given, labels or {}):
            yield checks.invalid("spec.template.metadata.labels", labels, _UNMATCHED)
        at = "spec.template.metadata.labels"
        yield from checks.labels(at, labels or {})
        claims = _claims(spec)
        for place, name in enumerate(claims):
            field = f"spec.volumeClaimTemplates[{place}].metadata.name"
            yield from checks.text_of(field, name, checks.label)
        yield from podspec.check(spec["template"]["spec"], "spec.template.spec", claims)
        policy = spec["template"]["spec"]["restartPolicy"]
        if policy in podspec.RESTARTS and policy != "Always":
            yield checks.unsupported("spec.template.spec.restartPolicy", policy, ("Always",))

    def check_strategy(self, spec: Obj) -> Iterable[Cause]:
        """How pods are replaced."""
        del spec
        return ()

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """The selector stays."""
        new, before = obj["spec"].get("selector"), old["spec"].get("selector")
        return checks.kept("spec.selector", new, before)


class Deployments(Workload):
    """The rules of Deployments."""

    kind = "deployment"
    columns = (
        tables.NAME,
        Column("Ready"),
        Column("Up-to-date"),
        Column("Available"),
        tables.AGE,
        *_WIDE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, READY, UP-TO-DATE, AVAILABLE, AGE, CONTAINERS, IMAGES, SELECTOR."""
        spec, status = obj["spec"], obj.get("status") or {}
        return [
            obj["metadata"]["name"],
            f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}",
            status.get("updatedReplicas", 0),
            status.get("availableReplicas", 0),
            tables.age(obj, now),
            *_wide(spec),
        ]

    def default(self, obj: Obj) -> None:
        """Replicas, strategy, history, template."""
        super().default(obj)
        spec = obj["spec"]
        strategy = spec.setdefault("strategy", {})
        if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxSurge", "25%")
            rolling.setdefault("maxUnavailable", "25%")
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)

    def first_status(self) -> Obj:
        """Empty."""
        return {}

    def check_strategy(self, spec: Obj) -> Iterable[Cause]:
        """Recreate, or rolling by at least one pod."""
        strategy = spec["strategy"]
        rolling = strategy.get("rollingUpdate")
        if strategy["type"] == "Recreate":
            if rolling is not None:
                why = "may not be specified when strategy `type` is 'Recreate'"
                yield checks.forbidden("spec.strategy.rollingUpdate", why)
        elif strategy["type"] != "RollingUpdate":
            shown = {"Type": strategy["type"], "RollingUpdate": rolling}
            yield checks.unsupported("spec.strategy", shown, ("Recreate", "RollingUpdate"))
        elif {str(rolling["maxSurge"]), str(rolling["maxUnavailable"])} <= {"0", "0%"}:
            at = "spec.strategy.rollingUpdate.maxUnavailable"
            yield checks.invalid(at, rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")


class ReplicaSets(Workload):
    """The rules of ReplicaSets."""

    kind = "replicaset"
    columns = (
        tables.NAME,
        Column("Desired", "integer"),
        Column("Current", "integer"),
        Column("Ready", "integer"),
        tables.AGE,
        *_WIDE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR."""
        spec, status = obj["spec"], obj.get("status") or {}
        return [
            obj["metadata"]["name"],
            spec.get("replicas", 1),
            status.get("replicas", 0),
            status.get("readyReplicas", 0),
            tables.age(obj, now),
            *_wide(spec),
        ]

    def fields(self, obj: Obj) -> dict[str, str]:
        """By how many there are."""
        return {"status.replicas": str((obj.get("status") or {}).get("replicas", 0))}


class StatefulSets(Workload):
    """The rules of StatefulSets."""

    kind = "statefulset"
    bad_selector = ""
    columns = (
        tables.NAME,
        Column("Ready"),
        tables.AGE,
        Column("Containers", priority=1),
        Column("Images", priority=1),
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, READY, AGE, CONTAINERS, IMAGES."""
        spec, status = obj["spec"], obj.get("status") or {}
        return [
            obj["metadata"]["name"],
            f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}",
            tables.age(obj, now),
            *_wide(spec)[:2],
        ]

    def default(self, obj: Obj) -> None:
        """Replicas, order, updates, what becomes of claims, template."""
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("serviceName", "")
        spec.setdefault("podManagementPolicy", "OrderedReady")
        spec.setdefault("revisionHistoryLimit", 10)
        update = spec.setdefault("updateStrategy", {})
        if update.setdefault("type", "RollingUpdate") == "RollingUpdate":
            update.setdefault("rollingUpdate", {}).setdefault("partition", 0)
        policy = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        policy.setdefault("whenDeleted", "Retain")
        policy.setdefault("whenScaled", "Retain")
        for claim in spec.get("volumeClaimTemplates") or []:
            claim.setdefault("apiVersion", "v1")
            claim.setdefault("kind", "PersistentVolumeClaim")
            claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
            claim.setdefault("status", {"phase": "Pending"})

    def check_strategy(self, spec: Obj) -> Iterable[Cause]:
        """Words that there are."""
        if spec["podManagementPolicy"] not in {"OrderedReady", "Parallel"}:
            why = "must be 'OrderedReady' or 'Parallel'"
            yield checks.invalid("spec.podManagementPolicy", spec["podManagementPolicy"], why)
        update = spec["updateStrategy"]
        if update["type"] not in {"RollingUpdate", "OnDelete"}:
            shown = {"Type": update["type"], "RollingUpdate": update.get("rollingUpdate")}
            why = "must be 'RollingUpdate' or 'OnDelete'"
            yield checks.invalid("spec.updateStrategy", shown, why)

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """Most of the spec stays."""
        free = (
            "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
        )  # fmt: skip
        fixed = [
            {name: value for name, value in one["spec"].items() if name not in free}
            for one in (obj, old)
        ]
        if fixed[0] != fixed[1]:
            listed = ", ".join(f"'{name}'" for name in free[:-1])
            yield checks.forbidden(
                "spec",
                f"updates to statefulset spec for fields other than {listed} and "
                f"'{free[-1]}' are forbidden",
            )


class DaemonSets(Workload):
    """The rules of DaemonSets."""

    kind = "daemonset"
    bad_selector = None
    columns = (
        tables.NAME,
        Column("Desired", "integer"),
        Column("Current", "integer"),
        Column("Ready", "integer"),
        Column("Up-to-date", "integer"),
        Column("Available", "integer"),
        Column("Node Selector"),
        tables.AGE,
        *_WIDE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, DESIRED, CURRENT, READY, UP-TO-DATE, AVAILABLE, NODE SELECTOR, AGE and the wide."""
        spec, status = obj["spec"], obj.get("status") or {}
        counts = (
            "desiredNumberScheduled", "currentNumberScheduled", "numberReady",
            "updatedNumberScheduled", "numberAvailable",
        )  # fmt: skip
        return [
            obj["metadata"]["name"],
            *(status.get(name, 0) for name in counts),
            tables.selector(spec["template"]["spec"].get("nodeSelector")),
            tables.age(obj, now),
            *_wide(spec),
        ]

    def default(self, obj: Obj) -> None:
        """Updates, history, template."""
        spec = obj.setdefault("spec", {})
        self.default_template(spec)
        spec.setdefault("revisionHistoryLimit", 10)
        update = spec.setdefault("updateStrategy", {})
        if update.setdefault("type", "RollingUpdate") == "RollingUpdate":
            rolling = update.setdefault("rollingUpdate", {})
            rolling.setdefault("maxSurge", 0)
            rolling.setdefault("maxUnavailable", 1)

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """The count of its templates is an annotation."""
        super().prepare(obj, old, storage)
        annotations = obj["metadata"].setdefault("annotations", {})
        count = int((old or obj)["metadata"].get("annotations", {}).get(_GENERATION, 0))
        if old is None or old["spec"]["template"] != obj["spec"]["template"]:
            count += 1
        annotations[_GENERATION] = str(count)

    def first_status(self) -> Obj:
        """All counts are nought."""
        names = ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled")
        return dict.fromkeys((*names, "numberReady"), 0)


def matches(given: Obj, labels: Obj) -> bool:
    """True when a label selector selects these labels."""
    if any(labels.get(key) != value for key, value in (given.get("matchLabels") or {}).items()):
        return False
    return all(_holds(one, labels) for one in given.get("matchExpressions") or [])


def _holds(term: Obj, labels: Obj) -> bool:
    value, values = labels.get(term.get("key", "")), term.get("values") or []
    return {
        "In": value is not None and value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(term.get("operator", ""), False)


def _claims(spec: Obj) -> list[str]:
    """Volumes that pods get of claims, by their names."""
    templates = spec.get("volumeClaimTemplates") or []
    return [(one.get("metadata") or {}).get("name") or "" for one in templates]


def _wide(spec: Obj) -> list[str]:
    containers = spec["template"]["spec"].get("containers") or []
    return [
        ",".join(one.get("name", "") for one in containers),
        ",".join(one.get("image", "") for one in containers),
        tables.label_selector(spec.get("selector")),
    ]
