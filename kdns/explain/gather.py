"""Files become Facts: manifests, folders of them, and what `kubectl get … -A -o yaml|json` prints.

A dump says what a control plane has made, and a kind that is not in it is unknown. Manifests say
what somebody wrote: the endpoints, ClusterIPs and namespaces that they lack are made here as the
server makes them (cluster.assembly), so that both say the same.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from kdns.cluster import documents
from kdns.cluster.api.failures import MALFORMED
from kdns.cluster.parse import Thing
from kdns.cluster.parse import parse as parse_thing
from kdns.cluster.sources.manifests import is_manifest
from kdns.explain.facts import Facts
from kdns.explain.heap import Heap
from kdns.explain.reading import Known, kind_of, parse, scan

MOST_BYTES = 1 << 30
"""A cluster of 10,000 services dumped with its pods and all their managedFields is half of it."""

QUICK_BYTES = 1 << 20
"""perf: JSON that is split in 2 ms, in which no other thread has its turn."""

_TOLD = 3
"""Of what cannot be read, where nothing can."""


class Unreadable(Exception):
    """A file that was named cannot be read; the text is one line for people."""


@dataclass(frozen=True, slots=True)
class _Both:
    """An object as an explanation knows it, and as the server does."""

    known: Known
    thing: Callable[[], Thing | None]


class _Top(msgspec.Struct, gc=False):
    """A JSON file: a List, a typed list or one object."""

    kind: str | None = None
    items: list[msgspec.Raw] | None = None


_TOP = msgspec.json.Decoder(_Top)


def offline(paths: Sequence[str]) -> Facts:
    """All that these files and folders say; Unreadable where one cannot be opened, or all that is
    there cannot be read."""
    heap = Heap()
    for path in paths:
        for name in _listed(path):
            _take(name, _content(name), heap, most=MOST_BYTES)
    facts = heap.facts()
    if heap.is_empty and facts.skipped:
        raise Unreadable(f"nothing there can be read: {'; '.join(facts.skipped[:_TOLD])}")
    return facts


def beside(names: Sequence[str]) -> Facts:
    """What these files say beside endpoints, for a server that has read them, too.

    To be run in a thread: its loop has its turn at each object.
    """
    return _without_endpoints(names, QUICK_BYTES)


def alone(names: Sequence[str]) -> Facts:
    """The same, in a process where nobody waits for a turn."""
    return _without_endpoints(names, MOST_BYTES)


def _without_endpoints(names: Sequence[str], most: int) -> Facts:
    heap = Heap(has_endpoints=False)
    for name in names:
        _take(name, _content(name), heap, most=most)
    return heap.facts()


def _listed(path: str) -> list[str]:
    """The files a path stands for."""
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            return [path]
        names = sorted(name for name in os.listdir(path) if is_manifest(name))
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    return [os.path.join(path, name) for name in names]


def _content(name: str) -> bytes:
    try:
        with open(name, "rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"{name}: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise Unreadable(f"{name}: it has more than {MOST_BYTES >> 20} MB: dump fewer namespaces")
    return content


def _take(name: str, content: bytes, heap: Heap, *, most: int) -> None:
    """Puts the objects of a file on the heap; JSON of up to so many bytes is split at once."""
    found = _json(content, heap) if len(content) <= most else None
    for one in found or _documents(content):
        where = f"{name}: {one.where}"
        if one.error:
            heap.skip(f"{where}: {one.error}")
        elif isinstance(one.thing, _Both):
            _put(one.thing, where, heap)


def _put(both: _Both, where: str, heap: Heap) -> None:
    """What somebody wrote and the server would skip is skipped here, too."""
    try:
        if not both.known.is_stored:
            both.thing()
    except ValueError as error:
        heap.skip(f"{where}: {error}")
    else:
        heap.put(both.known, where, both.thing)


def _json(content: bytes, heap: Heap) -> Iterator[documents.Document] | None:
    """The objects of a List of JSON, as kubectl prints it; None for all else.

    perf: a fifth of the time that plain values in between would take.
    """
    try:
        top = _TOP.decode(content)
    except MALFORMED:
        return None
    kind = top.kind or ""
    if top.items is None or not kind.endswith("List"):
        return None
    if kind != "List":
        heap.expect(kind.removesuffix("List"))
    return _items(top.items, "" if kind == "List" else kind.removesuffix("List"))


def _items(items: Iterable[msgspec.Raw], told: str) -> Iterator[documents.Document]:
    for at, item in enumerate(items):
        where = f"items[{at}]"
        try:
            yield from _item(where, item, told)
        except ValueError as error:
            yield documents.Document(where, error=str(error))


def _item(where: str, item: msgspec.Raw, told: str) -> Iterator[documents.Document]:
    kind, is_read = kind_of(item, told)
    if kind.endswith("List"):
        yield from _documents(bytes(item), f"{where}, ")
    elif is_read:
        yield documents.Document(where, _Both(scan(kind, item), _later(kind, item)))


def _later(kind: str, item: msgspec.Raw) -> Callable[[], Thing | None]:
    """The server's view of an item, when it is asked for."""
    return lambda: parse_thing({"kind": kind} | msgspec.json.decode(item))


def _documents(content: bytes, within: str = "") -> Iterator[documents.Document]:
    """The objects of any other file: YAML, or several documents of JSON."""
    text = content.decode(errors="surrogateescape")
    for one in documents.parse(text, _make):
        yield documents.Document(f"{within}{one.where}", one.thing, one.error)


def _make(body: object) -> _Both | None:
    known = parse(body)
    if known is None:
        return None
    try:
        thing = parse_thing(body)
    except ValueError as error:
        return _Both(known, partial(_refuse, str(error)))
    return _Both(known, lambda: thing)


def _refuse(why: str) -> Thing | None:
    raise ValueError(why)
