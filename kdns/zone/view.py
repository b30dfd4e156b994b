"""A View is how one stanza sees a Store: its zones and options, with the answers that never vary.

Answers that hold the SOA are made once a zone and once a serial; the answer table patches newer
serials into the ones it remembers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import ClassVar

from kdns.cluster.objects import Slice
from kdns.cluster.store import Store
from kdns.wire import records, types
from kdns.wire.message import Answer, RRset, Serial
from kdns.wire.names import IN_ADDR, IP6, LONGEST, Key, is_below, parse_reverse
from kdns.zone.names import Labels, label

_TIMERS = (7200, 1800, 86400)
_MOST_ENDS = 2048
"""Half a megabyte at most."""


class ImportSerial:
    """The serial of multicluster zones, which is not that of the others."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def serial(self) -> int:
        """Unix time of the last change of an imported service."""
        return self._store.import_serial


class Zone:
    """A zone of the stanza, with its SOA and what is answered without other records."""

    before: ClassVar[tuple[bytes, bytes]] = (b"\x02ns\x03dns", b"\x0ahostmaster")
    """What stands before the zone in the names of its server and its keeper."""
    plugin: ClassVar[str] = "kubernetes"
    longest_ttl: ClassVar[int] = 300
    """Of the SOA itself."""

    def __init__(
        self, key: Key, ttl: int, serial: Serial, *, is_multicluster: bool = False
    ) -> None:
        self.key = key
        self.is_reverse = is_below(key, IN_ADDR) or is_below(key, IP6)
        self.has_reverse = self.is_reverse or is_below(IN_ADDR, key)
        """True when reverse names may lie in it, as they do in the root zone."""
        self.is_multicluster = is_multicluster
        self.ns_dns = Key(b"\x02ns\x03dns" + key)
        self._ttl = ttl
        self._serial = serial
        self._renew()

    def _renew(self) -> None:
        self._made = serial = self._serial.serial
        ttl = min(self._ttl, self.longest_ttl)
        rrset = records.soa_set(self.key, ttl, self.before, serial, _TIMERS, self._ttl)
        self.soa = self._answer(types.NOERROR, answer=(rrset,))
        self.nodata = self._answer(types.NOERROR, authority=(rrset,))
        """The name exists, but no such records."""
        self.nxdomain = self._answer(types.NXDOMAIN, authority=(rrset,))
        self.unsynced = self._answer(types.SERVFAIL, authority=(rrset,))
        """Not found, but the cluster is not known yet (facts B.12)."""

    def _answer(
        self, rcode: int, answer: tuple[RRset, ...] = (), authority: tuple[RRset, ...] = ()
    ) -> Answer:
        return Answer(
            rcode, answer, authority, (), types.AA, self._serial, plugin=self.plugin, live=True
        )

    @property
    def serial(self) -> int:
        """The serial as of now."""
        return self._serial.serial

    def at_present(self) -> "Zone":
        """This zone, with its answers made anew if the serial has moved."""
        if self._made != self._serial.serial:
            self._renew()
        return self


