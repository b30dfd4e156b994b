"""CronJobs: a Job at each time of a schedule; of those that are over, as many as are wanted."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from kdns.lab import schedules
from kdns.lab.controllers.bodies import (
    controller_of,
    is_terminating,
    is_true,
    name_of,
    namespace_of,
    owner_reference,
    spec_of,
    status_of,
    uid_of,
)
from kdns.lab.controllers.completions import is_over
from kdns.lab.controllers.pods import since
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import ApiError, Obj
from kdns.lab.history import Event
from kdns.lab.resources import CRONJOBS, JOBS, Resource
from kdns.lab.schedules import Schedule
from kdns.lab.storage import Deletion, Key, timestamp

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_AFTER_S = 0.1
"""How long after a time it is looked at: clocks differ."""
_MANY = 100


class CronJobs(Controller):
    """Makes Jobs in time, and forgets old ones."""

    name: ClassVar[str] = "cronjob-controller"
    watches: ClassVar[tuple[Resource, ...]] = (CRONJOBS, JOBS)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The CronJob itself, or that of a Job."""
        obj = event.object
        if resource is CRONJOBS:
            return ((namespace_of(obj), name_of(obj)),)
        owner = controller_of(obj)
        is_ours = owner is not None and owner["kind"] == "CronJob"
        return ((namespace_of(obj), owner["name"]),) if owner and is_ours else ()

    def sync(self, key: Key) -> float | None:
        """Takes note of its Jobs, makes the one that is due, and waits for the next time."""
        desk = self.desk
        cron = desk.storage.find(CRONJOBS, *key)
        if cron is None:
            return None
        jobs = self._forget(cron, desk.storage.around(JOBS, cron))
        status = self._seen(cron, jobs)
        wait = None
        try:
            if not is_terminating(cron) and not spec_of(cron).get("suspend"):
                status, wait = self._scheduled({**cron, "status": status})
        finally:
            desk.set_status(cron, {name: one for name, one in status.items() if one})
        return wait

    # Its Jobs

    def _forget(self, cron: Obj, jobs: Sequence[Obj]) -> list[Obj]:
        """Deletes the oldest of those that are over; gives those that are left."""
        gone = []
        for kind, word in (("Complete", "successful"), ("Failed", "failed")):
            kept = spec_of(cron).get(f"{word}JobsHistoryLimit")
            over = sorted((one for one in jobs if is_true(one, kind)), key=_began)
            gone += over[: max(len(over) - int(kept), 0)] if kept is not None else []
        for one in gone:
            self._delete(cron, one)
        return [one for one in jobs if one not in gone]

    def _delete(self, cron: Obj, job: Obj) -> None:
        if is_terminating(job):
            return
        self.desk.delete(job, Deletion(uid=uid_of(job), propagation="Background"))
        self._tell(cron, "SuccessfulDelete", f"Deleted job {name_of(job)}")

    def _seen(self, cron: Obj, jobs: Sequence[Obj]) -> Obj:
        """The status, with those at work, and the time of the last success."""
        status = status_of(cron)
        by_uid = {uid_of(one): one for one in jobs}
        known = {one["uid"]: one for one in status.get("active") or ()}
        for job in jobs:
            if not is_over(job) and uid_of(job) not in known:
                said = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
                self._tell(cron, "UnexpectedJob", said, is_warning=True)
        active = []
        for uid, reference in known.items():
            mine = by_uid.get(uid)
            if mine is None:
                said = f"Active job went missing: {reference['name']}"
                self._tell(cron, "MissingJob", said)
            elif is_over(mine):
                kind = "Complete" if is_true(mine, "Complete") else "Failed"
                said = f"Saw completed job: {name_of(mine)}, condition: {kind}"
                self._tell(cron, "SawCompletedJob", said)
            else:
                active.append(reference)
        ends = [
            status_of(one).get("completionTime", "") for one in jobs if is_true(one, "Complete")
        ]
        last = max([status.get("lastSuccessfulTime") or "", *ends])
        return {**status, "active": active, "lastSuccessfulTime": last}

    # Its times

    def _scheduled(self, cron: Obj) -> tuple[Obj, float | None]:
        """Makes a Job if one is due: the status, and how long to wait for the next."""
        status, now = status_of(cron), self.desk.storage.now()
        try:
            zone = schedules.zone_of(spec_of(cron).get("timeZone") or "")
            schedule = schedules.parse(spec_of(cron)["schedule"], zone)
        except ValueError as error:
            self._tell(cron, "UnparseableSchedule", str(error), is_warning=True)
            return status, None
        before = since(status.get("lastScheduleTime") or cron["metadata"]["creationTimestamp"])
        at, wait = self._due(cron, schedule, before, now), _wait_s(schedule, before, now)
        if at is None or timestamp(at) == status.get("lastScheduleTime"):
            return status, wait
        name = f"{name_of(cron)}-{int(at) // 60}"
        if any(one["name"] == name for one in status["active"]):
            return status, wait  # one a minute at most
        if status["active"] and spec_of(cron)["concurrencyPolicy"] == "Forbid":
            said = "Not starting job because prior execution is running and concurrency policy is "
            self._tell(cron, "JobAlreadyActive", f"{said}Forbid")
            return status, wait
        if spec_of(cron)["concurrencyPolicy"] == "Replace":
            for one in status["active"]:
                job = self.desk.storage.find(JOBS, namespace_of(cron), one["name"])
                if job and uid_of(job) == one["uid"]:
                    self._delete(cron, job)
            status = {**status, "active": []}
        made = self._make(cron, name, datetime.fromtimestamp(at, zone))
        if made is None:
            return status, wait
        active = [*status["active"], _reference(made)]
        return {**status, "active": active, "lastScheduleTime": timestamp(at)}, wait

    def _due(self, cron: Obj, schedule: Schedule, before: float, now: float) -> float | None:
        """The latest time that has come since the last Job, unless it is too late for it."""
        deadline = spec_of(cron).get("startingDeadlineSeconds")
        at = schedule.last(before, now)
        if at is None:
            return None
        if deadline is not None and at + int(deadline) < now:
            said = f"Missed scheduled time to start a job: {_long(at)}"
            self._tell(cron, "MissSchedule", said, is_warning=True)
            return None
        second = schedule.next(at)
        if deadline is None and second and (at - before) / (second - at) > _MANY:
            said = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or "
            self._tell(cron, "TooManyMissedTimes", f"{said}check clock skew", is_warning=True)
        return at

    def _make(self, cron: Obj, name: str, wall: datetime) -> Obj | None:
        """The Job of a time; None where there is one already."""
        if self.desk.storage.find(JOBS, namespace_of(cron), name):
            return None
        try:
            made = self.desk.create(job_of(cron, name, wall))
        except ApiError as error:
            self._tell(cron, "FailedCreate", f"Error creating job: {error}", is_warning=True)
            raise
        self._tell(cron, "SuccessfulCreate", f"Created job {name}")
        return made

    def _tell(self, cron: Obj, reason: str, said: str, *, is_warning: bool = False) -> None:
        self.desk.tell(cron, reason, said, source=self.name, is_warning=is_warning)


