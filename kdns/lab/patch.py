"""A patch in one of the three forms of the API becomes the patched object: JSON patch (RFC 6902),
JSON merge patch (RFC 7386) and strategic merge patch (`strategic.py`). Objects are copied, never
changed; what does not apply is refused with the words of a real server.
"""

import copy
from collections.abc import Callable
from typing import Any, cast

from kdns.lab import schema, strategic
from kdns.lab.errors import Obj, bad_request, unprocessable, unsupported

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")

Value = Any  # any JSON value

REJECTED = "the server rejected our request due to an error in our request"


def apply(media: str, obj: Obj, patch: Value, kind: schema.Type | None) -> Obj:
    """The object as a patch of this media type makes it."""
    if media == JSON_PATCH:
        return edited(obj, patch)
    if media == MERGE:
        if not isinstance(patch, dict):
            raise bad_request(f"error decoding patch: {_misfit(patch)}")
        return cast(Obj, merged(obj, patch))
    if media == STRATEGIC:
        if not isinstance(patch, dict):
            raise bad_request(_misfit(patch))
        return strategic.merged(obj, patch, kind)
    raise unsupported("415: Unsupported Media Type")


def _misfit(patch: Value) -> str:
    words = {list: "array", str: "string", bool: "bool", type(None): "null"}
    found = words.get(type(patch), "number")
    return f"json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"


# RFC 7386


def merged(target: Value, patch: Value) -> Value:
    """A target with the members of a merge patch; null takes a member away."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


# RFC 6902


def edited(obj: Obj, patch: Value) -> Obj:
    """The object after each operation of a JSON patch, or none of them."""
    if not isinstance(patch, list):
        found = "object" if isinstance(patch, dict) else "value"
        why = f"json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        raise bad_request(f"error decoding patch: {why}")
    document: Value = copy.deepcopy(obj)
    try:
        for step in patch:
            document = _OPERATIONS[step["op"]](document, step)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise unprocessable(REJECTED) from error
    if not isinstance(document, dict):
        raise unprocessable(REJECTED)
    return document


def _add(document: Value, step: Obj) -> Value:
    return _put(document, _path(step["path"]), copy.deepcopy(step["value"]))


def _remove(document: Value, step: Obj) -> Value:
    *above, last = _path(step["path"])
    holder = _at(document, above)
    del holder[_index(holder, last)]
    return document


def _replace(document: Value, step: Obj) -> Value:
    path = _path(step["path"])
    if not path:
        return copy.deepcopy(step["value"])
    holder = _at(document, path[:-1])
    index = _index(holder, path[-1])
    if isinstance(holder, list):
        holder[index]  # must be there; a missing member of an object is added, as servers do
    holder[index] = copy.deepcopy(step["value"])
    return document


def _move(document: Value, step: Obj) -> Value:
    moved = _at(document, _path(step["from"]))
    return _put(_remove(document, {"path": step["from"]}), _path(step["path"]), moved)


def _copy(document: Value, step: Obj) -> Value:
    return _put(
        document, _path(step["path"]), copy.deepcopy(_or_none(document, _path(step["from"])))
    )


def _test(document: Value, step: Obj) -> Value:
    if _or_none(document, _path(step["path"])) != step.get("value"):
        raise ValueError(step["path"])
    return document


_OPERATIONS: dict[str, Callable[[Value, Obj], Value]] = {
    "add": _add, "remove": _remove, "replace": _replace,
    "move": _move, "copy": _copy, "test": _test,
}  # fmt: skip


def _path(pointer: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901)."""
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise ValueError(pointer)
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _at(document: Value, path: list[str]) -> Value:
    for part in path:
        document = document[_index(document, part)]
    return document


def _or_none(document: Value, path: list[str]) -> Value:
    holder = _at(document, path[:-1])
    if path and isinstance(holder, dict):
        return holder.get(path[-1])
    return _at(document, path)


def _index(holder: Value, part: str) -> Any:  # Any: a key of an object or a place in a list
    if isinstance(holder, dict):
        return part
    if not isinstance(holder, list) or not part.lstrip("-").isdecimal():
        raise ValueError(part)
    place = int(part)
    if not -len(holder) <= place < len(holder):
        raise IndexError(part)
    return place


def _put(document: Value, path: list[str], value: Value) -> Value:
    """A value added at a path: into an object, or before the item at a place of a list."""
    if not path:
        return value
    *above, last = path
    holder = _at(document, above)
    if isinstance(holder, list):
        holder.insert(_place(last, len(holder)), value)
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise TypeError(last)
    return document


def _place(part: str, size: int) -> int:
    place = size if part == "-" else int(part)
    if not 0 <= place <= size:
        raise IndexError(part)
    return place
