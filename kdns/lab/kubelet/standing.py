"""What a pod's containers do becomes its status, in the words of the API."""

from kdns.lab.controllers.bodies import status_of, with_conditions
from kdns.lab.errors import Obj
from kdns.lab.kubelet.life import Life
from kdns.lab.kubelet.runs import Past, Run
from kdns.lab.storage import timestamp

_GONE = ("reason", "message")


def standing(pod: Obj, life: Life, *, may_be_ready: bool, now: float) -> Obj:
    """The status of a pod; what keeps it from being ready beside its containers is told."""
    old = status_of(pod)
    phase = life.phase
    is_ready = may_be_ready and phase == "Running" and all(run.is_ready for run in life.runs)
    status = {
        **old,
        "phase": phase,
        "conditions": _conditions(old, life, is_ready=is_ready, now=timestamp(now)),
        "containerStatuses": [_container(pod, run, may_be_ready=may_be_ready) for run in life.runs],
    }
    if life.first:
        status["initContainerStatuses"] = [
            _container(pod, run, may_be_ready=True) for run in life.first
        ]
    return status


def _conditions(old: Obj, life: Life, *, is_ready: bool, now: str) -> list[Obj]:
    phase = life.phase
    waiting = [run.name for run in life.first if run.is_first and not _is_through(run)]
    told = {
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(waiting)}]",
    }
    changes: list[Obj] = [
        {"type": "PodReadyToStartContainers", "status": "True"},
        {"type": "Initialized", "status": "False", **told}
        if waiting
        else {"type": "Initialized", "status": "True"},
    ]
    names = " ".join(run.name for run in life.runs if not is_ready)
    why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{names}]"}
    if phase == "Succeeded":
        why = {"reason": "PodCompleted", "message": ""}
    ready = {"status": str(is_ready), **({} if is_ready else why)}
    changes += [{"type": kind, **ready} for kind in ("Ready", "ContainersReady")]
    return [
        {key: one[key] for key in one if key not in _GONE} if _is_plain(one) else one
        for one in with_conditions(old, changes, now)
    ]


def _is_plain(condition: Obj) -> bool:
    """True where a reason would be of an earlier state."""
    mine = {"Ready", "ContainersReady", "Initialized"}
    return condition["type"] in mine and condition["status"] == "True"


def _is_through(run: Run) -> bool:
    return run.is_over and (run.past is None or run.past.exit.code == 0)


def _container(pod: Obj, run: Run, *, may_be_ready: bool) -> Obj:
    image = run.container.get("image", "")
    is_ready = _is_through(run) if run.is_first else may_be_ready and run.is_ready
    shown = {
        "name": run.name,
        "image": image,
        "imageID": "",
        "containerID": f"played://{pod['metadata']['uid']}/{run.name}",
        "ready": is_ready,
        "started": run.has_started,
        "restartCount": run.restarts,
        "state": _state(run),
    }
    if run.past and not run.is_over:
        shown["lastState"] = {"terminated": _ended(run.past)}
    return shown


def _state(run: Run) -> Obj:
    if run.state == "running":
        return {"running": {"startedAt": timestamp(run.began)}}
    if run.state == "terminated" and run.past:
        return {"terminated": _ended(run.past)}
    told = {"reason": run.reason}
    return {"waiting": {**told, "message": run.message} if run.message else told}


def _ended(past: Past) -> Obj:
    shown: Obj = {
        "exitCode": past.exit.code,
        "reason": past.reason,
        "startedAt": timestamp(past.began),
        "finishedAt": timestamp(past.ended),
    }
    return {**shown, "message": past.exit.message} if past.exit.message else shown
