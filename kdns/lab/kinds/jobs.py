"""Jobs: defaults, generated selectors, checks, what may change, the line that `get` prints.

Policies for failing pods, successes and single indexes are stored as they are given, and only
looked at where they forbid something else.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds import podspec, workloads
from kdns.lab.kinds.kind import Kind
from kdns.lab.ranges import USUAL, Ranges
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

BATCH = "batch.kubernetes.io/"
CONTROLLER, JOB_NAME = f"{BATCH}controller-uid", f"{BATCH}job-name"
_OLD_CONTROLLER, _OLD_JOB_NAME = "controller-uid", "job-name"
"""Both are set with and without the prefix."""
_MODES = ("NonIndexed", "Indexed")
_RESTARTS = ("OnFailure", "Never")
_REPLACEMENTS = ("Failed", "TerminatingOrFailed")
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_KEPT = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_MOST_INDEXES = 100_000
_MOST_OF_MANY = 10_000
_ANY_FAILURES = (1 << 31) - 1
WIDE = (
    Column("Containers", priority=1),
    Column("Images", priority=1),
    Column("Selector", priority=1),
)


def is_true(obj: Obj, kind: str) -> bool:
    """True when a Job's condition holds."""
    found = (obj.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == kind and one.get("status") == "True" for one in found)


