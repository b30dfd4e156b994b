"""Text of manifests becomes documents: YAML or JSON, many in a file, Lists taken apart.

A document that cannot be read hides none of the others. Python gets a turn at least once per item
of a List, so that a caller in a thread never keeps the event loop waiting for a whole file.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from kdns.cluster import yaml_values

_BLANK = "\ufeff \t\r\n"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file, or the reason why there is none."""

    where: str
    """`document 3` or `document 3, items[12]`."""
    body: object = None
    error: str = ""
    is_readable: bool = True
    """False where the text itself is broken, so that nobody knows what it would say."""


def parse(text: str) -> list[Document]:
    """The documents of a file, Lists taken apart."""
    at = _skip(text, 0)
    if text.startswith("{", at):
        try:
            return _flatten(_json(text, at))
        except (ValueError, RecursionError):
            pass  # YAML may begin with a brace too, and its errors name the line
    return _flatten(_yaml(text))


def _flatten(documents: Iterator[Document]) -> list[Document]:
    """Lists replaced by their items; an item of a typed list (PodList) is told what it is."""
    flat: list[Document] = []
    todo = list(documents)[::-1]
    while todo:
        one = todo.pop()
        kind = one.body.get("kind") if isinstance(one.body, dict) else None
        if isinstance(one.body, dict) and isinstance(kind, str) and kind.endswith("List"):
            todo += _items(one.where, kind, one.body)[::-1]
        elif one.body is not None or one.error:
            flat.append(one)
    return flat


def _items(where: str, kind: str, body: dict[str, Any]) -> list[Document]:
    items = body.get("items") or []
    if not isinstance(items, list):
        return [Document(where, error="Expected `array` - at `$.items`")]
    told = {} if kind == "List" else {"kind": kind[:-4], "apiVersion": body.get("apiVersion")}
    return [
        Document(f"{where}, items[{at}]", told | item if isinstance(item, dict) else item)
        for at, item in enumerate(items)
    ]


def _json(text: str, at: int) -> Iterator[Document]:
    """JSON objects one after the other."""
    number = 0
    while at < len(text):
        number += 1
        body, at = _object(text, at)
        yield Document(f"document {number}", body)
        at = _skip(text, at)


def _object(text: str, at: int) -> tuple[dict[str, Any], int]:
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
            body[key], at = _array(decoder, text, at)
        else:
            body[key], at = decoder.raw_decode(text, at)
        at = _skip(text, at)
    return body, at + 1


def _array(decoder: json.JSONDecoder, text: str, at: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    at = _expect(text, at, "[")
    while not text.startswith("]", at):
        if items:
            at = _expect(text, at, ",")
        item, at = decoder.raw_decode(text, at)
        items.append(item)
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


def _yaml(text: str) -> Iterator[Document]:
    number = 0
    for part in _parts(text.removeprefix("\ufeff")):
        if not _says_something(part):
            continue
        number += 1
        where = f"document {number}"
        try:
            bodies = list(yaml_values.parse(part))
        except yaml.YAMLError as error:
            yield Document(where, error=_reason(error), is_readable=False)
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
