"""What can be transferred: the Protocol between `transfer` and the plugins that have whole zones.

A plugin appends a Source to `site.beside.setdefault("transfer", [])` in its constructor; `transfer`
looks there at query time. `transfer` writes the closing SOA, cuts messages, judges askers and sends
NOTIFY; a Source only knows its records and says when they changed.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from kdns.wire.message import RRset
from kdns.wire.names import Key


class Superseded(Exception):
    """Raised by the iterator of `records` when it can no longer give one whole generation: the
    transfer ends unfinished, and the asker tries again."""


class Source(Protocol):
    """Some zones that may be transferred."""

    @property
    def zones(self) -> tuple[Key, ...]:
        """The apexes of all its zones; may change over time (`auto`)."""

    @property
    def on_change(self) -> list[Callable[[Key], None]]:
        """Called on the event loop with the apex of each zone that has a new serial; a source that
        changes often calls it as often as it likes, `transfer` merges bursts."""

    def serial(self, zone: Key) -> int | None:
        """The serial of a zone now; None while it has no usable data (the reply is SERVFAIL)."""

    def records(self, zone: Key) -> Iterator[RRset]:
        """All RRsets of one generation of a zone: the SOA first and only once, else in any order.

        Made step by step as it is advanced, on the event loop; what changes meanwhile either does
        not show or raises Superseded.
        """


class Difference(NamedTuple):
    """From one serial to the next: what an incremental transfer (RFC 1995 §4) sends."""

    old: RRset
    """The SOA from which it leads."""
    removed: tuple[RRset, ...]
    """Records that are gone, without the SOA."""
    new: RRset
    added: tuple[RRset, ...]


class Journal(Protocol):
    """A Source that may also remember differences has this method beside those of Source."""

    def since(self, zone: Key, serial: int) -> tuple[Difference, ...] | None:
        """The differences from a serial to the present, oldest first; None: only a whole transfer
        will do."""