@dataclass(slots=True, eq=False)
class View:
    """A Store, the zones it is served under, and how."""

    store: Store
    zones: tuple[Zone, ...]
    """The longest first."""
    primary: Key
    """The zone that PTR answers point into."""
    ttl: int = 5
    pods: str = "disabled"
    namespaces: frozenset[str] = frozenset()
    """The only ones exposed; empty for all."""
    pod_names: bool = False
    ignore_empty: bool = False
    zonal: bool = False
    own: tuple[bytes, ...] = ()
    """The server's own packed addresses."""

    _ends: "dict[bytes, tuple[Zone, list[str]]]" = field(init=False, repr=False)
    """Ends of names, with the zone they lie in and the labels they have left of it. The longest one
    that a name has counts: zones, `svc` and `pod` below them, and some namespaces below those."""
    plain: "dict[bytes, tuple[Zone, str]]" = field(init=False, repr=False)
    """What services' own names end in: the zone and namespace of each end that was met."""
    _is_flat: bool = field(init=False, repr=False)
    """True when no zone lies in another."""
    _tails: "tuple[Key, ...]" = field(init=False, repr=False)
    _reverse: "tuple[Zone, ...]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._reverse = tuple(zone for zone in self.zones if zone.has_reverse)
        self._tails = tuple(zone.key for zone in self.zones)
        pairs = permutations(self._tails, 2)
        self._is_flat = not any(is_below(one, other) for one, other in pairs)
        self._ends = self._first_ends()
        self.plain = {}

    def _first_ends(self) -> "dict[bytes, tuple[Zone, list[str]]]":
        kinds = [(kind, zone) for zone in self.zones for kind in ("svc", "pod")]
        ends = {label(kind) + zone.key: (zone, [kind]) for kind, zone in kinds}
        return ends | {zone.key: (zone, []) for zone in self.zones}

    def find(self, key: Key) -> tuple[Zone, Labels] | None:
        """The zone that holds a name, and the labels left of it."""
        ends = self._ends
        at = key[0] + 1
        end = ends.get(key[at:])
        if end is not None and self._is_flat and (end[1] or not end[0].has_reverse):
            # perf: bench once A
            return end[0].at_present(), [key[1:at].decode("latin-1"), *end[1]]
        if self._reverse and key[-2:-1] == b"a":  # as in arpa
            address = parse_reverse(key)
            if address is not None:
                return self._find_reverse(key, address)
        if key in ends:
            zone, labels = ends[key]
            return zone.at_present(), labels.copy()
        return self._walk(key, at, end) if key.endswith(self._tails) else None

    def _walk(
        self, key: Key, at: int, end: "tuple[Zone, list[str]] | None"
    ) -> tuple[Zone, Labels] | None:
        """The same for a name that is no end itself: label by label from offset `at` on."""
        ends = self._ends
        text = key.decode("latin-1")
        front = [text[1:at]]
        while end is None:
            size = key[at]
            if not size:
                return None
            start, at = at + 1, at + size + 1
            front.append(text[start:at])
            end = ends.get(key[at:])
        zone, labels = end
        if len(labels) == 1:
            self._note(key, at, (zone, [front[-1], *labels]))
        return zone.at_present(), front + labels

    def _find_reverse(self, key: Key, address: bytes) -> tuple[Zone, Labels] | None:
        """The digits of an address hold no length, so a zone it ends like is cut off at a label."""
        for zone in self._reverse:
            if key.endswith(zone.key):
                return zone.at_present(), [] if len(key) == len(zone.key) else address
        return None

    def _note(self, key: Key, at: int, end: "tuple[Zone, list[str]]") -> None:
        """Remembers the end of a name from the namespace on (perf: bench once A)."""
        ends = self._ends
        if len(ends) >= _MOST_ENDS:
            ends.clear()
            ends.update(self._first_ends())
            self.plain.clear()
        zone, (namespace, kind) = end
        if kind == "svc" and self._is_flat and not (zone.has_reverse or zone.is_multicluster):
            self.plain[key[at - len(namespace) - 1 :]] = (zone, namespace)
        ends[key[at - len(end[1][0]) - 1 :]] = end

    def exposes(self, namespace: str) -> bool:
        """True for a namespace that exists and is not left out."""
        if self.namespaces and namespace not in self.namespaces:
            return False
        return namespace in self.store.namespaces

    def slices(self, zone: Zone, fact: str) -> Sequence[Slice]:
        """The slices of a service, or of an imported service in a multicluster zone."""
        if zone.is_multicluster:
            return self.store.import_slices(fact)
        return self.store.slices(fact)


def positive(*rrsets: RRset, additional: tuple[RRset, ...] = ()) -> Answer:
    """The answer that holds these records."""
    return Answer(types.NOERROR, rrsets, (), additional, types.AA, plugin="kubernetes", live=True)


def service_name(zone: Key, namespace: str, service: str, *before: str) -> bytes | None:
    """The name of a service or of something in front of it; None when no name can hold it."""
    first, second = label(service), label(namespace)
    if not first or not second:
        return None
    name: bytes | None = first + second + b"\x03svc" + zone
    for text in reversed(before):
        name = below(text, name)
    return name if name is not None and len(name) <= LONGEST else None


def below(text: str, parent: bytes | None) -> bytes | None:
    """The name one label below another; None when no name can hold it."""
    first = label(text)
    if parent is None or not first or len(first) + len(parent) > LONGEST:
        return None
    return first + parent
