"""Jobs by their numbers: which pods count, which indexes are done, when one is over, what is next.

A pod of a Job bears a finalizer until it has been counted, so that none is lost or counted twice.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kdns.lab.controllers.bodies import (
    annotations_of,
    condition,
    is_active,
    is_finished,
    is_ready,
    is_terminating,
    is_true,
    name_of,
    spec_of,
    status_of,
    uid_of,
)
from kdns.lab.controllers.pods import made_from, since
from kdns.lab.errors import Obj
from kdns.lab.kinds.jobs import BATCH

TRACKING = f"{BATCH}job-tracking"
INDEX = f"{BATCH}job-completion-index"
FIRST_S, LATEST_S = 10.0, 600.0
"""How long after its first failed pod a Job makes the next, and how long at most after any."""
_LONGEST = 58
"""Of a name, before five random letters."""


class End(NamedTuple):
    """How a Job is over, or about to be: the reason and the message of its conditions."""

    is_good: bool
    reason: str
    message: str

    @property
    def marks(self) -> tuple[str, str]:
        """The condition that says that it will be over, and the one that says that it is."""
        return ("SuccessCriteriaMet", "Complete") if self.is_good else ("FailureTarget", "Failed")


REACHED = End(True, "CompletionsReached", "Reached expected number of succeeded pods")
_LIMIT = End(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
_LATE = End(False, "DeadlineExceeded", "Job was active longer than specified deadline")


class Tally(NamedTuple):
    """A Job's pods: those at work, those that leave, and those to be counted."""

    active: list[Obj]
    leaving: list[Obj]
    succeeded: list[Obj]
    failed: list[Obj]


class Backoff(NamedTuple):
    """Failures since the last success, and when the last of them was."""

    failures: int = 0
    last: float = 0.0

    def after(self, tally: Tally) -> "Backoff":
        """With what has come to be counted."""
        failures = self.failures
        ended = sorted(map(ended_at, tally.failed))
        if tally.succeeded:
            success = max(map(ended_at, tally.succeeded))
            failures, ended = 0, [one for one in ended if one > success]
        return Backoff(failures + len(ended), max([self.last, *ended]))

    def remaining_s(self, now: float) -> float:
        """How long to wait before pods are made again."""
        if not self.failures:
            return 0.0
        wait = min(FIRST_S * 2.0 ** min(self.failures - 1, 16), LATEST_S)
        return max(self.last + wait - now, 0.0)


def is_over(job: Obj) -> bool:
    """True for a Job that does nothing any more."""
    return is_true(job, "Complete") or is_true(job, "Failed")


def is_indexed(job: Obj) -> bool:
    """True when each pod has a number."""
    return spec_of(job).get("completionMode") == "Indexed"


def is_tracked(pod: Obj) -> bool:
    """True for a pod that has not been counted."""
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def waits_for_ends(job: Obj) -> bool:
    """True when a pod that leaves is replaced once it has gone."""
    return spec_of(job).get("podReplacementPolicy") == "Failed"


def index_of(job: Obj, pod: Obj) -> int | None:
    """A pod's number; None where it has none that counts."""
    text = annotations_of(pod).get(INDEX, "")
    number = int(text) if text.isascii() and text.isdecimal() else -1
    return number if 0 <= number < int(spec_of(job).get("completions") or 0) else None


def tally(job: Obj, pods: Iterable[Obj]) -> Tally:
    """A Job's pods, sorted."""
    found = Tally([], [], [], [])
    for pod in pods:
        if is_active(pod):
            found.active.append(pod)
        elif not is_finished(pod):
            found.leaving.append(pod)
        if not is_tracked(pod) or (is_indexed(job) and index_of(job, pod) is None):
            continue
        if status_of(pod).get("phase") == "Succeeded":
            found.succeeded.append(pod)
        elif _has_failed(job, pod):
            found.failed.append(pod)
    return found


def _has_failed(job: Obj, pod: Obj) -> bool:
    if status_of(pod).get("phase") == "Failed":
        return True
    has_ended = not pod["metadata"].get("deletionGracePeriodSeconds")
    return is_terminating(pod) and (has_ended or not waits_for_ends(job))


def ended_at(pod: Obj) -> float:
    """When a pod ended, or began to."""
    states = [one.get("state") or {} for one in status_of(pod).get("containerStatuses") or ()]
    ends = [(one.get("terminated") or {}).get("finishedAt") for one in states]
    if ends and all(ends):
        return max(since(one) for one in ends if one)
    ready = condition(pod, "Ready") or {}
    if ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return since(ready["lastTransitionTime"])
    metadata = pod["metadata"]
    if is_terminating(pod):
        grace = int(metadata.get("deletionGracePeriodSeconds") or 0)
        return since(metadata["deletionTimestamp"]) - grace
    return since(metadata["creationTimestamp"])


# Indexes


