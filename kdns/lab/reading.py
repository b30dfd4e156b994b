"""Gets and lists: which version of the objects is asked for, and which page of it.

Pages of one list show one moment: the version stands in the continue token, and a token whose
moment is forgotten gets a 410 with another one that goes on from there, inconsistently.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from kdns.lab import errors, forms
from kdns.lab.calls import Call, check_list_options, selection
from kdns.lab.errors import Obj
from kdns.lab.history import Item
from kdns.lab.storage import Storage

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)
_INCONSISTENT = -1
_LONGEST = 20
"""Digits of a version."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a list replies with."""

    items: list[Item]
    metadata: Obj


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a page begins: behind a key, in a version."""

    version: int
    after: tuple[str, str]


def version_of(text: str) -> int:
    """A resourceVersion; raises ApiError with a real server's words."""
    if text and not (text.isascii() and text.isdecimal()):
        message = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
        raise errors.bad_request(f"invalid resource version: {message}invalid syntax")
    if len(text) > _LONGEST:
        message = f'strconv.ParseUint: parsing "{text}": value out of range'
        message = f'resourceVersion: Invalid value: "{text}": {message}'
        raise errors.bad_request(f"invalid resource version: {message}")
    return int(text or 0)


def is_ahead(call: Call, storage: Storage) -> bool:
    """True for a version that the storage has not reached; a real server waits 3 s for it."""
    return version_of(call.query.get("resourceVersion", "")) > storage.version


def page(call: Call, storage: Storage) -> Page:
    """The objects that a list call asks for."""
    check_list_options(call)
    wanted = selection(call)
    version = version_of(call.query.get("resourceVersion", ""))
    limit = max(call.number("limit"), 0)
    token = call.query.get("continue", "")
    start = _start(token) if token else None
    if version > storage.version:
        raise errors.too_large(version, storage.version)
    # A list at "0" comes from the cache of a real server, which has no pages.
    if version == 0 and call.query.get("resourceVersion") and not token:
        limit = 0
    shown = version if call.query.get("resourceVersionMatch") == "Exact" else storage.version
    if start and start.version != _INCONSISTENT:
        shown = start.version
    try:
        items = _items(call, storage, shown)
    except errors.ApiError:
        raise _too_old(start) from None
    if start:
        items = items[bisect_right(items, start.after, key=_key) :]
    if not wanted.is_whole:
        items = [item for item in items if wanted.matches(item.object)]
    return _cut(items, limit, shown, is_whole=wanted.is_whole)


def _items(call: Call, storage: Storage, version: int) -> list[Item]:
    namespace = call.target.namespace
    if version == storage.version:
        return storage.items(call.resource, namespace)
    items = storage.items_at(call.resource, version)
    if namespace:
        return [item for item in items if item.object["metadata"]["namespace"] == namespace]
    return items


def _cut(items: list[Item], limit: int, version: int, *, is_whole: bool) -> Page:
    metadata: Obj = {"resourceVersion": str(version)}
    if limit and len(items) > limit:
        metadata["continue"] = _token(version, _key(items[limit - 1]))
        if is_whole:
            metadata["remainingItemCount"] = len(items) - limit
        items = items[:limit]
    return Page(items, metadata)


def _too_old(start: _Start | None) -> errors.ApiError:
    if start is None:
        return errors.gone("The resourceVersion for the provided list is too old.")
    return errors.gone(_TOO_OLD, token=_token(_INCONSISTENT, start.after))


def pieces(call: Call, found: Page, now: float) -> Iterator[bytes]:
    """A page in the form that the call asks for."""
    return forms.many(call.resource, found.items, call.form, now, found.metadata)


def one(call: Call, storage: Storage) -> bytes:
    """The object that a get asks for."""
    if is_ahead(call, storage):
        wanted = version_of(call.query["resourceVersion"])
        raise errors.too_large(wanted, storage.version)
    aim = call.target
    item = storage.item(aim.resource, aim.namespace, aim.name)
    return forms.one(aim.resource, item, call.form, storage.now())


def _key(item: Item) -> tuple[str, str]:
    metadata: dict[str, Any] = item.object["metadata"]  # Any: as Obj
    return metadata.get("namespace", ""), metadata["name"]


def _token(version: int, after: tuple[str, str]) -> str:
    namespace, name = after
    start = f"{namespace}/{name}\0" if namespace else f"{name}\0"
    body = forms.encode({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _start(token: str) -> _Start:
    try:
        body = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        found = msgspec.json.decode(body)
        namespace, slash, name = found["start"].removesuffix("\0").rpartition("/")
        version = int(found["rv"])
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.bad_request(
            f"invalid continue token: continue key is not valid: {error}"
        ) from None
    return _Start(version, (namespace if slash else "", name))
