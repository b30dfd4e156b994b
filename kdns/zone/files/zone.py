"""Records to a Zone: a tree of names, compiled once, never changed afterwards.

`compiling` does the work in steps, so that a large zone may be made beside serving; `compiled` does
it at once. Names that only have names below them are there too (RFC 4592 §2.2.2), and each name
knows which delegation or DNAME above it hides it. A new generation is a new Zone.
"""

from collections.abc import Generator, Iterable, Iterator
from heapq import merge
from itertools import chain
from typing import TypeVar

from msgspec import Struct

from kdns.wire import names, records, types
from kdns.wire.message import RRset
from kdns.wire.names import Key, is_below
from kdns.zone.files.parse import Record, ZoneError

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work in steps of well under a millisecond, and what comes of it."""
STEP = 64
"""Records or names in a step."""
MOST_WARNINGS = 100

_NSEC3 = frozenset((types.NSEC3, -types.NSEC3))
_ALONE = frozenset((types.CNAME, types.DNAME))
_BESIDE_CNAME = frozenset((types.RRSIG, types.NSEC, types.CNAME))


class Node(Struct, gc=False):
    """A name, with all that is there."""

    key: Key
    sets: tuple[RRset, ...] = ()
    """All but signatures, by type."""
    sigs: tuple[tuple[int, RRset], ...] = ()
    """Signatures, by the type they cover."""
    hidden_by: "Node | None" = None
    """The highest delegation or DNAME above it: what is here is not the zone's to answer."""
    is_cut: bool = False
    """A delegation begins here."""

    def get(self, type_: int) -> RRset | None:
        """The records of a type."""
        for rrset in self.sets:
            if rrset.type == type_:
                return rrset
        return None

    def sig(self, type_: int) -> RRset | None:
        """The signatures over a type."""
        for covered, rrset in self.sigs:
            if covered == type_:
                return rrset
        return None


class Zone:
    """A zone at one serial."""

    def __init__(
        self, apex: Key, nodes: dict[Key, Node], hashes: dict[Key, Node], warnings: tuple[str, ...]
    ) -> None:
        top = nodes[apex]
        soa = top.get(types.SOA)
        assert soa is not None
        self.apex = apex
        self.plugin = ""
        """Who answers from it, as answers say; set by who holds it."""
        self.nodes = nodes
        self.hashes = hashes
        """What has NSEC3 and nothing else: no names that could be asked for (RFC 5155 §7.2.8)."""
        self.top = top
        self.soa = soa
        self.ns = top.get(types.NS)
        self.serial = serial_of(soa)
        self.warnings = warnings
        """What is odd about it, where it is not wrong enough to refuse the zone."""
        self.is_signed = any(covered == types.SOA for covered, _ in top.sigs)
        self.nsec: tuple[tuple[tuple[bytes, ...], Key], ...] = ()
        """Owners of NSEC in canonical order, each behind what it is ordered by."""
        self.nsec3: tuple[tuple[bytes, Key], ...] = ()
        """Owners of NSEC3 by their hash."""
        ttl = min(soa.ttl, int.from_bytes(soa.rdatas[0][-4:], "big"))
        self.denial = _compact(RRset(apex, types.SOA, ttl, soa.rdatas))
        """The SOA as negative answers hold it (RFC 2308 §3)."""

    def rrsets(self) -> Iterator[RRset]:
        """All records, the SOA first and only once."""
        yield self.soa
        for node in chain(self.nodes.values(), self.hashes.values()):
            for rrset in node.sets:
                if rrset is not self.soa:
                    yield rrset
            for _, rrset in node.sigs:
                yield rrset

    def encloser(self, key: Key) -> Node:
        """The longest name of the zone that holds `key`, itself included."""
        nodes = self.nodes
        node = nodes.get(key)
        while node is None:
            key = names.parent(key)
            node = nodes.get(key)
        return node


def serial_of(soa: RRset) -> int:
    """The serial of an SOA."""
    return int.from_bytes(soa.rdatas[0][-20:-16], "big")


def is_newer(serial: int, than: int) -> bool:
    """True when a serial follows another (RFC 1982)."""
    return 0 < (serial - than) & 0xFFFFFFFF < 0x80000000