def indexes(text: str, most: int) -> set[int]:
    """What `0,2-4` lists, below a bound."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), min(int(last or first) + 1, most)))
    return found


def listed(numbers: Iterable[int]) -> str:
    """Numbers as `0,2-4`; two in a row are two."""
    rows: list[list[int]] = []
    for number in sorted(numbers):
        if rows and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return ",".join(
        f"{row[0]}-{row[-1]}" if len(row) > 2 else ",".join(map(str, row)) for row in rows
    )


def done(job: Obj, found: Tally) -> set[int]:
    """The indexes that have succeeded, with those that come to be counted."""
    most = int(spec_of(job).get("completions") or 0)
    before = indexes(status_of(job).get("completedIndexes", ""), most)
    return before | {at for pod in found.succeeded if (at := index_of(job, pod)) is not None}


def succeeded(job: Obj, found: Tally) -> int:
    """How many pods, or indexes, have succeeded."""
    if is_indexed(job):
        return len(done(job, found))
    return int(status_of(job).get("succeeded", 0)) + len(found.succeeded)


def failed(job: Obj, found: Tally) -> int:
    """How many pods have failed."""
    return int(status_of(job).get("failed", 0)) + len(found.failed)


# What is next


def ending(job: Obj, pods: Iterable[Obj], found: Tally, now: float) -> End | None:
    """Why a Job is not to go on, besides that all is done."""
    for is_good, kind in ((True, "SuccessCriteriaMet"), (False, "FailureTarget")):
        known = condition(job, kind)
        if known and known.get("status") == "True":
            return End(is_good, known.get("reason", ""), known.get("message", ""))
    limit = int(spec_of(job).get("backoffLimit", 6))
    if failed(job, found) > limit or _restarts_too_often(job, pods, limit):
        return _LIMIT
    left = deadline_in(job, now)
    return _LATE if left is not None and left <= 0 else None


def _restarts_too_often(job: Obj, pods: Iterable[Obj], limit: int) -> bool:
    if (spec_of(job)["template"].get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    count = sum(
        int(one.get("restartCount", 0))
        for pod in pods
        if status_of(pod).get("phase") in {"Running", "Pending"}
        for listed_ in ("initContainerStatuses", "containerStatuses")
        for one in status_of(pod).get(listed_) or ()
    )
    return count > 0 and count >= limit


def deadline_in(job: Obj, now: float) -> float | None:
    """Seconds until a Job has been active for too long."""
    least, began = spec_of(job).get("activeDeadlineSeconds"), status_of(job).get("startTime")
    if least is None or not began or spec_of(job).get("suspend"):
        return None
    return since(began) + int(least) - now


def is_done(job: Obj, count: int, active: int) -> bool:
    """True when so many successes are enough, and nobody is at work."""
    wanted = spec_of(job).get("completions")
    return not active and (count > 0 if wanted is None else count >= int(wanted))


def wanted_now(job: Obj, count: int, active: int) -> int:
    """How many pods shall be at work after so many successes."""
    at_once, wanted = int(spec_of(job).get("parallelism", 1)), spec_of(job).get("completions")
    if wanted is None:
        return active if count else at_once
    return max(min(at_once, int(wanted) - count), 0)


def misfits(job: Obj, active: Sequence[Obj]) -> list[Obj]:
    """Pods of an indexed Job whose number is another one's, or none."""
    seen: set[int | None] = {None}
    found = []
    for pod in active if is_indexed(job) else ():
        index = index_of(job, pod)
        if index in seen:
            found.append(pod)
        seen.add(index)
    return found


def missing(job: Obj, found: Tally, most: int) -> list[int | None]:
    """The numbers of the next pods, as many as may be made; None for pods without."""
    if not is_indexed(job):
        return [None] * most
    taken = done(job, found) | {
        at for pod in found.active if (at := index_of(job, pod)) is not None
    }
    if waits_for_ends(job):
        taken |= {at for pod in found.leaving if (at := index_of(job, pod)) is not None}
    free = (one for one in range(int(spec_of(job)["completions"])) if one not in taken)
    return [one for one, _ in zip(free, range(most), strict=False)]


def at_end(found: Tally, end: End, pods: Iterable[Obj]) -> Tally:
    """When a Job fails, all of its pods that have not been counted have failed."""
    if end.is_good:
        return found
    good = {uid_of(pod) for pod in found.succeeded}
    failures = [pod for pod in pods if is_tracked(pod) and uid_of(pod) not in good]
    return found._replace(failed=failures)


# What is written


def pod_of(job: Obj, index: int | None, suffix: str) -> Obj:
    """A pod to be made."""
    tail = "-" if index is None else f"-{index}-"
    name = f"{name_of(job)[: _LONGEST - len(tail)]}{tail}{suffix}"
    template = spec_of(job)["template"]
    made = made_from(template, job, name, {} if index is None else {INDEX: str(index)})
    given = (template.get("metadata") or {}).get("finalizers") or []
    made["metadata"]["finalizers"] = list(dict.fromkeys([*given, TRACKING]))
    if index is None:
        return made
    made["metadata"]["annotations"] = {**annotations_of(made), INDEX: str(index)}
    spec = {**made["spec"], "hostname": f"{name_of(job)}-{index}"}
    for part in ("initContainers", "containers"):
        if spec.get(part):
            spec[part] = [_numbered(one) for one in spec[part]]
    return {**made, "spec": spec}


def _numbered(container: Obj) -> Obj:
    """A container that is told its number."""
    given = container.get("env") or []
    if any(one.get("name") == "JOB_COMPLETION_INDEX" for one in given):
        return container
    reference = {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}
    told = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": reference}}
    return {**container, "env": [*given, told]}


def counts(pods: Iterable[Obj]) -> Obj:
    """What a status says of the pods as they are."""
    found = list(pods)
    active = [pod for pod in found if is_active(pod)]
    leaving = sum(is_terminating(pod) and not is_finished(pod) for pod in found)
    shown = {"active": len(active)} if active else {}
    return {**shown, "ready": sum(map(is_ready, active)), "terminating": leaving}


def with_condition(status: Obj, kind: str, value: bool, why: tuple[str, str], now: str) -> Obj:
    """A status with a condition that it did not have so."""
    new = {
        "type": kind,
        "status": str(value),
        "lastProbeTime": now,
        "lastTransitionTime": now,
        "reason": why[0],
        "message": why[1],
    }
    others = [one for one in status.get("conditions") or () if one.get("type") != kind]
    return {**status, "conditions": [*others, new]}
