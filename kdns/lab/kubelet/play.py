"""Pods are played: bound to a node, given an address, started, made ready, ended. Nothing runs.

Annotations on a pod say otherwise, at any time (`kubectl annotate pod … --overwrite`):
`lab.kdns.io/ready: "false"`, `ready-after: 3s` (as a readiness probe's initialDelaySeconds),
`phase: Succeeded|Failed`, `crash: "true"`, `stop-after: 5s` (within its grace period), and before
it has started `address: 10.244.1.77`. A Job's pod ends well when another one would be ready.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import ClassVar

from kdns.lab.addresses import Addresses
from kdns.lab.controllers.bodies import (
    annotations_of,
    has_all,
    is_finished,
    is_of_job,
    is_terminating,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
    with_conditions,
)
from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import NODES, PODS, Resource
from kdns.lab.storage import Deletion, Key, timestamp

PREFIX = "lab.kdns.io/"
START_S = 0.1
"""From being bound to running."""
READY_S = 0.2
"""From running to ready, where nothing says otherwise."""
STOP_S = 0.6
"""From the request to be deleted to being gone: long enough to be seen terminating."""
LATER_S = 1.0
MOST_PODS = 250
"""On one node: its range has that many addresses."""


def wish(pod: Obj, word: str) -> str:
    """What an annotation of the lab says."""
    return annotations_of(pod).get(PREFIX + word, "")


def seconds(text: str) -> float:
    """A duration as `3`, `3s`, `500ms` or `2m`."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def ready_after_s(pod: Obj) -> float:
    """How long after its start a pod becomes ready."""
    if text := wish(pod, "ready-after"):
        return seconds(text)
    probes = [one.get("readinessProbe") or {} for one in spec_of(pod).get("containers") or ()]
    return max([READY_S, *(float(one.get("initialDelaySeconds", 0)) for one in probes)])


def phase_of(pod: Obj) -> str:
    """The phase a started pod is to be in."""
    asked = wish(pod, "phase")
    return asked if asked in {"Succeeded", "Failed", "Unknown"} else "Running"


def ready_in(pod: Obj, started: float, now: float) -> float | None:
    """Seconds until a running pod is ready; None when something keeps it from that."""
    if wish(pod, "ready") == "false" or wish(pod, "crash") == "true":
        return None
    return max(0.0, started + ready_after_s(pod) - now)


def played(pod: Obj, *, is_ready: bool, now: str, phase: str = "") -> Obj:
    """The status of a pod that has an address, in the phase that it asks for if none is given."""
    phase = phase or phase_of(pod)
    old = status_of(pod)
    is_running = phase == "Running"
    reason = "" if is_ready else "ContainersNotReady" if is_running else "PodCompleted"
    told = {} if is_ready else {"reason": reason, "message": _unready(pod, phase)}
    changes: list[Obj] = [{"type": "Initialized", "status": "True"}]
    changes += [
        {"type": kind, "status": "True" if is_ready else "False", **told}
        for kind in ("Ready", "ContainersReady")
    ]
    conditions = with_conditions(old, changes, now)
    for at, one in enumerate(conditions):
        if is_ready and one["type"] in {"Ready", "ContainersReady"}:
            conditions[at] = {key: one[key] for key in one if key not in {"reason", "message"}}
    return {
        **old,
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": [
            _container(pod, one, phase, is_ready=is_ready, now=now)
            for one in spec_of(pod).get("containers") or ()
        ],
    }


def _unready(pod: Obj, phase: str) -> str:
    names = " ".join(one["name"] for one in spec_of(pod).get("containers") or ())
    return f"containers with unready status: [{names}]" if phase == "Running" else ""


def _container(pod: Obj, container: Obj, phase: str, *, is_ready: bool, now: str) -> Obj:
    before = {one["name"]: one for one in status_of(pod).get("containerStatuses") or ()}
    old = before.get(container["name"], {})
    is_crashing = wish(pod, "crash") == "true"
    began = is_crashing and "waiting" not in (old.get("state") or {})
    started = status_of(pod).get("startTime", now)
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "containerID": f"played://{uid_of(pod)}/{container['name']}",
        "ready": is_ready,
        "started": phase == "Running" and not is_crashing,
        "restartCount": int(old.get("restartCount", 0)) + began,
        "state": _state(phase, old, is_crashing=is_crashing, started=started, now=now),
    }


