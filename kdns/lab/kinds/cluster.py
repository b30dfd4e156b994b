"""What belongs to no namespace: Namespaces and Nodes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj, forbidden
from kdns.lab.kinds.kind import Kind
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

_NAMED = "kubernetes.io/metadata.name"
_IMMORTAL = {"default", "kube-public", "kube-system"}
_ROLE = "node-role.kubernetes.io/"


class Namespaces(Kind):
    """The rules of Namespaces."""

    name_form = checks.undotted
    columns = (tables.NAME, Column("Status"), tables.AGE)

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, STATUS, AGE."""
        phase = (obj.get("status") or {}).get("phase", "")
        return [obj["metadata"]["name"], phase, tables.age(obj, now)]

    def default(self, obj: Obj) -> None:
        """A label with its name, to select it by."""
        metadata = obj["metadata"]
        if metadata.get("name"):
            metadata.setdefault("labels", {})[_NAMED] = metadata["name"]

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A finalizer that holds it until it is empty; it may go once that is asked for."""
        del storage
        if old is not None:
            held, left, is_said = old.get("spec") or {}, obj.get("spec") or {}, "spec" in obj
            obj["spec"] = held
            if "deletionTimestamp" in old["metadata"] and is_said:
                wanted = left.get("finalizers") or ()
                kept = [one for one in held.get("finalizers") or () if one in wanted]
                obj["spec"] = {"finalizers": kept}
            return
        given = (obj.get("spec") or {}).get("finalizers") or []
        obj["spec"] = {
            "finalizers": [*given, *(["kubernetes"] if "kubernetes" not in given else [])]
        }
        obj["status"] = {"phase": "Active"}

    def is_held(self, obj: Obj) -> bool:
        """Until the spec's finalizers are gone too."""
        return bool(super().is_held(obj) or (obj.get("spec") or {}).get("finalizers"))

    def terminate(self, obj: Obj) -> None:
        """The phase says so; those that every cluster has cannot go."""
        name = obj["metadata"]["name"]
        if name in _IMMORTAL:
            raise forbidden("namespaces", name, "this namespace may not be deleted")
        obj["status"] = (obj.get("status") or {}) | {"phase": "Terminating"}

    def fields(self, obj: Obj) -> dict[str, str]:
        """By phase."""
        return {"status.phase": (obj.get("status") or {}).get("phase", "")}


class Nodes(Kind):
    """The rules of Nodes."""

    columns = (
        tables.NAME,
        Column("Status"),
        Column("Roles"),
        tables.AGE,
        Column("Version"),
        Column("Internal-IP", priority=1),
        Column("External-IP", priority=1),
        Column("OS-Image", priority=1),
        Column("Kernel-Version", priority=1),
        Column("Container-Runtime", priority=1),
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, STATUS, ROLES, AGE, VERSION and the wide."""
        status = obj.get("status") or {}
        system = status.get("nodeInfo") or {}
        addresses = {
            one.get("type"): one.get("address", "")
            for one in reversed(status.get("addresses") or [])
        }
        labels = obj["metadata"].get("labels") or {}
        roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)}
        if labels.get("kubernetes.io/role"):
            roles.add(labels["kubernetes.io/role"])
        return [
            obj["metadata"]["name"],
            _condition(obj),
            ",".join(sorted(roles - {""})) or "<none>",
            tables.age(obj, now),
            system.get("kubeletVersion", ""),
            addresses.get("InternalIP", "<none>"),
            addresses.get("ExternalIP", "<none>"),
            system.get("osImage") or "<unknown>",
            system.get("kernelVersion") or "<unknown>",
            system.get("containerRuntimeVersion") or "<unknown>",
        ]

    def default(self, obj: Obj) -> None:
        """Both forms of the pods' network."""
        spec = obj.setdefault("spec", {})
        if spec.get("podCIDR"):
            spec.setdefault("podCIDRs", [spec["podCIDR"]])

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A new one is tainted by nobody: the lab has no kubelet to wait for."""
        del storage
        if old is None:
            obj.setdefault("status", {})

    def check(self, obj: Obj) -> Iterable[Cause]:
        """Taints."""
        for place, taint in enumerate((obj.get("spec") or {}).get("taints") or []):
            at = f"metadata.taints[{place}]"  # as servers have it
            yield from checks.text_of(f"{at}.key", taint.get("key", ""), checks.qualified)
            effects = ("NoSchedule", "PreferNoSchedule", "NoExecute")
            yield from checks.one_of(f"{at}.effect", taint.get("effect", ""), effects)

    def fields(self, obj: Obj) -> dict[str, str]:
        """By whether pods may come."""
        is_closed = (obj.get("spec") or {}).get("unschedulable")
        return {"spec.unschedulable": "true" if is_closed else "false"}


def _condition(obj: Obj) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or []
    found = {one.get("type"): one.get("status") for one in conditions}
    words = ["Unknown"]
    if "Ready" in found:
        words = ["Ready" if found["Ready"] == "True" else "NotReady"]
    if (obj.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)
