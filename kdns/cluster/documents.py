"""Text of manifests becomes objects: YAML or JSON, many documents in a file, Lists taken apart.

A document that cannot be read hides none of the others. Each becomes an object as soon as it, or
each item of a List, has been read: perf: with 64,000 objects as plain values at once, garbage
collection stopped the event loop for 0.8 s. Python gets a turn at least once per item, so that a
caller in a thread never keeps the loop waiting.
"""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from kdns.cluster import yaml_values

_BLANK = "\ufeff \t\r\n"

Make = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file, or the reason why there is none."""

    where: str
    """`document 3` or `document 3, items[12]`."""
    thing: object = None
    error: str = ""
    is_readable: bool = True
    """False where the text itself is broken, so that nobody knows what it would say."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What became of an item."""

    thing: object
    error: str = ""


def parse(text: str, make: Make) -> Iterator[Document]:
    """The objects of a file; `make` gives one for plain values, or None, or raises ValueError."""

    def item(body: object) -> object:
        """An item that says what it is becomes an object at once, any other when its List ends."""
        kind = body.get("kind") if isinstance(body, dict) else None
        is_object = isinstance(kind, str) and not kind.endswith("List")
        return _made(body, make) if is_object else body

    for one in _read(text, item):
        yield from _flatten(one, make)


def _read(text: str, item: Make) -> Iterator[Document]:
    at = _skip(text, 0)
    if text.startswith("{", at):
        try:
            return iter(list(_json(text, at, item)))
        except (ValueError, RecursionError):
            pass  # YAML may begin with a brace too, and its errors name the line
    return _yaml(text, item)


def _made(body: object, make: Make) -> _Made:
    try:
        return _Made(make(body))
    except ValueError as error:
        return _Made(None, str(error))


def _flatten(document: Document, make: Make) -> Iterator[Document]:
    """Lists replaced by their items; an item of a typed list (PodList) is told what it is."""
    todo = [document]
    while todo:
        one = todo.pop()
        body = one.thing
        kind = body.get("kind") if isinstance(body, dict) else None
        if one.error:
            yield one
        elif isinstance(body, dict) and isinstance(kind, str) and kind.endswith("List"):
            todo += _items(one.where, kind, body)[::-1]
        elif body is not None:
            made = body if isinstance(body, _Made) else _made(body, make)
            if made.thing is not None or made.error:
                yield Document(one.where, made.thing, made.error)


def _items(where: str, kind: str, body: dict[str, Any]) -> list[Document]:
    items = body.get("items") or []
    if not isinstance(items, list):
        return [Document(where, error="Expected `array` - at `$.items`")]
    told = {} if kind == "List" else {"kind": kind[:-4], "apiVersion": body.get("apiVersion")}
    return [
        Document(f"{where}, items[{at}]", told | item if isinstance(item, dict) else item)
        for at, item in enumerate(items)
    ]


def _json(text: str, at: int, item: Make) -> Iterator[Document]:
    """JSON objects one after the other."""
    number = 0
    while at < len(text):
        number += 1
        body, at = _object(text, at, item)
        yield Document(f"document {number}", body)
        at = _skip(text, at)


def _object(text: str, at: int, item: Make) -> tuple[dict[str, Any], int]:
    """A JSON object at the top of a file; its items are decoded one by one."""
    decoder = json.JSONDecoder()
    body: dict[str, Any] = {}
    at = _expect(text, at, "{")
    while not text.startswith("}", at):
        if body:
            at = _expect(text, at, ",")
        key, at = decoder.raw_decode(text, at)
        at = _expect(text, _skip(text, at), ":")
        if key == "items" and text.startswith("[", at):
            body[key], at = _array(text, at, item)
        else:
            body[key], at = decoder.raw_decode(text, at)
        at = _skip(text, at)
    return body, at + 1


def _array(text: str, at: int, item: Make) -> tuple[list[Any], int]:
    decoder = json.JSONDecoder()
    items: list[Any] = []
    at = _expect(text, at, "[")
    while not text.startswith("]", at):
        if items:
            at = _expect(text, at, ",")
        body, at = decoder.raw_decode(text, at)
        items.append(item(body))
        at = _skip(text, at)
    return items, at + 1


def _expect(text: str, at: int, sign: str) -> int:
    """Steps over a sign and the blanks behind it."""
    if not text.startswith(sign, at):
        raise ValueError(f"expected {sign!r}")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _yaml(text: str, item: Make) -> Iterator[Document]:
    number = 0
    for part in _parts(text.removeprefix("\ufeff")):
        if not _says_something(part):
            continue
        number += 1
        where = f"document {number}"
        try:
            bodies = list(yaml_values.parse(part, item))
        except yaml.YAMLError as error:
            yield Document(where, error=_reason(error), is_readable=False)
        except UnicodeEncodeError as error:
            line = part.count("\n", 0, error.start) + 1
            yield Document(
                where, error=f"no UTF-8 text, line {line} of the document", is_readable=False
            )
        except ValueError as error:
            yield Document(where, error=str(error), is_readable=False)
        else:
            yield from (Document(where, body) for body in bodies)


def _parts(text: str) -> Iterator[str]:
    """Splits at lines that begin with `---`: in YAML nothing else can stand there."""
    start = at = 0
    while (at := text.find("---", at)) >= 0:
        end = at + 3
        if (at == 0 or text[at - 1] == "\n") and text[end : end + 1] in {"", " ", "\t", "\r", "\n"}:
            yield text[start:at]
            start = end
        at = end
    yield text[start:]


def _says_something(part: str) -> bool:
    """False for comments, directives and end marks alone."""
    lines = (line.strip() for line in io.StringIO(part))
    return any(line and not line.startswith(("#", "%", "...")) for line in lines)


def _reason(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"{problem}, line {mark.line + 1} of the document" if mark else problem
