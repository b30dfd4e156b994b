"""By what objects of one kind are found without looking at all: labels, controllers, selections.

An object is noted under each label that it bears, under who controls it, and a service under the
first label that it selects; what is found so still has to be looked at.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kdns.lab.errors import Obj

_Mark = tuple[str, str, str]
"""Namespace, what kind of mark, and its value."""
_OWNER = "is controlled by"
_NONE: frozenset[str] = frozenset()


class Marks:
    """The names of objects by their marks."""

    def __init__(self) -> None:
        self._names: dict[_Mark, set[str]] = {}

    def add(self, obj: Obj) -> None:
        """Notes an object."""
        for mark in _marks(obj):
            self._names.setdefault(mark, set()).add(obj["metadata"]["name"])

    def drop(self, obj: Obj) -> None:
        """Forgets one, as it was noted."""
        for mark in _marks(obj):
            names = self._names[mark]
            names.discard(obj["metadata"]["name"])
            if not names:
                del self._names[mark]

    def bearing(self, namespace: str, wanted: Mapping[str, str]) -> set[str]:
        """Those with all these labels, of which there is one at least."""
        found = [self._names.get(_label(namespace, *pair), _NONE) for pair in wanted.items()]
        return set(min(found, key=len)).intersection(*found)

    def controlled(self, namespace: str, uid: str) -> set[str]:
        """Those that somebody controls."""
        return set(self._names.get((namespace, _OWNER, uid), _NONE))

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> set[str]:
        """Services that may select who bears these labels."""
        marks = (_selection(namespace, *pair) for pair in labels.items())
        return {name for mark in marks for name in self._names.get(mark, _NONE)}


def _marks(obj: Obj) -> Iterator[_Mark]:
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    for pair in (metadata.get("labels") or {}).items():
        yield _label(namespace, *pair)
    for one in metadata.get("ownerReferences") or ():
        if one.get("controller"):
            yield namespace, _OWNER, one["uid"]
    spec: Any = obj.get("spec")  # Any: other kinds have other things there
    selector = spec.get("selector") if isinstance(spec, dict) else None
    if (
        selector
        and isinstance(selector, dict)
        and all(isinstance(one, str) for one in selector.values())
    ):
        yield _selection(namespace, *min(selector.items()))


def _label(namespace: str, key: str, value: str) -> _Mark:
    return namespace, f"bears {key}", value


def _selection(namespace: str, key: str, value: str) -> _Mark:
    return namespace, f"selects {key}", value
