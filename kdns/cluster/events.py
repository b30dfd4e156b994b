"""What happens to a cluster, and what that moves: the events a Store takes, the Change it gives."""

from collections.abc import Hashable
from typing import Final

from msgspec import Struct

from kdns.cluster.objects import Object

SYNCED: Final = "/synced"
"""The key of a Change that says that the first full state has been applied."""


class Put(Struct, frozen=True, gc=False):
    """An object was added or changed."""

    object: Object
    is_chosen: bool = False
    """True when the selection has been made already, as by whoever asked the API for it."""


class Delete(Struct, frozen=True, gc=False):
    """An object is gone."""

    kind: type[Object]
    namespace: str
    name: str


class Replace(Struct, frozen=True, gc=False):
    """These are all objects of a kind: a fresh list. What is not among them is gone."""

    kind: type[Object]
    objects: tuple[Object, ...]


class Prune(Struct, frozen=True, gc=False):
    """A list that came piece by piece, as Puts, is complete: what it did not name is gone.

    `named` holds (namespace, name), the namespace empty for what has none. Holds end with it.
    A set is given away with the event and emptied on the way: 150,000 names that are freed at
    once hold the loop for 50 ms.
    """

    kind: type[Object]
    named: set[tuple[str, str]] | frozenset[tuple[str, str]]


class Synced(Struct, frozen=True, gc=False):
    """All that came before is the source's whole first state."""


class Release(Struct, frozen=True, gc=False):
    """A fresh list has been applied where this source is fed from: holds end, as with Prune."""


Event = Put | Delete | Replace | Prune | Synced | Release


class Change(Struct, frozen=True, gc=False):
    """What an event moved: the facts to forget. Empty when no answer can differ."""

    keys: frozenset[Hashable] = frozenset()


NOTHING: Final = Change()
