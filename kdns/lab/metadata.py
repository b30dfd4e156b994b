"""The metadata of objects: what the server sets, what writers keep, and what counts as a change."""

from typing import Any

from kdns.lab import errors
from kdns.lab.errors import Cause, Obj
from kdns.lab.resources import Resource

_OURS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
)
_ORDER = ("kind", "apiVersion", "metadata")


def clone(value: Any) -> Any:  # Any: JSON in, the same JSON out
    """A copy that shares nothing that can change."""
    if isinstance(value, dict):
        return {key: clone(one) for key, one in value.items()}
    if isinstance(value, list):
        return [clone(one) for one in value]
    return value


def born(resource: Resource, namespace: str, obj: Obj, created: str, uid: str) -> Obj:
    """A writer's object as a new one: his fields, our metadata."""
    new = _ordered(resource, obj)
    metadata = new["metadata"]
    for key in _OURS:
        metadata.pop(key, None)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = created
    if resource.is_namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    if resource.has_generation:
        metadata["generation"] = 1
    if resource.has_status:
        new.pop("status", None)
    return new


def carried(resource: Resource, obj: Obj, old: Obj) -> Obj:
    """A writer's object as the next version of old; raises 409 when he saw another one."""
    new = _ordered(resource, obj)
    metadata, before = new["metadata"], old["metadata"]
    name = before["name"]
    version = metadata.get("resourceVersion")
    if version and version != before["resourceVersion"]:
        raise errors.conflict(resource.plural, name, resource.group)
    if metadata.get("uid") and metadata["uid"] != before["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {metadata['uid']}, "
            f"UID in object meta: {before['uid']}"
        )
        raise errors.conflict(resource.plural, name, resource.group, why)
    for key in (*_OURS, "name", "namespace"):
        metadata.pop(key, None)
        if key in before:
            metadata[key] = before[key]
    _keep_ending(resource, metadata, before)
    return new


def _keep_ending(resource: Resource, metadata: Obj, before: Obj) -> None:
    if "deletionTimestamp" not in before:
        return
    added = set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ())
    if added:
        shown = ", ".join(f'"{one}"' for one in sorted(added))
        message = (
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{shown}}}"
        )
        cause = Cause("metadata.finalizers", "FieldValueForbidden", message)
        raise errors.invalid(resource.kind, before["name"], [cause], resource.group)


def changes(new: Obj, old: Obj) -> bool:
    """True when new says something that old does not; when fields were last applied is nothing."""
    if {key: one for key, one in new.items() if key != "metadata"} != {
        key: one for key, one in old.items() if key != "metadata"
    }:
        return True
    return _told(new["metadata"]) != _told(old["metadata"])


def has_new_spec(new: Obj, old: Obj) -> bool:
    """True when more than metadata and status changed."""
    aside = {"metadata", "status"}
    return {key: one for key, one in new.items() if key not in aside} != {
        key: one for key, one in old.items() if key not in aside
    }


def _told(metadata: Obj) -> Obj:
    fields = [
        {key: one for key, one in entry.items() if key != "time"}
        for entry in metadata.get("managedFields", ())
    ]
    return {key: one for key, one in metadata.items() if key != "managedFields"} | {"m": fields}


def _ordered(resource: Resource, obj: Obj) -> Obj:
    """A copy that begins with kind, apiVersion and metadata, as a real server writes it."""
    new: Obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {}}
    for key, value in obj.items():
        if key not in _ORDER:
            new[key] = clone(value)
    new["metadata"] = {key: clone(one) for key, one in obj.get("metadata", {}).items() if one}
    return new