def finish(steps: Steps[T]) -> T:
    """Does all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result


def compiled(apex: Key, found: Iterable[Record]) -> Zone:
    """The zone of some records; raises ZoneError."""
    return finish(compiling(apex, found))


def compiling(apex: Key, found: Iterable[Record]) -> Steps[Zone]:
    """The same in steps."""
    gathered = _Gathered(apex)
    for count, record in enumerate(found):
        gathered.add(record)
        if not count % STEP:
            yield
    gathered.check()
    nodes: dict[Key, Node] = {}
    hashes: dict[Key, Node] = {}
    for count, key in enumerate(list(gathered.names)):
        # Taken out one by one: to free a million at once would take a while.
        sets = gathered.names.pop(key)
        is_hash = all(one.type in _NSEC3 for one in sets)
        (hashes if is_hash else nodes)[key] = gathered.node(key, sets)
        if not count % STEP:
            yield
    yield from _grown(apex, nodes, hides=gathered.hides)
    zone = Zone(apex, nodes, hashes, tuple(gathered.warnings))
    yield from _linked(zone)
    return zone


class _Set(Struct, gc=False):
    """Records of one name and type on their way into an RRset.

    Nothing here, and nothing in a Zone, is for the garbage collector to look through: with a
    million names it would stop everything for a long while.
    """

    type: int
    """Negated: signatures, by the type they cover."""
    ttl: int
    rdatas: tuple[bytes, ...]
    more: list[bytes] | None = None
    """From the 64th on."""

    def add(self, rdata: bytes) -> None:
        """Takes in one that is not there yet; of many, that is seen to in the end."""
        if self.more is not None:
            self.more.append(rdata)
        elif rdata not in self.rdatas:
            self.rdatas += (rdata,)
            if len(self.rdatas) == 64:
                self.more = []

    def rrset(self, key: Key) -> RRset:
        """The records, each once."""
        type_ = types.RRSIG if self.type < 0 else self.type
        rdatas = self.rdatas
        if self.more:
            rdatas = tuple(dict.fromkeys((*rdatas, *self.more)))
        return RRset(key, type_, self.ttl, rdatas)


class _Gathered:
    """Records by name and type, with complaints about some."""

    def __init__(self, apex: Key) -> None:
        self.apex = apex
        self.names: dict[Key, tuple[_Set, ...]] = {}
        self.warnings: list[str] = []
        self.hides = False
        """There is a delegation or DNAME."""

    def add(self, record: Record) -> None:
        """Takes a record in, or leaves it out with a warning."""
        owner, type_, ttl, rdata, cls, _ = record
        if cls != types.IN:
            self.warn(record, f"is of class {types.class_name(cls)} and left out")
            return
        if type_ == types.SOA and owner != self.apex:
            where, what = names.format(owner), names.format(self.apex)
            raise ZoneError(f"the SOA is of {where}, but the zone is {what}", record.at())
        if not is_below(owner, self.apex):
            self.warn(record, f"lies outside {names.format(self.apex)} and is left out")
            return
        if type_ == types.RRSIG:
            if len(rdata) < 19:
                self.warn(record, "is cut and left out")
                return
            type_ = -(rdata[0] << 8 | rdata[1])
        sets = self.names.get(owner, ())
        for one in sets:
            if one.type == type_:
                self._join(one, ttl, rdata, record)
                return
        self.names[owner] = (*sets, _Set(type_, ttl, (rdata,)))

    def _join(self, known: _Set, ttl: int, rdata: bytes, record: Record) -> None:
        is_other = rdata != known.rdatas[0]
        if is_other and known.type == types.SOA:
            raise ZoneError("there is a second SOA", record.at())
        if is_other and known.type in _ALONE:
            self.warn(record, "is a second one at its name and left out")
            return
        if ttl != known.ttl and known.type >= 0:
            # RFC 2181 §5.2: one TTL for all; the least does no harm.
            known.ttl = min(ttl, known.ttl)
            self.warn(record, f"has another TTL than its like: all get {known.ttl}")
        known.add(rdata)

    def check(self) -> None:
        """A zone has an SOA at its apex."""
        if all(one.type != types.SOA for one in self.names.get(self.apex, ())):
            name = names.format(self.apex)
            raise ZoneError(f"there is no SOA of {name}: is the file that of another zone?")

    def node(self, key: Key, sets: tuple[_Set, ...]) -> Node:
        """A name with its records."""
        kinds = [one.type for one in sets]
        if types.CNAME in kinds and any(one >= 0 and one not in _BESIDE_CNAME for one in kinds):
            self._note(f"{names.format(key)} has a CNAME and other records: the CNAME answers")
        plain = tuple([one.rrset(key) for one in sets if one.type >= 0])
        sigs = tuple([(-one.type, one.rrset(key)) for one in sets if one.type < 0])
        is_cut = types.NS in kinds and key != self.apex
        self.hides = self.hides or is_cut or types.DNAME in kinds
        return Node(key, plain, sigs, None, is_cut)

    def warn(self, record: Record, what: str) -> None:
        """Notes what is odd about a record."""
        at = record.at()
        text = f"{names.format(record.owner)} {types.type_name(record.type)} {what}"
        self._note(f"{at}: {text}" if at else text)

    def _note(self, text: str) -> None:
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(text)


def _grown(apex: Key, nodes: dict[Key, Node], *, hides: bool) -> Steps[None]:
    """Adds the names between, and says of each name what hides it."""
    for count, key in enumerate(list(nodes)):
        above = names.parent(key) if key != apex else apex
        while above not in nodes:
            nodes[above] = Node(above)
            above = names.parent(above)
        if not count % STEP:
            yield
    if not hides:
        return
    for count, (key, node) in enumerate(nodes.items()):
        above = key
        while above != apex:
            above = names.parent(above)
            one = nodes[above]
            if one.is_cut or one.get(types.DNAME):
                node.hidden_by = one
        if not count % STEP:
            yield


def _linked(zone: Zone) -> Steps[None]:
    """Orders what denies names in a signed zone, in steps: short runs first, then merged."""
    if not zone.is_signed:
        return
    nsec: list[tuple[tuple[bytes, ...], Key]] = []
    for count, node in enumerate(zone.nodes.values()):
        if node.hidden_by is None and node.get(types.NSEC):
            nsec.append((canonical(node.key), node.key))
        if not count % STEP:
            yield
    nsec3 = [(key[1 : 1 + key[0]], key) for key in zone.hashes]
    zone.nsec = yield from _sorted(nsec)
    zone.nsec3 = yield from _sorted(nsec3)


def canonical(key: Key) -> tuple[bytes, ...]:
    """What a name is ordered by (RFC 4034 §6.1)."""
    return tuple(reversed(names.labels(key)))


S = TypeVar("S", tuple[tuple[bytes, ...], Key], tuple[bytes, Key])


def _sorted(items: list[S]) -> Steps[tuple[S, ...]]:
    """Sorts short runs, then merges them."""
    runs = []
    for at in range(0, len(items), STEP * 8):
        runs.append(sorted(items[at : at + STEP * 8]))
        yield
    merged: list[S] = []
    for item in merge(*runs):
        merged.append(item)
        if not len(merged) % STEP:
            yield
    return tuple(merged)


def _compact(soa: RRset) -> RRset:
    """The SOA cut where the zone's name goes, if all its names end in it (wire.encode)."""
    rdata, apex = soa.rdatas[0], soa.owner
    end = at = 0
    while rdata[at]:
        at += rdata[at] + 1
    end = at + 1
    mname, rname = rdata[:end], rdata[end:-20]
    both = [
        name[: len(name) - len(apex)]
        for name in (mname, rname)
        if is_below(names.fold(name), names.fold(apex))
    ]
    if len(both) < 2 or len(apex) < 2:
        return soa
    numbers = [
        int.from_bytes(rdata[at : at + 4], "big") for at in range(len(rdata) - 20, len(rdata), 4)
    ]
    serial, refresh, retry, expire, minimum = numbers
    return records.soa_set(
        names.fold(apex), soa.ttl, (both[0], both[1]), serial, (refresh, retry, expire), minimum
    )
