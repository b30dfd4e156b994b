"""The zones that a plugin serves: the present generation of each, and what changed lately.

A Held zone is replaced as a whole: one stamp is bumped, those who want to know are told. A Shelf
finds the zone of a name, answers from it, and is a Source of transfers (zone.transfers).
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Protocol

from kdns.keeping.steps import freed, walked
from kdns.observe.counters import Counters
from kdns.wire import names, types
from kdns.wire.message import Answer, Question, RRset
from kdns.wire.names import Key, is_below
from kdns.zone.files.answer import Alias, find
from kdns.zone.files.changes import differing
from kdns.zone.files.zone import Zone
from kdns.zone.transfers import Difference

JOURNAL = 16
"""Differences kept of each zone."""
_UNREAD = ((types.EDE_NOT_READY, ""),)
_UNGIVEN = ((types.EDE_PROHIBITED, ""),)
_TRANSFERS = frozenset((types.AXFR, types.IXFR))


class Bumper(Protocol):
    """What forgets answers: plugins.query.Stamps."""

    def bump(self, keys: Iterable[Hashable]) -> None:
        """Forgets everything that touched one of these keys."""


class Asked(Protocol):
    """What a Shelf looks at of a query: plugins.query.Query."""

    @property
    def question(self) -> Question:
        """As the packet asked it."""

    @property
    def key(self) -> Key:
        """What is asked now."""

    @property
    def type(self) -> int:
        """Its type."""

    def touch(self, fact: Hashable) -> None:
        """Notes what the answer depends on."""


class Held:
    """One zone: its present generation, if there is any."""

    def __init__(
        self, apex: Key, home: Hashable, plugin: str, stamps: Bumper, counters: Counters
    ) -> None:
        self.apex = apex
        self.plugin = plugin
        self.fact = ("zone", home, apex)
        """What answers from it touch."""
        self.zone: Zone | None = None
        self.falls: tuple[Key, ...] = ()
        """Where names that do not exist go to the next plugin."""
        self.on_change: list[Callable[[Key], None]] = []
        self.journal: deque[Difference] = deque(maxlen=JOURNAL)
        self._stamps = stamps
        self._counters = counters

    async def put(self, zone: Zone | None) -> None:
        """Serves another generation from now on; None: there is none that may be served."""
        old = self.zone
        difference = None
        if old is not None and zone is not None and self.on_change:
            difference = await walked(differing(old, zone))
        if difference is None:
            self.journal.clear()
        else:
            self.journal.append(difference)
        if zone is not None:
            zone.plugin = self.plugin
        self.zone = zone
        self._stamps.bump((self.fact,))
        labels = (self.plugin, names.format(self.apex))
        self._counters.set("kdns_zone_serial", *labels, to=0 if zone is None else zone.serial)
        if zone is not None and (old is None or old.serial != zone.serial):
            for tell in self.on_change:
                tell(self.apex)
        nodes = [] if old is None else [*old.nodes.values()]
        del old
        await freed(nodes)

    async def release(self) -> None:
        """Lets go of the zone bit by bit: nobody asks for it here any more."""
        zone, self.zone = self.zone, None
        nodes = [] if zone is None else [*zone.nodes.values()]
        del zone
        await freed(nodes)


class Shelf:
    """The zones of one plugin."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.on_change: list[Callable[[Key], None]] = []
        self._held: dict[Key, Held] = {}

    def add(self, held: Held) -> None:
        """Takes a zone in."""
        self._held[held.apex] = held
        held.on_change.append(self._tell)

    def drop(self, apex: Key) -> None:
        """Serves a zone no more."""
        self._held.pop(apex).on_change.remove(self._tell)

    def clear(self) -> None:
        """Serves nothing more."""
        for apex in tuple(self._held):
            self.drop(apex)

    async def close(self) -> None:
        """Serves nothing more, and lets go of all zones."""
        held = [*self._held.values()]
        self.clear()
        for each in held:
            await each.release()

    def get(self, apex: Key) -> Held | None:
        """The zone of this name."""
        return self._held.get(apex)

    def holding(self, key: Key) -> Held | None:
        """The longest zone that holds a name."""
        held = self._held.get(key)
        while held is None and len(key) > 1:
            key = names.parent(key)
            held = self._held.get(key)
        return held

    def look(self, query: Asked) -> Answer | Alias | None:
        """What the zone of the asked name says; None where another plugin is to be asked."""
        key = query.key
        held = self.holding(key)
        if held is None:
            return None
        query.touch(held.fact)
        zone = held.zone
        if zone is None:
            return Answer(types.SERVFAIL, ede=_UNREAD, plugin=self.plugin)
        if query.type in _TRANSFERS:
            return Answer(types.REFUSED, ede=_UNGIVEN, plugin=self.plugin)
        found = find(zone, key, query.type, do=query.question.do)
        if type(found) is not Answer or found.rcode != types.NXDOMAIN or found.answer:
            return found  # a CNAME that is there does not fall through, wherever it leads
        return None if any(is_below(key, zone) for zone in held.falls) else found

    # A Source and Journal of transfers (zone.transfers)

    @property
    def zones(self) -> tuple[Key, ...]:
        """The apexes of all zones."""
        return tuple(self._held)

    def serial(self, zone: Key) -> int | None:
        """The serial of a zone now; None while there is nothing to serve."""
        held = self._held.get(zone)
        return None if held is None or held.zone is None else held.zone.serial

    def records(self, zone: Key) -> Iterator[RRset]:
        """All of the present generation, which stays what it is while it is walked."""
        held = self._held.get(zone)
        return iter(()) if held is None or held.zone is None else held.zone.rrsets()

    def since(self, zone: Key, serial: int) -> tuple[Difference, ...] | None:
        """The differences from a serial to the present; None where they are not known."""
        held = self._held.get(zone)
        if held is None or held.zone is None:
            return None
        known = [*held.journal]
        for at, difference in enumerate(known):
            if difference.old.rdatas[0][-20:-16] == serial.to_bytes(4, "big"):
                return tuple(known[at:])
        return None

    def _tell(self, apex: Key) -> None:
        for tell in self.on_change:
            tell(apex)
