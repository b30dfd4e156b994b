"""Strategic merge patches: a JSON merge patch that knows which lists are sets or maps in disguise.

The schema says by which field the items of a list are told apart (ports by port, containers by
name); lists of values merge as sets where it says so; all other lists are replaced. Directives:
`$patch`, `$retainKeys`, `$deleteFromPrimitiveList/NAME`, `$setElementOrder/NAME`.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, cast

from kdns.lab import schema
from kdns.lab.errors import ApiError, Cause, Obj, bad_request, invalid

_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"

Value = Any  # any JSON value
Key = Callable[[Value], Hashable]


def merged(obj: Obj, patch: Obj, kind: schema.Type | None) -> Obj:
    """The object with a patch merged into it; the object stays as it was."""
    try:
        return _objects(obj, patch, kind)
    except _MisfitError as error:
        message = f'Invalid value: "{_go(patch)}": cannot restore slice from map'
        raise invalid("", "", [Cause("patch", "FieldValueInvalid", message)]) from error


class _MisfitError(Exception):
    """An object where a list belongs."""


def _objects(obj: Obj, patch: Obj, kind: schema.Type | None) -> Obj:
    whole = _replaced(patch)
    if whole is not None:
        return whole
    found = dict(obj)
    if "$retainKeys" in patch:
        kept = _listed(patch, "$retainKeys", str)
        found = {name: value for name, value in obj.items() if name in kept}
    for name, value in patch.items():
        if name.startswith(_DELETE):
            listed = name.removeprefix(_DELETE)
            if listed in found:
                gone = _listed(patch, name, object)
                found[listed] = [one for one in found[listed] if one not in gone]
        elif name.startswith("$"):
            continue
        elif value is None:
            found.pop(name, None)
        else:
            field = kind.fields.get(name) if kind else None
            found[name] = _member(found.get(name), value, field)
    for name in dict.fromkeys(name.removeprefix(_ORDER) for name in patch):
        order = patch.get(_ORDER + name, patch.get(name))
        if isinstance(order, list):
            _reorder(found, obj, name, order, kind)
    return found


def _listed(patch: Obj, directive: str, kind: type) -> list[Value]:
    """The list that a directive must have."""
    found = patch[directive]
    if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
        raise bad_request(f"{directive} must be a list: {_go(found)}")
    return found


def _replaced(patch: Obj) -> Obj | None:
    """What a whole-object directive leaves; None when the patch is to be merged."""
    directive = patch.get("$patch", "merge")
    if directive == "merge":
        return None
    if directive == "delete":
        return {}
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    raise _unknown(directive, patch)


def _member(old: Value, new: Value, field: schema.Field | None) -> Value:
    kind = schema.inner(field) if field else None
    if isinstance(new, dict):
        if field is not None and field.shape.startswith("[]"):
            raise _MisfitError
        return _objects(old if isinstance(old, dict) else {}, new, kind)
    if isinstance(new, list) and field is not None and field.merge is not None:
        base = old if isinstance(old, list) else []
        return _values(base, new) if field.merge == "" else _items(base, new, field.merge, kind)
    return new


def _values(old: list[Value], new: list[Value]) -> list[Value]:
    found = list(old)
    found += [value for place, value in enumerate(new) if value not in old + new[:place]]
    return found


def _items(old: list[Obj], new: list[Obj], key: str, kind: schema.Type | None) -> list[Obj]:
    """A list of objects with those of a patch merged in by key, new ones behind."""
    if any(item == {"$patch": "replace"} for item in new):
        return [item for item in new if item != {"$patch": "replace"}]
    found = list(old)
    for item in new:
        if not isinstance(item, dict):
            raise bad_request(f"an item of a list that merges by {key} is no object: {_go(item)}")
        if key not in item:
            words = " ".join(f"{name}:{_go(value)}" for name, value in sorted(item.items()))
            raise ApiError(500, "", f"map: map[{words}] does not contain declared merge key: {key}")
        same = [place for place, one in enumerate(found) if one.get(key) == item[key]]
        directive = item.get("$patch", "merge")
        if directive == "delete":
            found = [one for one in found if one.get(key) != item[key]]
        elif directive not in {"merge", "replace"}:
            raise _unknown(directive, item)
        elif same:
            found[same[0]] = _objects(found[same[0]], item, kind)
        else:
            found.append(_objects({}, item, kind))
    return found


def _reorder(found: Obj, obj: Obj, name: str, order: list[Value], kind: schema.Type | None) -> None:
    """Puts what the patch names in its order, and keeps the others where the object had them."""
    field = kind.fields.get(name) if kind else None
    if not isinstance(found.get(name), list) or field is None or field.merge is None:
        return
    merge = field.merge
    key: Key = (lambda one: cast(Hashable, one.get(merge))) if merge else (lambda one: one)
    if merge and not all(isinstance(one, dict) for one in order):
        raise bad_request(f"{_ORDER}{name} must list objects: {_go(order)}")
    wanted = [key(one) for one in order]
    former = [key(one) for one in obj.get(name) or []]
    named = sorted(
        (one for one in found[name] if key(one) in wanted), key=lambda one: wanted.index(key(one))
    )
    others = [one for one in found[name] if key(one) not in wanted]
    found[name] = _interleaved(others, named, former, key)


def _interleaved(
    others: Sequence[Value], named: Sequence[Value], former: list[Hashable], key: Key
) -> list[Value]:
    """Two ordered lists as one: where both were known before, as they stood then."""
    left, right, found = list(others), list(named), []
    while left and right:
        first, second = key(left[0]), key(right[0])
        is_known = first in former and second in former
        goes_left = is_known and former.index(first) < former.index(second)
        found.append((left if goes_left else right).pop(0))
    return [*found, *left, *right]


def _go(value: Value) -> str:
    """A value as Go prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{_go(one)}" for name, one in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def _unknown(directive: str, patch: Obj) -> ApiError:
    return ApiError(500, "", f"unknown patch type: {directive} in map: {_go(patch)}")
