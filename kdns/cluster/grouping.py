"""Slices that a list changes, grouped so that no service is seen between two states of its own."""

from dataclasses import dataclass, field

from kdns.cluster.objects import Slice

Listed = dict[tuple[str, str], Slice | None]
"""Slices by namespace and name as a fresh list has them, None for what is not in it."""


@dataclass(slots=True)
class Group:
    """Services that swap slices, with those of their slices that differ."""

    keys: list[str]
    slices: Listed = field(default_factory=dict)


def sort_in(groups: dict[str, Group], old: Slice, new: Slice | None) -> None:
    """Adds a slice to its service's group; two services that swap slices become one group."""
    group = groups.setdefault(old.key, Group([old.key]))
    if new is not None and new.key != old.key:
        other = groups.setdefault(new.key, Group([new.key]))
        if other is not group:
            group, other = sorted((group, other), key=lambda one: -len(one.keys))
            group.slices |= other.slices
            group.keys += other.keys
            groups.update(dict.fromkeys(other.keys, group))
    group.slices[old.namespace, old.name] = new
