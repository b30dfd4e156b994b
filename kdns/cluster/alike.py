"""What an object is called, and what two objects of the same name have in common."""

from typing import TypeVar

from msgspec.structs import astuple

from kdns.cluster.objects import Namespace, Node, Object

K = TypeVar("K")
T = TypeVar("T")


def sharing(old: Object, new: Object) -> Object:
    """`new` with those fields of `old` that are equal, so that nothing is in memory twice."""
    before, after = astuple(old), astuple(new)
    return type(new)(*[o if o == n else n for o, n in zip(before, after, strict=True)])


def name_of(thing: Object) -> tuple[str, str]:
    """Namespace, empty for what has none, and name."""
    if type(thing) is Namespace or type(thing) is Node:
        return "", thing.name
    return thing.namespace, thing.name  # type: ignore[union-attr]  # perf: bench-cluster; all others have one


def swap(table: dict[K, T], key: K, new: T | None) -> T | None:
    """Sets or, with None, takes out an entry; returns what was there."""
    old = table.pop(key, None)
    if new is not None:
        table[key] = new
    return old
