"""Who set which field, and server-side apply: merging, conflicts, and fields that are given up.

A field is a path of the parts that `managedFields` writes (`f:spec`, `k:{"port":80}`, `v:"x"`); the
schema says where lists are maps or sets in disguise. Only writes through the API are tracked:
controllers of the lab write on their own, and their fields have no owner.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

from kdns.lab import schema
from kdns.lab.errors import ApiError, Obj, bad_request
from kdns.lab.schema import Field, Type

Path = tuple[str, ...]
Value = Any  # any JSON value
Owned = dict[tuple[str, str, str, str], set[Path]]
"""Fields by manager, operation, API version and subresource."""

_ITEM = "."
_NOBODYS = {
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "selfLink",
    "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields",
}  # fmt: skip
_KEY_DEFAULTS = {"protocol": "TCP"}


def applied(old: Obj | None, config: Obj, kind: Type, manager: str, *, forces: bool) -> Obj:
    """The object with a configuration applied; raises 409 when another manager holds a field."""
    if config.get("metadata", {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    wanted = _fields(config, kind)
    owners = _read(old) if old else {}
    mine = (manager, "Apply", config.get("apiVersion", ""), "")
    current = _fields(old, kind) if old else {}
    lost = {
        owner: {path for path in paths & wanted.keys() if current.get(path) != wanted[path]}
        for owner, paths in owners.items()
        if owner[:2] != mine[:2]
    }
    if any(lost.values()) and not forces:
        raise _conflict(lost)
    for owner, paths in lost.items():
        owners[owner] = owners[owner] - paths
    former = set().union(*(owners.pop(one) for one in list(owners) if one[:2] == mine[:2]))
    owners[mine] = set(wanted)
    new = _merged_object(copy.deepcopy(old or {}), config, kind)
    held = set().union(*owners.values())
    for path in sorted(former - held, key=_whole_first):
        is_kept = path[-1] == _ITEM and any(one[: len(path) - 1] == path[:-1] for one in held)
        if not is_kept:
            _remove(new, path)
    new["metadata"].pop("managedFields", None)
    return new | {"metadata": new["metadata"] | {"managedFields": _unwritten(owners)}}


def _whole_first(path: Path) -> tuple[bool, Path]:
    """Items go before their fields: without its key an item would not be found."""
    return path[-1] != _ITEM, path


def tracked(new: Obj, old: Obj | None, kind: Type, manager: str, part: str) -> list[Obj]:
    """The managedFields after a plain write: what it changed is the writer's from now on."""
    wanted, current = _fields(new, kind), _fields(old, kind) if old else {}
    is_status = bool(part)
    changed = {
        path
        for path, value in wanted.items()
        if (path[0] == "f:status") == is_status and (path not in current or current[path] != value)
    }
    gone = {
        path for path in current.keys() - wanted.keys() if not is_status and path[0] != "f:status"
    }
    if not changed and not gone:
        return list((old or {}).get("metadata", {}).get("managedFields") or [])
    owners = _read(old) if old else {}
    mine = (manager, "Update", new.get("apiVersion", ""), part)
    taken = gone | {path for path in changed & current.keys() if path[-1] != _ITEM}
    for owner in owners.keys() - {mine}:
        owners[owner] = owners[owner] - taken
    owners[mine] = (owners.get(mine, set()) | changed) - gone
    return _unwritten(owners)


def stamped(managed: list[Obj], old: Obj | None, now: str) -> list[Obj]:
    """Entries with the time since when they are what they are."""
    known = {
        json.dumps(one | {"time": ""}, sort_keys=True): one["time"]
        for one in (old or {}).get("metadata", {}).get("managedFields") or []
    }
    return [
        one | {"time": known.get(json.dumps(one | {"time": ""}, sort_keys=True), now)}
        for one in managed
    ]


# Fields of an object


def _fields(obj: Obj, kind: Type) -> dict[Path, Value]:
    """All fields of an object that can be somebody's, with their values."""
    found: dict[Path, Value] = {}
    for name, value in obj.items():
        if name not in {"apiVersion", "kind", "metadata"} and name in kind.fields:
            found.update(_below((f"f:{name}",), value, kind.fields[name]))
    meta = schema.types()["meta.v1.ObjectMeta"]
    for name, value in (obj.get("metadata") or {}).items():
        if name not in _NOBODYS and name in meta.fields:
            found.update(_below(("f:metadata", f"f:{name}"), value, meta.fields[name]))
    return found


def _below(path: Path, value: Value, field: Field) -> Iterator[tuple[Path, Value]]:
    kind = schema.inner(field)
    if isinstance(value, list) and field.keys and kind is not None:
        for item in value:
            at = (*path, _key(item, field.keys))
            yield (*at, _ITEM), True
            yield from _members(at, item, kind)
    elif isinstance(value, list) and field.is_set:
        yield from (((*path, f"v:{json.dumps(one)}"), one) for one in value)
    elif isinstance(value, dict) and field.shape.startswith("{}") and not field.is_atomic:
        yield from (((*path, f"f:{name}"), one) for name, one in value.items())
    elif isinstance(value, dict) and value and _is_open(field, kind):
        yield from _members(path, value, cast(Type, kind))
    else:
        yield path, value


