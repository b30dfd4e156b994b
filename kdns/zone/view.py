"""A View is how one stanza sees a Store: its zones and options, with the answers that never vary.

Answers that hold the SOA are made once a zone and once a serial; the answer table patches newer
serials into the ones it remembers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kdns.cluster.objects import Slice
from kdns.cluster.store import Store
from kdns.wire import records, types
from kdns.wire.message import Answer, RRset, Serial
from kdns.wire.names import IN_ADDR, IP6, Key, is_below
from kdns.zone.names import label, split

_TIMERS = (7200, 1800, 86400)
_BEFORE = (b"\x02ns\x03dns", b"\x0ahostmaster")


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

    def __init__(self, key: Key, ttl: int, serial: Serial, *, is_multicluster: bool) -> None:
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
        ttl = min(self._ttl, 300)
        rrset = records.soa_set(self.key, ttl, _BEFORE, serial, _TIMERS, self._ttl)
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
            rcode, answer, authority, (), types.AA, self._serial, plugin="kubernetes", live=True
        )

    def at_present(self) -> "Zone":
        """This zone, with its answers made anew if the serial has moved."""
        if self._made != self._serial.serial:
            self._renew()
        return self


@dataclass(frozen=True, slots=True)
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

    def find(self, key: Key) -> tuple[Zone, list[str]] | None:
        """The zone that holds a name, and the labels left of it."""
        for zone in self.zones:
            parts = split(key, zone.key)
            if parts is not None:
                return zone.at_present(), parts
        return None

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


def service_name(zone: Key, namespace: str, service: str, *before: str) -> Key | None:
    """The name of a service or of something in front of it; None when no name can hold it."""
    name: Key | None = Key(b"\x03svc" + zone)
    for text in (namespace, service, *reversed(before)):
        name = below(text, name)
    return name


def below(text: str, parent: Key | None) -> Key | None:
    """The name one label below another; None when no name can hold it."""
    first = label(text)
    if parent is None or not first or len(first) + len(parent) > 255:
        return None
    return Key(first + parent)
