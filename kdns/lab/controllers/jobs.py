"""Jobs: pods that run to their end, made again after a while when they fail, until enough are done.

Also taken care of: pods whose Job has gone before they were counted, and Jobs that are to go some
time after their end.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from kdns.lab.controllers import completions
from kdns.lab.controllers import pods as pods_
from kdns.lab.controllers.bodies import (
    condition,
    controller_of,
    is_active,
    is_controlled_by,
    is_finished,
    is_terminating,
    is_true,
    labels_of,
    matches,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from kdns.lab.controllers.completions import Backoff, End, Tally, is_over, is_tracked
from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import JOBS, PODS, Resource
from kdns.lab.storage import Deletion, Key

AT_ONCE = 10
"""How many pods are made in one go; the news of them bring the next."""
_MYSELF = {None, "kubernetes.io/job-controller"}
_LOOSE = "/"
"""Before the name of a pod in a key: its Job will not count it any more."""
_NOT_PLAYED = ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex")
_SUSPENDED = ("JobSuspended", "Job suspended")
_RESUMED = ("JobResumed", "Job resumed")


class Jobs(Controller):
    """Makes, counts and gives up the pods of Jobs."""

    name: ClassVar[str] = "job-controller"
    watches: ClassVar[tuple[Resource, ...]] = (JOBS, PODS)

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._backoffs: dict[str, Backoff] = {}
        """Of Jobs with failures that are not over, by uid."""

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The Job itself, or the Jobs of a pod, or a pod that none will count."""
        obj = event.object
        if resource is JOBS:
            if event.type == "DELETED":
                self._backoffs.pop(uid_of(obj), None)
            return ((namespace_of(obj), name_of(obj)),)
        found = set(pods_.owners_of(self.desk, JOBS, (event.old, obj)))
        if is_tracked(obj) and not self._is_awaited(obj):
            found.add((namespace_of(obj), _LOOSE + name_of(obj)))
        return found

    def sync(self, key: Key) -> float | None:
        """One step of a Job; a pod that is loose is let go."""
        namespace, name = key
        if name.startswith(_LOOSE):
            pod = self.desk.storage.find(PODS, namespace, name.removeprefix(_LOOSE))
            if pod and not self._is_awaited(pod):
                self._release(pod)
            return None
        job = self.desk.storage.find(JOBS, *key)
        if job is None or spec_of(job).get("managedBy") not in _MYSELF:
            return None
        if is_over(job):
            self._backoffs.pop(uid_of(job), None)
            return self._expire(job)
        if is_terminating(job):
            for pod in self._pods(job):
                self._release(pod)
            return None
        return self._advance(job)

    # Pods

    def _pods(self, job: Obj) -> list[Obj]:
        """Its pods that have not ended or not been counted; one that it takes in shall be, too."""
        selector, among = spec_of(job)["selector"], []
        for pod in self._around(job):
            is_free = controller_of(pod) is None and not is_terminating(pod)
            if is_free and not is_terminating(job) and matches(selector, labels_of(pod)):
                marks = {*_finalizers(pod), completions.TRACKING}
                among.append(self.desk.update(_with_finalizers(pod, marks)))
            else:
                among.append(pod)
        return pods_.claimed(self.desk, job, among)

    def _around(self, job: Obj) -> Iterable[Obj]:
        """Pods that may be its own, but for those that it is done with."""
        found = self.desk.storage.around(PODS, job)
        return (pod for pod in found if is_tracked(pod) or not is_finished(pod))

    def _is_awaited(self, pod: Obj) -> bool:
        """True for a pod with a Job that is not over."""
        reference = controller_of(pod) or {}
        job = self.desk.storage.find(JOBS, namespace_of(pod), reference.get("name", ""))
        return bool(job and is_controlled_by(pod, job) and not is_over(job))

    def _release(self, pod: Obj) -> None:
        """Lets a pod go that has been counted, or need not be."""
        found = self.desk.present(pod)
        if found and is_tracked(found):
            left = [one for one in _finalizers(found) if one != completions.TRACKING]
            self.desk.update(_with_finalizers(found, left))

    def _remove(self, job: Obj, pods: Sequence[Obj], *, is_counted: bool) -> None:
        """Gives pods up, as failed ones or as if they had not been."""
        for pod in pods:
            if not is_counted:
                self._release(pod)
            self.desk.delete(pod)
            said = f"Deleted pod: {name_of(pod)}"
            self.desk.tell(job, "SuccessfulDelete", said, source=self.name)

    # One step

    def _advance(self, job: Obj) -> float | None:
        now = self.desk.storage.now()
        pods = self._pods(job)
        found = completions.tally(job, pods)
        job = self._begun(job)
        backoff = self._backoffs.get(uid_of(job), Backoff()).after(found)
        end, wait = completions.ending(job, pods, found, now), None
        if end is None:
            wait = self._manage(job, found, backoff, now)
        else:
            self._remove(job, found.active, is_counted=True)
            found = completions.at_end(found, end, pods)
        for pod in pods if end else (*found.succeeded, *found.failed):
            self._release(pod)
        if backoff.failures:
            self._backoffs[uid_of(job)] = backoff
        present = self._present(job)
        count, active = completions.succeeded(job, found), sum(map(is_active, present))
        if end is None and completions.is_done(job, count, active):
            end = completions.REACHED
        self._finish(job, self._status(job, found, present), end)
        left = completions.deadline_in(job, now)
        waits = [one for one in (wait, left) if one is not None]
        return min(waits, default=None) if end is None else None

    def _present(self, job: Obj) -> list[Obj]:
        """Its pods as they are after what has been done."""
        return [pod for pod in self._around(job) if is_controlled_by(pod, job)]

    def _begun(self, job: Obj) -> Obj:
        """A Job as it begins, or goes on; its status has yet to be stored."""
        status, was = status_of(job), is_true(job, "Suspended")
        if spec_of(job).get("suspend") or ("startTime" in status and not was):
            return job
        for word in _NOT_PLAYED:
            if spec_of(job).get(word) is not None:
                said = f"The lab takes {word} and does nothing about it"
                self.desk.tell(job, "NotPlayed", said, source=self.name, is_warning=True)
        return {**job, "status": {**status, "startTime": self.desk.now()}}

    def _manage(self, job: Obj, found: Tally, backoff: Backoff, now: float) -> float | None:
        """Makes what lacks, or gives up what is too much; says how long it waits to make more."""
        if spec_of(job).get("suspend"):
            self._remove(job, found.active, is_counted=False)
            return None
        active, count = found.active, completions.succeeded(job, found)
        wanted = completions.wanted_now(job, count, len(active))
        surplus = completions.misfits(job, active)
        if len(active) - len(surplus) > wanted:
            others = [pod for pod in pods_.last_first(active) if pod not in surplus]
            surplus += others[: len(others) - wanted]
        if surplus:
            self._remove(job, surplus, is_counted=False)
            return None
        leaving = len(found.leaving) if completions.waits_for_ends(job) else 0
        lack = min(wanted - len(active) - leaving, AT_ONCE)
        wait = backoff.remaining_s(now) if lack > 0 else 0.0
        if wait:
            return wait
        for index in completions.missing(job, found, max(lack, 0)):
            made = self.desk.create(completions.pod_of(job, index, self.desk.suffix()))
            said = f"Created pod: {name_of(made)}"
            self.desk.tell(job, "SuccessfulCreate", said, source=self.name)
        return None

    # What is told

    def _status(self, job: Obj, found: Tally, present: Sequence[Obj]) -> Obj:
        """All but how it ends."""
        status = {key: one for key, one in status_of(job).items() if key != "active"}
        status |= completions.counts(present)
        status["uncountedTerminatedPods"] = {}
        for key, number in (
            ("succeeded", completions.succeeded(job, found)),
            ("failed", completions.failed(job, found)),
        ):
            status |= {key: number} if number else {}
        if completions.is_indexed(job):
            numbers = completions.listed(completions.done(job, found))
            status |= {"completedIndexes": numbers} if numbers else {}
        return status

    def _finish(self, job: Obj, status: Obj, end: End | None) -> None:
        """Stores the status, with the conditions it comes to, and tells what is new."""
        now, told = self.desk.now(), ""
        if end is None:
            status, told = self._paused(job, status, now)
            self.desk.set_status(self._stored(job), status)
            if told:
                self.desk.tell(job, told, f"Job {told.lower()}", source=self.name)
            return
        soon, over = end.marks
        why = (end.reason, end.message)
        if condition(job, soon) is None:
            status = completions.with_condition(status, soon, value=True, why=why, now=now)
        if not status["terminating"]:
            status = completions.with_condition(status, over, value=True, why=why, now=now)
            status |= {"completionTime": now} if end.is_good else {}
        self.desk.set_status(self._stored(job), status)
        if not status["terminating"]:
            reason, message = ("Completed", "Job completed") if end.is_good else why
            self.desk.tell(job, reason, message, source=self.name, is_warning=not end.is_good)

    def _paused(self, job: Obj, status: Obj, now: str) -> tuple[Obj, str]:
        """The status of a Job that is stopped or goes on, and a word for it if that is new."""
        is_suspended, was = bool(spec_of(job).get("suspend")), is_true(job, "Suspended")
        if is_suspended == was:
            return status, ""
        why = _SUSPENDED if is_suspended else _RESUMED
        new = completions.with_condition(status, "Suspended", value=is_suspended, why=why, now=now)
        return new, "Suspended" if is_suspended else "Resumed"

    def _stored(self, job: Obj) -> Obj:
        return self.desk.storage.get(JOBS, namespace_of(job), name_of(job))

    def _expire(self, job: Obj) -> float | None:
        """Deletes a Job that has been over for long enough."""
        ttl = spec_of(job).get("ttlSecondsAfterFinished")
        if ttl is None or is_terminating(job):
            return None
        ends = [found for kind in ("Complete", "Failed") if (found := condition(job, kind))]
        ended = max(pods_.since(one["lastTransitionTime"]) for one in ends)
        wait = ended + int(ttl) - self.desk.storage.now()
        if wait > 0:
            return wait
        self.desk.delete(job, Deletion(uid=uid_of(job), propagation="Foreground"))
        return None


def _finalizers(pod: Obj) -> list[str]:
    return pod["metadata"].get("finalizers") or []


def _with_finalizers(pod: Obj, finalizers: Iterable[str]) -> Obj:
    return {**pod, "metadata": {**pod["metadata"], "finalizers": sorted(finalizers)}}