def _is_open(field: Field, kind: Type | None) -> bool:
    is_struct = kind is not None and "[]" not in field.shape and "{}" not in field.shape
    return is_struct and not field.is_atomic and not (kind is not None and kind.is_atomic)


def _members(path: Path, value: Obj, kind: Type) -> Iterator[tuple[Path, Value]]:
    for name, one in value.items():
        if name in kind.fields:
            yield from _below((*path, f"f:{name}"), one, kind.fields[name])


def _key(item: Obj, keys: Iterable[str]) -> str:
    found = {name: item.get(name, _KEY_DEFAULTS.get(name)) for name in sorted(keys)}
    told = {name: value for name, value in found.items() if value is not None}
    return "k:" + json.dumps(told, separators=(",", ":"))


# Merging and removing


def _merged_object(obj: Obj, config: Obj, kind: Type) -> Obj:
    for name, value in config.items():
        field = kind.fields.get(name)
        obj[name] = _merged(obj.get(name), value, field) if field else value
    return obj


def _merged(old: Value, new: Value, field: Field) -> Value:
    kind = schema.inner(field)
    if isinstance(old, list) and isinstance(new, list) and field.keys and kind is not None:
        found = {_key(item, field.keys): item for item in old}
        for item in new:
            key = _key(item, field.keys)
            found[key] = _merged_object(found.get(key, {}), item, kind)
        return list(found.values())
    if isinstance(old, list) and isinstance(new, list) and field.is_set:
        return [*old, *(one for one in new if one not in old)]
    if isinstance(old, dict) and isinstance(new, dict):
        if field.shape.startswith("{}") and not field.is_atomic:
            return old | new
        if kind is not None and _is_open(field, kind):
            return _merged_object(old, new, kind)
    return copy.deepcopy(new)


def _remove(obj: Value, path: Path) -> None:
    """Takes a field away, if it is still there."""
    *above, last = path
    for part in above[:-1] if last == _ITEM else above:
        obj = _entered(obj, part)
        if obj is None:
            return
    if last == _ITEM:
        last = above[-1]
    if isinstance(obj, dict):
        obj.pop(last.removeprefix("f:"), None)
    elif isinstance(obj, list):
        obj[:] = [item for item in obj if not _is_named(item, last)]


def _entered(obj: Value, part: str) -> Value:
    if isinstance(obj, dict):
        return obj.get(part.removeprefix("f:"))
    return next((item for item in obj or [] if _is_named(item, part)), None)


def _is_named(item: Value, part: str) -> bool:
    wanted = json.loads(part[2:])
    return item == wanted if part.startswith("v:") else _key(item, wanted) == part


# managedFields


def _read(obj: Obj) -> Owned:
    found: Owned = {}
    for one in obj["metadata"].get("managedFields") or []:
        owner = (one["manager"], one["operation"], one["apiVersion"], one.get("subresource", ""))
        found[owner] = set(_paths(one.get("fieldsV1") or {}, ()))
    return found


def _paths(tree: Obj, path: Path) -> Iterator[Path]:
    if not tree:
        yield path
    for part, below in tree.items():
        yield from _paths(below, (*path, part))


def _unwritten(owners: Owned) -> list[Obj]:
    """The entries of managedFields, before they have a time."""
    found = []
    for (manager, operation, version, part), paths in owners.items():
        if not paths:
            continue
        tree: Obj = {}
        for path in sorted(paths):
            below = tree
            for step in path:
                below = below.setdefault(step, {})
        entry: Obj = {
            "manager": manager, "operation": operation, "apiVersion": version,
            "fieldsType": "FieldsV1", "fieldsV1": tree,
        }  # fmt: skip
        found.append(entry | ({"subresource": part} if part else {}))
    return found


def _conflict(lost: dict[tuple[str, str, str, str], set[Path]]) -> ApiError:
    told: dict[str, list[str]] = {}
    for (manager, operation, version, part), paths in sorted(lost.items()):
        using = f" with subresource {json.dumps(part)}" if part else ""
        using += f" using {version}" if operation == "Update" else ""
        for path in sorted(paths):
            told.setdefault(f'"{manager}"{using}', []).append(_shown(path))
    count = sum(map(len, told.values()))
    if count == 1:
        ((who, (where,)),) = told.items()
        why = f"conflict with {who}: {where}"
    else:
        why = "\n".join(
            f"conflicts with {who}:\n" + "\n".join(f"- {where}" for where in places)
            for who, places in told.items()
        )
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": where}
        for who, places in told.items()
        for where in places
    ]
    message = f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {why}"
    return ApiError(409, "Conflict", message, details={"causes": causes})


def _shown(path: Path) -> str:
    """A path as people write it: `.spec.ports[port=80,protocol="TCP"].targetPort`."""
    found = ""
    for part in path:
        if part.startswith("f:"):
            found += f".{part[2:]}"
        elif part.startswith("k:"):
            pairs = json.loads(part[2:])
            found += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in pairs.items()) + "]"
        elif part.startswith("v:"):
            found += f"[={part[2:]}]"
    return found
