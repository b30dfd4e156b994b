"""API objects as plain dicts: what several controllers read from them, and parts they write.

Nothing here changes an object that is given; what differs is made anew, since stored objects are
shared by everybody.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from kdns.lab.errors import Obj

LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes random names of: nothing that forms a word."""


def namespace_of(body: Obj) -> str:
    """The namespace, empty for what has none."""
    return str(body["metadata"].get("namespace", ""))


def name_of(body: Obj) -> str:
    """The name."""
    return str(body["metadata"]["name"])


def uid_of(body: Obj) -> str:
    """The uid, empty before it has one."""
    return str(body["metadata"].get("uid", ""))


def labels_of(body: Obj) -> dict[str, str]:
    """The labels."""
    return body["metadata"].get("labels") or {}


def annotations_of(body: Obj) -> dict[str, str]:
    """The annotations."""
    return body["metadata"].get("annotations") or {}


def spec_of(body: Obj) -> Obj:
    """The spec, empty where there is none."""
    return body.get("spec") or {}


def status_of(body: Obj) -> Obj:
    """The status, empty where there is none."""
    return body.get("status") or {}


def is_terminating(body: Obj) -> bool:
    """True once somebody has asked for its deletion."""
    return bool(body["metadata"].get("deletionTimestamp"))


def generation_of(body: Obj) -> int:
    """How often its spec has been changed."""
    return int(body["metadata"].get("generation", 1))


def owner_reference(owner: Obj) -> Obj:
    """The reference that makes `owner` the controller of what carries it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(body: Obj) -> Obj | None:
    """The owner reference of its controller."""
    references = body["metadata"].get("ownerReferences") or []
    return next((one for one in references if one.get("controller")), None)


def is_controlled_by(body: Obj, owner: Obj) -> bool:
    """True when that very object is its controller."""
    reference = controller_of(body)
    return reference is not None and reference.get("uid") == uid_of(owner)


def is_of_job(pod: Obj) -> bool:
    """True for a pod that is to run to its end."""
    owner = controller_of(pod) or {}
    return owner.get("kind") == "Job" and str(owner.get("apiVersion", "")).startswith("batch/")


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """True when labels fulfil a LabelSelector; one that is absent matches nothing."""
    if selector is None:
        return False
    if not has_all(labels, selector.get("matchLabels") or {}):
        return False
    return all(_fulfils(one, labels) for one in selector.get("matchExpressions") or ())


def has_all(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """True when every wanted label is there with its value."""
    return wanted.items() <= labels.items()


def _fulfils(expression: Obj, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def condition(body: Obj, kind: str) -> Obj | None:
    """One of the conditions in its status."""
    found = status_of(body).get("conditions") or ()
    return next((one for one in found if one.get("type") == kind), None)


def is_true(body: Obj, kind: str) -> bool:
    """True when a condition is known to hold."""
    found = condition(body, kind)
    return found is not None and found.get("status") == "True"


def is_ready(pod: Obj) -> bool:
    """True when a pod's Ready condition holds."""
    return is_true(pod, "Ready")


def is_finished(pod: Obj) -> bool:
    """True for a pod that will not run any more."""
    return status_of(pod).get("phase") in {"Succeeded", "Failed"}


def is_active(pod: Obj) -> bool:
    """True for a pod that counts as a replica."""
    return not is_finished(pod) and not is_terminating(pod)


def with_conditions(status: Obj, changes: Iterable[Obj], now: str) -> list[Obj]:
    """The conditions of a status after changes; a transition time moves with the status only."""
    found = {one["type"]: one for one in status.get("conditions") or ()}
    for one in changes:
        old = found.get(one["type"], {})
        moved = now if old.get("status") != one["status"] else old.get("lastTransitionTime", now)
        same = all(old.get(key) == value for key, value in one.items())
        found[one["type"]] = old if old and same else {**old, **one, "lastTransitionTime": moved}
    return list(found.values())


def digest(value: object, length: int = 10) -> str:
    """A short name for a value, the same for equal values."""
    number = int.from_bytes(blake2b(json.dumps(value, sort_keys=True).encode()).digest())
    letters = []
    for _ in range(length):
        number, at = divmod(number, len(LETTERS))
        letters.append(LETTERS[at])
    return "".join(letters)