def _state(phase: str, old: Obj, *, is_crashing: bool, started: str, now: str) -> Obj:
    if phase in {"Succeeded", "Failed"}:
        ended = (old.get("state") or {}).get("terminated") or {}
        is_good = phase == "Succeeded"
        return {
            "terminated": {
                "exitCode": 0 if is_good else 1,
                "reason": "Completed" if is_good else "Error",
                "startedAt": started,
                "finishedAt": ended.get("finishedAt", now),
            }
        }
    if is_crashing:
        said = "back-off restarting the container, as its annotation asks for"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": said}}
    running = (old.get("state") or {}).get("running") or {}
    return {"running": {"startedAt": running.get("startedAt", started)}}


class Play(Controller):
    """The scheduler and the kubelets."""

    name: ClassVar[str] = "kubelet"
    watches: ClassVar[tuple[Resource, ...]] = (PODS, NODES)

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._addresses = Addresses(desk.storage.now)
        self._scenes: dict[str, dict[str, float]] = {}
        """When the scenes of a pod, by uid, began: finer than the seconds in its status."""
        self._homes: dict[str, str] = {}
        """The node of each pod, by uid."""
        self._load: Counter[str] = Counter()

    def begin(self) -> None:
        """Knows which addresses are in use, and who is where."""
        for pod in self.desk.storage.list(PODS):
            self._count(pod)
            for one in status_of(pod).get("podIPs") or ():
                self._addresses.take(one["ip"])

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The pod; for a new node, the pods that wait for one."""
        if resource is NODES:
            found = self.desk.storage.list(PODS) if event.type == "ADDED" else []
            return [_key(pod) for pod in found if not spec_of(pod).get("nodeName")]
        self._count(event.object)
        if event.type == "DELETED":
            home = self._homes.pop(uid_of(event.object), "")
            self._load[home] -= 1
            if self._load[home] <= 0:
                del self._load[home]
            self._scenes.pop(uid_of(event.object), None)
            for one in status_of(event.object).get("podIPs") or ():
                self._addresses.free(one["ip"])
        return (_key(event.object),)

    def _count(self, pod: Obj) -> None:
        """Counts a pod with those of its node, once."""
        node, uid = spec_of(pod).get("nodeName"), uid_of(pod)
        if node and uid not in self._homes:
            self._homes[uid] = node
            self._load[node] += 1

    def sync(self, key: Key) -> float | None:
        """The next scene of a pod."""
        pod = self.desk.storage.find(PODS, *key)
        if pod is None:
            return None
        if is_terminating(pod):
            return self._stop(pod)
        if not spec_of(pod).get("nodeName"):
            return self._bind(pod)
        if not status_of(pod).get("podIP"):
            return self._start(pod)
        return None if is_finished(pod) else self._run(pod)

    def _bind(self, pod: Obj) -> float | None:
        """Puts a pod on the node that has the fewest of those that fit."""
        desk = self.desk
        wanted = spec_of(pod).get("nodeSelector") or {}
        nodes = [
            node
            for node in desk.storage.list(NODES)
            if has_all(labels_of(node), wanted) and _takes_pods(node)
        ]
        if not nodes:
            said = "0 nodes are available: none has the labels that the nodeSelector asks for"
            return self._pend(pod, said)
        node = min(map(name_of, nodes), key=lambda name: self._load[name])
        if self._load[node] >= MOST_PODS:
            return self._pend(
                pod, f"0/{len(nodes)} nodes are available: {len(nodes)} Too many pods"
            )
        bound = desk.update({**pod, "spec": {**pod["spec"], "nodeName": node}})
        self._count(bound)
        change = {"type": "PodScheduled", "status": "True"}
        conditions = with_conditions({}, [change], desk.now())
        desk.set_status(bound, {**status_of(bound), "phase": "Pending", "conditions": conditions})
        said = f"Successfully assigned {'/'.join(_key(pod))} to {node}"
        desk.tell(pod, "Scheduled", said, source="default-scheduler")
        return None

    def _pend(self, pod: Obj, said: str) -> float:
        """Leaves a pod without a node for a while."""
        desk = self.desk
        change = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                  "message": said}  # fmt: skip
        conditions = with_conditions(status_of(pod), [change], desk.now())
        if desk.set_status(pod, {**status_of(pod), "conditions": conditions}) is not pod:
            desk.tell(pod, "FailedScheduling", said, source="default-scheduler", is_warning=True)
        return LATER_S

    def _elapsed(self, pod: Obj, scene: str) -> float:
        """Seconds since a scene of a pod began."""
        now = self.desk.storage.now()
        return now - self._scenes.setdefault(uid_of(pod), {}).setdefault(scene, now)

    def _start(self, pod: Obj) -> float | None:
        """Gives a pod its addresses, once a moment has passed."""
        desk = self.desk
        if (wait := START_S - self._elapsed(pod, "bound")) > 0:
            return wait
        node = desk.storage.find(NODES, "", spec_of(pod)["nodeName"])
        if node is None:
            return LATER_S
        inside = _inside(node)
        if not inside:
            raise ValueError(f"the node {name_of(node)} has no address")
        return self._open(self._addressed(pod, node, inside))

    def _addressed(self, pod: Obj, node: Obj, inside: str) -> Obj:
        """The pod with its addresses, and those of its node."""
        found = self._given(pod, inside) or self._addresses.next_of(spec_of(node)["podCIDRs"])
        status = {
            **status_of(pod),
            "hostIP": inside,
            "hostIPs": [{"ip": inside}],
            "podIP": found[0],
            "podIPs": [{"ip": one} for one in found],
            "startTime": status_of(pod).get("startTime") or self.desk.now(),
        }
        return {**pod, "status": status}

    def _open(self, pod: Obj) -> float | None:
        """Starts a pod that has just been given its addresses."""
        desk = self.desk
        desk.set_status(pod, played(pod, is_ready=False, now=desk.now()))
        desk.tell(pod, "Started", "Started the pod's containers (played)", source=self.name)
        return 0.0

    def _given(self, pod: Obj, inside: str) -> list[str]:
        """The addresses that the pod brings along: those annotated, or its node's."""
        if spec_of(pod).get("hostNetwork"):
            return [inside]
        moved = self.desk.storage.ranges.moved
        asked = wish(pod, "address").split(",")
        given = [moved(str(ip_address(one.strip()))) for one in asked if one]
        for one in given:
            self._addresses.take(one)
        return given

    def _run(self, pod: Obj) -> float | None:
        """Makes a pod ready, or not, or lets it finish."""
        desk = self.desk
        now = desk.storage.now()
        started = now - self._elapsed(pod, "running")
        wait, phase = ready_in(pod, started, now), phase_of(pod)
        if phase == "Running" and wait == 0.0 and is_of_job(pod):
            phase = "Succeeded"
        is_ready = phase == "Running" and (wait == 0.0 or is_true(pod, "Ready"))
        if wait is None:
            is_ready = False
        was_ready = is_true(pod, "Ready")
        status = played(pod, is_ready=is_ready, now=timestamp(now), phase=phase)
        after = desk.set_status(pod, status)
        if was_ready and not is_ready and phase_of(after) == "Running":
            why = "it crashes" if wish(pod, "crash") == "true" else "its annotation says so"
            desk.tell(pod, "Unhealthy", f"Not ready: {why}", source=self.name, is_warning=True)
        return wait or None

    def _stop(self, pod: Obj) -> float | None:
        """Lets a pod that is being deleted go, once it has been seen to leave."""
        least = STOP_S
        with suppress(ValueError):  # what makes no sense keeps no pod from its end
            least = max(STOP_S, seconds(wish(pod, "stop-after")))
        least = min(least, float(pod["metadata"].get("deletionGracePeriodSeconds", 0)))
        if "ending" not in self._scenes.get(uid_of(pod), {}):
            self.desk.tell(pod, "Killing", "Stopping the pod's containers", source=self.name)
        if (wait := least - self._elapsed(pod, "ending")) > 0:
            return wait
        self._end(uid_of(pod))
        self.desk.delete(pod, Deletion(uid=uid_of(pod), grace_s=0))
        return None

    def _end(self, uid: str) -> None:
        """A pod is over: here nothing has to be ended."""


def _key(pod: Obj) -> Key:
    return namespace_of(pod), name_of(pod)


def _inside(node: Obj) -> str:
    """A node's address in the cluster; one that somebody made by hand may have none."""
    found = status_of(node).get("addresses") or ()
    return next((one.get("address", "") for one in found if one.get("type") == "InternalIP"), "")


def _takes_pods(node: Obj) -> bool:
    spec = spec_of(node)
    return bool(_inside(node) and spec.get("podCIDRs") and not spec.get("unschedulable"))
