"""CronJobs: defaults, checks of schedules and time zones, the line that `get` prints."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kdns.lab import checks, schedules, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds.jobs import WIDE, check_spec, default_template, wide
from kdns.lab.kinds.kind import Kind
from kdns.lab.ranges import USUAL, Ranges
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

_CONCURRENCIES = ("Allow", "Forbid", "Replace")
_LONGEST = 52
"""A Job of a CronJob has its name, a hyphen and ten digits."""


class CronJobs(Kind):
    """The rules of CronJobs."""

    columns = (
        tables.NAME,
        Column("Schedule"),
        Column("Timezone"),
        Column("Suspend", "boolean"),
        Column("Active", "integer"),
        Column("Last Schedule"),
        tables.AGE,
        *WIDE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, SCHEDULE, TIMEZONE, SUSPEND, ACTIVE, LAST SCHEDULE, AGE, and as of Jobs."""
        spec, status = obj["spec"], obj.get("status") or {}
        last = status.get("lastScheduleTime")
        return [
            obj["metadata"]["name"],
            spec["schedule"],
            spec.get("timeZone") or "<none>",
            str(spec["suspend"]),
            len(status.get("active") or []),
            tables.since(last, now) if last else "<none>",
            tables.age(obj, now),
            *wide(spec["jobTemplate"]["spec"]),
        ]

    def default(self, obj: Obj) -> None:
        """How many at once, how many are kept, and the pods' spec."""
        spec = obj.setdefault("spec", {})
        if not spec.get("concurrencyPolicy"):
            spec["concurrencyPolicy"] = _CONCURRENCIES[0]
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        template = spec["jobTemplate"] = spec.get("jobTemplate") or {}
        template.setdefault("metadata", {})
        template["spec"] = template.get("spec") or {}
        default_template(template["spec"])

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A new one has run nothing."""
        del storage
        if old is None:
            obj["status"] = {}

    def validate(self, obj: Obj, old: Obj | None, ranges: Ranges = USUAL) -> list[Cause]:
        """A new one has a name that is short enough for those of its Jobs."""
        found = super().validate(obj, old, ranges)
        name = obj["metadata"].get("name") or ""
        if old is None and len(name) > _LONGEST:
            why = f"must be no more than {_LONGEST} characters"
            found.append(checks.invalid("metadata.name", name, why))
        return found

    def check(self, obj: Obj) -> Iterable[Cause]:
        """The schedule, all numbers, and the Job's spec."""
        spec = obj["spec"]
        yield from _check_schedule(spec.get("schedule") or "")
        late = spec.get("startingDeadlineSeconds")
        yield from checks.least("spec.startingDeadlineSeconds", late)
        yield from _check_zone("spec.timeZone", spec.get("timeZone"))
        policy = spec["concurrencyPolicy"]
        yield from checks.one_of("spec.concurrencyPolicy", policy, _CONCURRENCIES)
        inner, at = spec["jobTemplate"]["spec"], "spec.jobTemplate.spec"
        yield from check_spec(inner, at)
        if inner.get("selector") is not None:
            why = "`selector` will be auto-generated"
            yield checks.invalid(f"{at}.selector", inner["selector"], why)
        if inner.get("manualSelector"):
            yield checks.unsupported(f"{at}.manualSelector", value=True, values=("nil", "false"))
        for name in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
            yield from checks.least(f"spec.{name}", spec.get(name))


def _check_schedule(text: str) -> Iterable[Cause]:
    if not text:
        yield checks.required("spec.schedule")
        return
    try:
        schedules.parse(text)
    except ValueError as error:
        yield checks.invalid("spec.schedule", text, str(error))
    if "TZ" in text:
        why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield checks.invalid("spec.schedule", text, why)


def _check_zone(at: str, name: str | None) -> Iterable[Cause]:
    if name is None:
        return
    if name.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield checks.invalid(at, name, why)
    if name != "Local":
        try:
            schedules.zone_of(name)
        except ValueError as error:
            yield checks.invalid(at, name, str(error))