class Jobs(Kind):
    """The rules of Jobs."""

    columns = (
        tables.NAME,
        Column("Status"),
        Column("Completions"),
        Column("Duration"),
        tables.AGE,
        *WIDE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, STATUS, COMPLETIONS, DURATION, AGE, CONTAINERS, IMAGES, SELECTOR."""
        spec = obj["spec"]
        return [
            obj["metadata"]["name"],
            _state(obj),
            _completions(spec, obj.get("status") or {}),
            _duration(obj.get("status") or {}, now),
            tables.age(obj, now),
            *wide(spec),
        ]

    def fields(self, obj: Obj) -> dict[str, str]:
        """By how many pods have succeeded."""
        return {"status.successful": str((obj.get("status") or {}).get("succeeded", 0))}

    def default(self, obj: Obj) -> None:
        """What stands in `-o yaml` though nobody wrote it."""
        spec = obj.setdefault("spec", {})
        default_template(spec)
        if spec.get("completions") is None and spec.get("parallelism") is None:
            spec["completions"] = 1
        spec.setdefault("parallelism", 1)
        is_per_index = spec.get("backoffLimitPerIndex") is not None
        spec.setdefault("backoffLimit", _ANY_FAILURES if is_per_index else 6)
        spec.setdefault("completionMode", _MODES[0])
        spec.setdefault("suspend", False)
        spec.setdefault("manualSelector", False)
        policy = spec.get("podFailurePolicy")
        spec.setdefault("podReplacementPolicy", _REPLACEMENTS[policy is None])
        for rule in (policy or {}).get("rules") or []:
            for one in rule.get("onPodConditions") or []:
                one.setdefault("status", "True")
        _label(obj)

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A new one selects its pods by its uid, and has no status yet."""
        del storage
        if old is not None:
            return
        obj["status"] = {}
        if obj["spec"]["manualSelector"]:
            return
        metadata, spec = obj["metadata"], obj["spec"]
        bearer = spec["template"]["metadata"]
        given = bearer.get("labels") or {}
        bearer["labels"] = _generated(metadata) | given
        selector = spec["selector"] = spec.get("selector") or {}
        wanted = selector.get("matchLabels") or {}
        selector["matchLabels"] = {CONTROLLER: metadata["uid"]} | wanted
        if metadata.get("labels", given) == given:  # those that it has of its pods
            metadata["labels"] = dict(bearer["labels"])

    def validate(self, obj: Obj, old: Obj | None, ranges: Ranges = USUAL) -> list[Cause]:
        """As of all kinds; of a change, the spec is looked at once more."""
        found = super().validate(obj, None, ranges)
        if old is not None:
            found += [*_check_selected(obj["spec"]), *self.changed(obj, old)]
        return found

    def check(self, obj: Obj) -> Iterable[Cause]:
        """The selector, all numbers, the template, and names that pods will have."""
        spec, name = obj["spec"], obj["metadata"].get("name") or ""
        yield from _check_generated(obj)
        yield from _check_selected(spec)
        count = spec.get("completions") or 0
        if spec["completionMode"] == "Indexed" and count > 0:
            longest = f"{name}-{count - 1}"
            if checks.label(longest):
                why = f"will not able to create pod with invalid DNS label: {longest}"
                yield checks.invalid("metadata.name", name, why)

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """What it does stays; how many at a time, for how long and whether now may change."""
        new, before = obj["spec"], old["spec"]
        yield from _check_completions(new, before)
        yield from checks.kept(
            "spec.selector", _sorted(new.get("selector")), before.get("selector")
        )
        template = before["template"]
        if before["suspend"] and "startTime" not in (old.get("status") or {}):
            template = _rescheduled(template, new["template"])
        yield from checks.kept("spec.template", new["template"], template)
        for name in _KEPT:
            yield from checks.kept(f"spec.{name}", new.get(name), before.get(name))


def default_template(spec: Obj) -> None:
    """The template's spec."""
    template = spec["template"] = spec.get("template") or {}
    template.setdefault("metadata", {})
    template["spec"] = template.get("spec") or {}
    podspec.default(template["spec"])


def _generated(metadata: Obj) -> dict[str, str]:
    """The labels by which a Job finds its pods."""
    name, uid = metadata.get("name") or "", metadata.get("uid") or ""
    return {CONTROLLER: uid, JOB_NAME: name, _OLD_CONTROLLER: uid, _OLD_JOB_NAME: name}


def _label(obj: Obj) -> None:
    """One without labels has those of its pods."""
    labels = _labels(obj["spec"])
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = labels


# What may stand in a Job


def _check_generated(obj: Obj) -> Iterable[Cause]:
    """A selector that nobody chose has its labels."""
    spec = obj["spec"]
    if spec["manualSelector"] or spec.get("selector") is None:
        return
    labels, wanted = _labels(spec) or {}, _generated(obj["metadata"])
    for key in (_OLD_CONTROLLER, _OLD_JOB_NAME, CONTROLLER, JOB_NAME):
        at, why = f"spec.template.metadata.labels[{key}]", f"must be '{wanted[key]}'"
        if key not in labels:
            yield checks.required(at, why)
        elif labels[key] != wanted[key]:
            yield checks.invalid(at, labels, why)
    if not workloads.matches(spec["selector"], wanted):
        why = "`selector` not auto-generated"
        yield checks.invalid("spec.selector", _sorted(spec["selector"]), why)


def _labels(spec: Obj) -> dict[str, str] | None:
    """Those of its pods, in the order in which servers show them."""
    found = spec["template"]["metadata"].get("labels")
    return None if found is None else dict(sorted(found.items()))


def _sorted(selector: Obj | None) -> Obj | None:
    if not selector or not selector.get("matchLabels"):
        return selector
    return selector | {"matchLabels": dict(sorted(selector["matchLabels"].items()))}


def _check_selected(spec: Obj) -> Iterable[Cause]:
    """A spec with the selector that fits its template."""
    yield from check_spec(spec, "spec")
    given = spec.get("selector")
    if given is None:
        yield checks.required("spec.selector")
    wrong = list(checks.selector("spec.selector", given or {}))
    yield from wrong
    labels = _labels(spec)
    if not wrong and (given is None or not workloads.matches(given, labels or {})):
        why = "`selector` does not match template `labels`"
        yield checks.invalid("spec.template.metadata.labels", labels, why)


def check_spec(spec: Obj, at: str) -> Iterable[Cause]:
    """All but the selector."""
    for name in _COUNTS:
        yield from checks.least(f"{at}.{name}", spec.get(name))
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield checks.required(f"{at}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    yield from _check_manager(spec.get("managedBy"), f"{at}.managedBy")
    mode = spec.get("completionMode") or _MODES[0]
    yield from checks.one_of(f"{at}.completionMode", mode, _MODES)
    if mode == "Indexed":
        yield from _check_indexed(spec, at)
    elif mode in _MODES:
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(name) is not None:
                yield checks.invalid(f"{at}.{name}", spec[name], "requires indexed completion mode")
    policy = spec.get("podReplacementPolicy")
    fails = spec.get("podFailurePolicy") is not None
    if policy is not None:
        allowed = _REPLACEMENTS[:1] if fails else _REPLACEMENTS
        yield from checks.one_of(f"{at}.podReplacementPolicy", policy, allowed)
    yield from _check_template(spec, f"{at}.template")


def _check_template(spec: Obj, at: str) -> Iterable[Cause]:
    """The pods' labels and spec; they do not run for ever."""
    yield from checks.labels(f"{at}.metadata.labels", _labels(spec) or {})
    inner = spec["template"]["spec"]
    yield from podspec.check(inner, f"{at}.spec")
    restarts = inner["restartPolicy"]
    if restarts == "Always":
        listed = ", ".join(f'"{one}"' for one in _RESTARTS)
        yield checks.required(f"{at}.spec.restartPolicy", f"valid values: {listed}")
    elif restarts not in _RESTARTS:
        yield checks.unsupported(f"{at}.spec.restartPolicy", restarts, _RESTARTS)
    elif spec.get("podFailurePolicy") is not None and restarts != "Never":
        why = 'only "Never" is supported when podFailurePolicy is specified'
        yield checks.invalid(f"{at}.spec.restartPolicy", restarts, why)


def _check_manager(given: str | None, at: str) -> Iterable[Cause]:
    if given is not None and not re.fullmatch(r"[a-z0-9][-a-z0-9.]*/[^/]\S*", given):
        yield checks.invalid(at, given, 'must be a domain-prefixed path (such as "acme.io/foo")')


def _check_indexed(spec: Obj, at: str) -> Iterable[Cause]:
    count, at_once = spec.get("completions"), spec.get("parallelism") or 0
    most_failed = spec.get("maxFailedIndexes")
    if count is None:
        yield checks.required(f"{at}.completions", "when completion mode is Indexed")
    if at_once > _MOST_INDEXES:
        why = f"must be less than or equal to {_MOST_INDEXES} when completion mode is Indexed"
        yield checks.invalid(f"{at}.parallelism", at_once, why)
    if count is not None and most_failed is not None and most_failed > count:
        why = "must be less than or equal to completions"
        yield checks.invalid(f"{at}.maxFailedIndexes", most_failed, why)
    if most_failed is not None and most_failed > _MOST_INDEXES:
        why = f"must be less than or equal to {_MOST_INDEXES}"
        yield checks.invalid(f"{at}.maxFailedIndexes", most_failed, why)
    if (count or 0) > _MOST_INDEXES and spec.get("backoffLimitPerIndex") is not None:
        yield from _check_many(at, at_once, most_failed)


def _check_many(at: str, at_once: int, most_failed: int | None) -> Iterable[Cause]:
    """What holds for very many indexes that fail one by one."""
    if most_failed is None:
        why = f"must be specified when completions is above {_MOST_INDEXES}"
        yield checks.required(f"{at}.maxFailedIndexes", why)
    for name, number in (("parallelism", at_once), ("maxFailedIndexes", most_failed or 0)):
        if number > _MOST_OF_MANY:
            why = (
                f"must be less than or equal to {_MOST_OF_MANY} when completions are above "
                f"{_MOST_INDEXES} and used with backoff limit per index"
            )
            yield checks.invalid(f"{at}.{name}", number, why)


def _check_completions(new: Obj, before: Obj) -> Iterable[Cause]:
    count = new.get("completions")
    if new["completionMode"] != "Indexed":
        yield from checks.kept("spec.completions", count, before.get("completions"))
    elif count not in {None, before.get("completions"), new["parallelism"]}:
        why = "can only be modified in tandem with spec.parallelism"
        yield checks.invalid("spec.completions", count, why)


def _rescheduled(template: Obj, wanted: Obj) -> Obj:
    """A template, placed as another one is: what may change until the first pod is made."""
    spec, other = dict(template["spec"]), wanted["spec"]
    metadata = dict(template["metadata"])
    for key in ("nodeSelector", "tolerations", "schedulingGates", "affinity"):
        spec.pop(key, None)
        spec |= {key: other[key]} if key in other else {}
    for key in ("labels", "annotations"):
        metadata.pop(key, None)
        given = wanted["metadata"].get(key)
        metadata |= {key: given} if given is not None else {}
    return {**template, "metadata": metadata, "spec": spec}


# Lines of `kubectl get`


def _state(obj: Obj) -> str:
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if is_true(obj, kind):
            return word
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if is_true(obj, kind):
            return kind
    return "Running"


def _completions(spec: Obj, status: Obj) -> str:
    done, at_once = status.get("succeeded", 0), spec.get("parallelism") or 0
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    return f"{done}/1 of {at_once}" if at_once > 1 else f"{done}/1"


def _duration(status: Obj, now: float) -> str:
    if not status.get("startTime"):
        return ""
    if not status.get("completionTime"):
        return tables.since(status["startTime"], now)
    began, ended = (
        datetime.fromisoformat(status[key]).timestamp() for key in ("startTime", "completionTime")
    )
    return tables.duration(ended - began)


def wide(spec: Obj) -> list[str]:
    """CONTAINERS, IMAGES, SELECTOR."""
    containers = spec["template"]["spec"].get("containers") or []
    return [
        ",".join(one.get("name", "") for one in containers),
        ",".join(one.get("image", "") for one in containers),
        tables.label_selector(spec.get("selector")),
    ]
