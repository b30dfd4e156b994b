"""YAML text becomes plain values, event by event: no recursion, bounded depth and aliases.

libyaml finds the events; values are made here, because PyYAML's own constructors recurse, expand
merge keys without bound and make dates of what Kubernetes takes as text. Plain scalars mean what
YAML 1.1 says, as they do for kubectl. Keys are always text. Raises ValueError or YAMLError.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml import events

MAX_DEPTH = 100
"""Levels of nesting; Kubernetes objects have some twenty."""
MAX_ALIASED = 100_000
"""Values that the aliases of one document may repeat."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: Final[dict[str, bool | None]] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | {form: True for word in ("true", "yes", "on") for form in (word, word.title(), word.upper())}
    | {
        form: False
        for word in ("false", "no", "off")
        for form in (word, word.title(), word.upper())
    }
)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})")
_OTHER = re.compile(r"([-+]?)0(?:x([0-9a-fA-F]{1,16})|o?([0-7]{1,22}))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+][0-9]+)?")
_TAG = "tag:yaml.org,2002:"
Convert = Callable[[Any], Any]  # Any: plain values in, whatever the caller makes of them out

_NO_KEY: Final = object()
_MERGE: Final = object()


def resolve(text: str) -> Any:  # Any: a scalar may mean anything
    """What a plain scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text):
        return int(text)
    if other := _OTHER.fullmatch(text):
        sign, hexadecimal, octal = other.groups()
        return int(sign + (hexadecimal or octal), 16 if hexadecimal else 8)
    return float(text) if _FLOAT.fullmatch(text) else text


def parse(text: str, item: Convert) -> Iterator[Any]:  # Any: a document may be anything
    """The values of the documents in a text; what stands in `items` at the top goes through `item`.

    So a List of a whole cluster is never in memory as plain values.
    """
    loader = _LOADER(text)
    try:
        while loader.check_event():
            if isinstance(loader.get_event(), events.DocumentStartEvent):
                yield _Builder(item).build(loader.get_event)
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    value: list[Any] | dict[str, Any]
    anchor: str | None
    size: int = 1
    key: object = _NO_KEY


class _Builder:
    """Builds the value of one document."""

    def __init__(self, item: Convert) -> None:
        self._item = item
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliased = 0
        self._root: Any = None

    def build(self, take: Callable[[], Any]) -> Any:
        """Takes events up to the end of the document."""
        while not isinstance(event := take(), events.DocumentEndEvent):
            try:
                self._take(event)
            except ValueError as error:
                line = event.start_mark.line + 1
                raise ValueError(f"{error}, line {line} of the document") from None
        return self._root

    def _take(self, event: Any) -> None:
        kind = type(event)
        if kind is events.ScalarEvent:
            self._scalar(event)
        elif kind is events.MappingStartEvent:
            self._begin({}, event, "map")
        elif kind is events.SequenceStartEvent:
            self._begin([], event, "seq")
        elif kind is events.AliasEvent:
            self._alias(event.anchor)
        else:
            done = self._open.pop()
            self._add(done.value, done.size, done.anchor)

    def _scalar(self, event: Any) -> None:
        top = self._open[-1] if self._open else None
        plain = event.implicit[0]
        if top and top.key is _NO_KEY and isinstance(top.value, dict):
            self._key(top, _MERGE if plain and event.value == "<<" else event.value, event.anchor)
            return
        tag = event.tag
        if tag and not plain:
            plain = tag in {_TAG + name for name in ("int", "bool", "float", "null")}
            if not plain and tag not in {"!", _TAG + "str"}:
                raise ValueError(f"the tag {tag[:80]!r} is not known")
        self._add(resolve(event.value) if plain else event.value, 1, event.anchor)

    def _begin(self, value: list[Any] | dict[str, Any], event: Any, name: str) -> None:
        if event.tag not in {None, "!", _TAG + name}:
            raise ValueError(f"the tag {event.tag[:80]!r} is not known")
        if len(self._open) >= MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        self._open.append(_Open(value, event.anchor))

    def _alias(self, anchor: str) -> None:
        if anchor not in self._anchors:
            raise ValueError(f"the alias {anchor[:80]!r} names nothing that is complete")
        value, size = self._anchors[anchor]
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise ValueError(f"aliases repeat more than {MAX_ALIASED} values")
        self._add(value, size, None)

    def _key(self, top: _Open, key: object, anchor: str | None) -> None:
        top.key = key
        if anchor:
            self._anchors[anchor] = (key, 1)

    def _add(self, value: Any, size: int, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = (value, size)
        if not self._open:
            self._root = value
            return
        top = self._open[-1]
        top.size += size
        if isinstance(top.value, list):
            is_item = len(self._open) == 2 and self._open[0].key == "items"
            top.value.append(self._item(value) if is_item else value)
        elif top.key is _NO_KEY:
            if not isinstance(value, str):
                raise ValueError("a key is no text")  # noqa: TRY004 - bad text, not a bug
            top.key = value
        else:
            _set(top.value, top.key, value)
            top.key = _NO_KEY


def _set(mapping: dict[str, Any], key: object, value: Any) -> None:
    if isinstance(key, str):
        mapping[key] = value
        return
    for source in value if isinstance(value, list) else [value]:
        if not isinstance(source, dict):
            raise ValueError("what is merged is no mapping")  # noqa: TRY004 - bad text, not a bug
        for name, inherited in source.items():
            mapping.setdefault(name, inherited)
