"""Pods: defaults, checks, what may change, and the line that `kubectl get pods` prints."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds import podspec
from kdns.lab.kinds.kind import Kind
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

_MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
    "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class Pods(Kind):
    """The rules of Pods."""

    columns = (
        tables.NAME,
        Column("Ready"),
        Column("Status"),
        Column("Restarts"),
        tables.AGE,
        Column("IP", priority=1),
        Column("Node", priority=1),
        Column("Nominated Node", priority=1),
        Column("Readiness Gates", priority=1),
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, READY, STATUS, RESTARTS, AGE, IP, NODE, NOMINATED NODE, READINESS GATES."""
        spec, status = obj["spec"], obj.get("status") or {}
        states = status.get("containerStatuses") or []
        ready = sum(1 for one in states if one.get("ready"))
        restarts = sum(one.get("restartCount", 0) for one in states)
        addresses = [one.get("ip") for one in status.get("podIPs") or []] or [status.get("podIP")]
        return [
            obj["metadata"]["name"],
            f"{ready}/{len(spec.get('containers') or [])}",
            _state(obj, states),
            _restarts(restarts, states, now),
            tables.age(obj, now),
            addresses[0] or "<none>",
            spec.get("nodeName") or "<none>",
            status.get("nominatedNodeName") or "<none>",
            _gates(spec, status),
        ]

    def default(self, obj: Obj) -> None:
        """What stands in `-o yaml` though nobody wrote it."""
        spec = obj.setdefault("spec", {})
        podspec.default(spec)
        spec.setdefault("enableServiceLinks", True)
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
        spec.setdefault("priority", 0)

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """Every new Pod bears with a node that is away for five minutes, and is Pending."""
        del storage
        if old is not None:
            return
        given = obj["spec"].setdefault("tolerations", [])
        known = {one.get("key") for one in given}
        for key in _TAINTS:
            if key not in known and not any(not one.get("key") for one in given):
                given.append(
                    {
                        "key": key,
                        "operator": "Exists",
                        "effect": "NoExecute",
                        "tolerationSeconds": 300,
                    }
                )
        obj["status"] = {"phase": "Pending", "qosClass": _quality(obj["spec"])}

    def check(self, obj: Obj) -> Iterable[Cause]:
        """The spec, and the addresses, on which the endpoints of all others depend."""
        yield from podspec.check(obj["spec"], "spec")
        for place, one in enumerate((obj.get("status") or {}).get("podIPs") or []):
            text = one.get("ip", "")
            if checks.address(text) is None:
                yield checks.invalid(f"status.podIPs[{place}]", text, checks.NO_ADDRESS)

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """Images may change, and little else."""
        new, before = obj["spec"], old["spec"]
        if len(new.get("containers") or []) != len(before["containers"]):
            yield checks.forbidden(
                "spec.containers", "pod updates may not add or remove containers"
            )
            return
        if "nodeName" not in before and new.get("nodeName"):
            before = before | {"nodeName": new["nodeName"]}  # as the scheduler's binding sets it
        if _fixed(new) != _fixed(before):
            yield checks.forbidden("spec", _MAY_CHANGE)

    def fields(self, obj: Obj) -> dict[str, str]:
        """What kubelets and `kubectl --field-selector` ask by."""
        spec, status = obj["spec"], obj.get("status") or {}
        return {
            "spec.nodeName": spec.get("nodeName", ""),
            "spec.restartPolicy": spec.get("restartPolicy", ""),
            "spec.schedulerName": spec.get("schedulerName", ""),
            "spec.serviceAccountName": spec.get("serviceAccountName", ""),
            "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
            "status.phase": status.get("phase", ""),
            "status.podIP": status.get("podIP", ""),
            "status.nominatedNodeName": status.get("nominatedNodeName", ""),
        }

    def grace_s(self, obj: Obj, asked: int | None) -> int:
        """Its own time to end, once it is on a node; nobody waits for one that never ran."""
        if not obj["spec"].get("nodeName") or (obj.get("status") or {}).get("phase") in {
            "Succeeded",
            "Failed",
        }:
            return 0
        if asked is not None:
            return max(asked, 0)
        return int(obj["spec"].get("terminationGracePeriodSeconds", 30))


def _fixed(spec: Obj) -> Obj:
    """A spec without what may change."""
    free = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}
    found = {name: value for name, value in spec.items() if name not in free}
    for listed in ("containers", "initContainers"):
        found[listed] = [
            {name: value for name, value in one.items() if name != "image"}
            for one in spec.get(listed) or []
        ]
    return found


def _quality(spec: Obj) -> str:
    resources = [one.get("resources") or {} for one in spec.get("containers") or []]
    if not any(one.get("requests") or one.get("limits") for one in resources):
        return "BestEffort"
    is_guaranteed = all(
        {"cpu", "memory"} <= (one.get("limits") or {}).keys()
        and one.get("limits") == one.get("requests")
        for one in resources
    )
    return "Guaranteed" if is_guaranteed else "Burstable"


def _state(obj: Obj, states: list[Obj]) -> str:
    """The STATUS column: the phase, or why a container does not run."""
    status = obj.get("status") or {}
    found = _first_state(status, len(obj["spec"].get("initContainers") or []))
    if found:
        return "Terminating" if "deletionTimestamp" in obj["metadata"] else found
    found = str(status.get("reason") or status.get("phase") or "Unknown")
    has_running = False
    for one in reversed(states):
        state = one.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason"):
            found = waiting["reason"]
        elif ended.get("reason"):
            found = ended["reason"]
        elif ended:
            signal = ended.get("signal")
            found = f"Signal:{signal}" if signal else f"ExitCode:{ended.get('exitCode', 0)}"
        elif one.get("ready") and "running" in state:
            has_running = True
    if found == "Completed" and has_running:
        is_ready = any(
            one.get("type") == "Ready" and one.get("status") == "True"
            for one in status.get("conditions") or []
        )
        found = "Running" if is_ready else "NotReady"
    if "deletionTimestamp" in obj["metadata"]:
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return found


def _first_state(status: Obj, count: int) -> str:
    """What holds the init containers up; "" once they are through."""
    for place, one in enumerate(status.get("initContainerStatuses") or []):
        state = one.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        if ended is not None and not ended.get("exitCode"):
            continue
        if ended is not None:
            signal = ended.get("signal")
            code = f"Signal:{signal}" if signal else f"ExitCode:{ended['exitCode']}"
            return f"Init:{ended.get('reason') or code}"
        if waiting.get("reason", "PodInitializing") != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{place}/{count}"
    return ""


def _restarts(count: int, states: list[Obj], now: float) -> str:
    ends = [
        ended["finishedAt"]
        for one in states
        if (ended := (one.get("lastState") or {}).get("terminated")) and ended.get("finishedAt")
    ]
    return f"{count} ({tables.since(max(ends), now)} ago)" if count and ends else str(count)


def _gates(spec: Obj, status: Obj) -> str:
    gates = spec.get("readinessGates") or []
    true = {one["type"] for one in status.get("conditions") or [] if one.get("status") == "True"}
    met = sum(1 for one in gates if one.get("conditionType") in true)
    return f"{met}/{len(gates)}" if gates else "<none>"
