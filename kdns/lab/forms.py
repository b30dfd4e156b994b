"""Objects become the JSON that a client asked for: whole, metadata only, or rows of a table.

Whole objects and metadata are encoded once per version, and an event once for all who watch in the
same form. Rows are not kept: ages are in them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from kdns.lab import errors
from kdns.lab.errors import Obj
from kdns.lab.history import Event, Item
from kdns.lab.resources import Resource

encode = msgspec.json.Encoder().encode

WHOLE, PARTIAL, TABLE = "", "PartialObjectMetadata", "Table"
_META = "meta.k8s.io/v1"
_AVAILABLE = "application/json, application/json;stream=watch"
_ANY = {"application/json", "application/*", "*/*", "application/vnd.kubernetes.protobuf"}


@dataclass(frozen=True, slots=True)
class Form:
    """One of WHOLE, PARTIAL and TABLE; `rows_of` is what a table's rows carry of their objects."""

    name: str = WHOLE
    rows_of: str = "Metadata"


def accepted(accept: str, *, is_list: bool) -> Form:
    """The first form of an Accept header that there is; raises 406.

    Who asks for protobuf only gets JSON and is told so by the Content-Type, which is what client-go
    goes by.
    """
    for offer in accept.split(",") if accept else ["*/*"]:
        media, *rest = [part.strip() for part in offer.split(";")]
        pairs = dict(part.partition("=")[::2] for part in rest)
        wanted = pairs.get("as", "")
        if media not in _ANY or (wanted and media != "application/json"):
            continue
        if wanted in {"", WHOLE}:
            return Form()
        is_meta = pairs.get("g") == "meta.k8s.io" and pairs.get("v") == "v1"
        if is_meta and wanted == TABLE:
            return Form(TABLE)
        if is_meta and wanted == (PARTIAL + "List" if is_list else PARTIAL):
            return Form(PARTIAL)
    message = f"406: Not Acceptable\n\nAvailable representations: {_AVAILABLE}"
    raise errors.ApiError(406, "NotAcceptable", message, details={})


def whole(item: Item) -> bytes:
    """An object's JSON, encoded once."""
    found = item.encoded.get(WHOLE)
    if found is None:
        found = item.encoded[WHOLE] = encode(item.object)
    return found


def partial(item: Item) -> bytes:
    """An object's metadata as PartialObjectMetadata, encoded once."""
    found = item.encoded.get(PARTIAL)
    if found is None:
        found = item.encoded[PARTIAL] = encode(_partial(item.object))
    return found


def _partial(obj: Obj) -> Obj:
    return {"kind": PARTIAL, "apiVersion": _META, "metadata": obj["metadata"]}


def rows(resource: Resource, objects: list[Obj], form: Form, now: float) -> list[Obj]:
    """The rows of a table."""
    carried: Callable[[Obj], Any] = {  # Any: an object or null
        "Object": lambda obj: obj,
        "None": lambda _: None,
    }.get(form.rows_of, _partial)
    return [{"cells": resource.rules.cells(obj, now), "object": carried(obj)} for obj in objects]


def columns(resource: Resource) -> list[Obj]:
    """The columnDefinitions of a table."""
    return [
        {
            "name": one.name,
            "type": one.type,
            "format": one.format,
            "description": one.description,
            "priority": one.priority,
        }
        for one in resource.rules.columns
    ]


def one(resource: Resource, item: Item, form: Form, now: float) -> bytes:
    """A single object."""
    if form.name == WHOLE:
        return whole(item)
    if form.name == PARTIAL:
        return partial(item)
    return encode(
        _table(resource, [item.object], form, now, {"resourceVersion": str(item.version)})
    )


def _table(resource: Resource, objects: list[Obj], form: Form, now: float, metadata: Obj) -> Obj:
    return {
        "kind": TABLE,
        "apiVersion": _META,
        "metadata": metadata,
        "columnDefinitions": columns(resource),
        "rows": rows(resource, objects, form, now),
    }


def many(
    resource: Resource, items: list[Item], form: Form, now: float, metadata: Obj
) -> Iterator[bytes]:
    """A list, in pieces; a table is one piece."""
    if form.name == TABLE:
        yield encode(_table(resource, [item.object for item in items], form, now, metadata))
        return
    kind, version = resource.list_kind, resource.api_version
    if form.name == PARTIAL:
        kind, version = PARTIAL + "List", _META
    head = encode({"kind": kind, "apiVersion": version, "metadata": metadata})
    yield head[:-1] + b',"items":['
    encoded = partial if form.name == PARTIAL else whole
    # Items of a list do not say their kind: the list does.
    cut = len(encode({"kind": resource.kind, "apiVersion": resource.api_version})[:-1]) + 1
    if form.name == PARTIAL:
        cut = len(encode({"kind": PARTIAL, "apiVersion": _META})[:-1]) + 1
    for place, item in enumerate(items):
        yield (b",{" if place else b"{") + encoded(item)[cut:]
    yield b"]}"


def event(resource: Resource, kind: str, found: Event, form: Form, now: float) -> bytes:
    """A line of a watch; `kind` differs from the event's where a selector is left or entered."""
    key = f"{kind} {form.name}"
    line = found.encoded.get(key)
    if line is None:
        item = found.item
        line = _line(kind, one(resource, item, form, now))
        if form.name != TABLE:
            found.encoded[key] = line
    return line


def bookmark(resource: Resource, version: int, form: Form, *, is_end: bool = False) -> bytes:
    """A BOOKMARK; `is_end` ends the initial events."""
    metadata: Obj = {"resourceVersion": str(version)}
    if is_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    head: Obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    if form.name == PARTIAL:
        head |= {"kind": PARTIAL, "apiVersion": _META}
    if form.name == TABLE:
        head = {
            "kind": TABLE,
            "apiVersion": _META,
            "metadata": {"resourceVersion": str(version)},
            "columnDefinitions": None,
            "rows": [{"cells": [""] * len(resource.rules.columns), "object": head}],
        }
    return _line("BOOKMARK", encode(head))


def failure(error: errors.ApiError) -> bytes:
    """An ERROR in a watch."""
    return _line("ERROR", encode(error.status()))


def _line(kind: str, obj: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), obj)