def job_of(cron: Obj, name: str, wall: datetime) -> Obj:
    """A Job as a CronJob wants it at a time."""
    template = spec_of(cron)["jobTemplate"]
    given = template.get("metadata") or {}
    at = wall.isoformat().replace("+00:00", "Z")
    metadata: Obj = {
        "namespace": namespace_of(cron),
        "name": name,
        "annotations": {**(given.get("annotations") or {}), SCHEDULED: at},
        "ownerReferences": [owner_reference(cron)],
    }
    if given.get("labels"):
        metadata["labels"] = given["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def _wait_s(schedule: Schedule, before: float, now: float) -> float | None:
    """Seconds until the next time; None where none comes."""
    following = schedule.next(schedule.last(before, now) or before)
    return None if following is None else max(following + _AFTER_S - now, _AFTER_S)


def _began(job: Obj) -> tuple[str, str]:
    """Jobs by age; those that have not begun are the youngest."""
    return status_of(job).get("startTime") or "~", name_of(job)


def _reference(job: Obj) -> Obj:
    return {
        "apiVersion": job["apiVersion"],
        "kind": job["kind"],
        "name": name_of(job),
        "namespace": namespace_of(job),
        "uid": uid_of(job),
        "resourceVersion": job["metadata"]["resourceVersion"],
    }


def _long(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
