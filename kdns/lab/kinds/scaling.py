"""PodDisruptionBudgets, HorizontalPodAutoscalers and PersistentVolumeClaims, for show only."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds.kind import Kind
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_UTILIZATION = 80


class Budgets(Kind):
    """The rules of PodDisruptionBudgets."""

    columns = (
        tables.NAME,
        Column("Min Available"),
        Column("Max Unavailable"),
        Column("Allowed Disruptions", "integer"),
        tables.AGE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, MIN AVAILABLE, MAX UNAVAILABLE, ALLOWED DISRUPTIONS, AGE."""
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        return [
            obj["metadata"]["name"],
            str(spec.get("minAvailable", "N/A")),
            str(spec.get("maxUnavailable", "N/A")),
            status.get("disruptionsAllowed", 0),
            tables.age(obj, now),
        ]

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A new one allows nothing yet."""
        del storage
        if old is None:
            names = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
            obj["status"] = dict.fromkeys(names, 0)

    def check(self, obj: Obj) -> Iterable[Cause]:
        """One bound, not two."""
        spec = obj.get("spec") or {}
        yield from checks.selector("spec.selector", spec.get("selector") or {})
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        if least is not None and most is not None:
            shown = {
                "MinAvailable": least,
                "Selector": spec.get("selector"),
                "MaxUnavailable": most,
                "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
            }
            why = "minAvailable and maxUnavailable cannot be both set"
            yield checks.invalid("spec", shown, why)


class Autoscalers(Kind):
    """The rules of HorizontalPodAutoscalers, which scale nothing here."""

    columns = (
        tables.NAME,
        Column("Reference"),
        Column("Targets"),
        Column("MinPods"),
        Column("MaxPods"),
        Column("Replicas"),
        tables.AGE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, REFERENCE, TARGETS, MINPODS, MAXPODS, REPLICAS, AGE."""
        spec, status = obj["spec"], obj.get("status") or {}
        target = spec["scaleTargetRef"]
        return [
            obj["metadata"]["name"],
            f"{target['kind']}/{target['name']}",
            ", ".join(_target(one) for one in spec.get("metrics") or []) or "<none>",
            str(spec.get("minReplicas", "<unset>")),
            spec["maxReplicas"],
            status.get("currentReplicas", 0),
            tables.age(obj, now),
        ]

    def default(self, obj: Obj) -> None:
        """One replica at least, by the load of the processors."""
        spec = obj.setdefault("spec", {})
        spec.setdefault("minReplicas", 1)
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": _UTILIZATION}
            resource = {"name": "cpu", "target": target}
            spec["metrics"] = [{"type": "Resource", "resource": resource}]

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A new one has measured nothing."""
        del storage
        if old is None:
            obj["status"] = {"currentMetrics": None, "desiredReplicas": 0}

    def check(self, obj: Obj) -> Iterable[Cause]:
        """The target and the bounds."""
        spec = obj["spec"]
        most, least = spec.get("maxReplicas", 0), spec["minReplicas"]
        if most < 1:
            yield checks.invalid("spec.maxReplicas", most, "must be greater than 0")
        if most < least:
            why = "must be greater than or equal to `minReplicas`"
            yield checks.invalid("spec.maxReplicas", most, why)
        target = spec.get("scaleTargetRef") or {}
        for name in ("kind", "name"):
            if not target.get(name):
                yield checks.required(f"spec.scaleTargetRef.{name}")
        if not target.get("apiVersion"):
            why = "apiVersion must specify API group"
            yield checks.invalid("spec.scaleTargetRef.apiVersion", "", why)


def _target(metric: Obj) -> str:
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    if target.get("averageUtilization") is not None:
        return f"{resource.get('name', '')}: <unknown>/{target['averageUtilization']}%"
    return f"<unknown>/{target.get('averageValue') or target.get('value') or '<auto>'}"


class Claims(Kind):
    """The rules of PersistentVolumeClaims, which nothing binds here."""

    columns = (
        tables.NAME,
        Column("Status"),
        Column("Volume"),
        Column("Capacity"),
        Column("Access Modes"),
        Column("StorageClass"),
        Column("VolumeAttributesClass"),
        tables.AGE,
        Column("VolumeMode", priority=1),
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, STATUS, VOLUME, CAPACITY, ACCESS MODES, STORAGECLASS, AGE, VOLUMEMODE."""
        spec, status = obj["spec"], obj.get("status") or {}
        phase = status.get("phase", "")
        is_bound = bool(spec.get("volumeName"))
        modes = [_MODES.get(one, one) for one in status.get("accessModes") or []]
        return [
            obj["metadata"]["name"],
            "Terminating" if "deletionTimestamp" in obj["metadata"] else phase,
            spec.get("volumeName", ""),
            (status.get("capacity") or {}).get("storage", "") if is_bound else "",
            ",".join(modes) if is_bound else "",
            spec.get("storageClassName") or "",
            spec.get("volumeAttributesClassName") or "<unset>",
            tables.age(obj, now),
            spec.get("volumeMode") or "<unset>",
        ]

    def default(self, obj: Obj) -> None:
        """The mode."""
        obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A new one waits."""
        del storage
        if old is None:
            obj["status"] = {"phase": "Pending"}
