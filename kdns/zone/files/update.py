"""UPDATE messages (RFC 2136) against the records of a zone: what they ask for, what comes of it.

`read` takes a message apart; `prerequisites`, `permitted`, `scanned` raise Refused with the code of
the reply; `applied` gives the Contents that come of it. Contents are never changed: those before
stay whole for whoever still reads them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from struct import error as _StructError
from typing import NamedTuple

from kdns.wire import fields, names, types
from kdns.wire.message import WireError
from kdns.wire.names import Key, is_below
from kdns.wire.parse import read_name, read_rdata
from kdns.zone.files.parse import Record
from kdns.zone.files.zone import is_newer

ANY, NONE = types.CLASSES["ANY"], types.CLASSES["NONE"]
UNSUPPORTED = frozenset(
    types.TYPES[name]
    for name in (
        "SIG", "KEY", "NXT", "DS", "RRSIG", "NSEC", "DNSKEY", "NSEC3", "NSEC3PARAM", "TALINK",
        "CDS", "CDNSKEY", "ZONEMD", "TA", "DLV",
    )
)  # fmt: skip
"""Types that would need signatures, or are nobody's; as CoreDNS has them."""
_META = frozenset(
    types.TYPES[name] for name in ("OPT", "TKEY", "TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY")
)
_KNOWN = frozenset(types.TYPES.values())
_OVERHEAD_BYTES = 10
"""What a record has beside its owner and data."""

_COUNTS = Struct("!HHHH").unpack_from
_FIXED = Struct("!HHIH").unpack_from


class Refused(Exception):
    """The update is not done; `rcode` says why."""

    def __init__(self, rcode: str) -> None:
        super().__init__(rcode)
        self.rcode = types.RCODES[rcode]


class Part(NamedTuple):
    """One record of a prerequisite or update section."""

    owner: Key
    type: int
    cls: int
    ttl: int
    rdata: bytes


class Update(NamedTuple):
    """What a message asks for."""

    prerequisites: tuple[Part, ...]
    updates: tuple[Part, ...]


class RRs(NamedTuple):
    """The records of one owner and type."""

    ttl: int
    rdatas: tuple[bytes, ...]


Names = Mapping[Key, Mapping[int, RRs]]


class Contents(NamedTuple):
    """All records of a zone."""

    apex: Key
    names: Names
    records_count: int
    size: int
    """Octets of its records."""

    @property
    def serial(self) -> int:
        """The serial of its SOA."""
        return serial_of(self.names[self.apex][types.SOA].rdatas[0])

    def records(self) -> Iterator[Record]:
        """Each record by itself."""
        for owner, sets in self.names.items():
            for type_, (ttl, rdatas) in sets.items():
                for rdata in rdatas:
                    yield Record(owner, type_, ttl, rdata)

    def parts(self, owner: Key) -> set[tuple[int, int, bytes]]:
        """Type, TTL and data of every record of a name."""
        sets = self.names.get(owner, {})
        return {(type_, ttl, rdata) for type_, (ttl, all_) in sets.items() for rdata in all_}


def is_supported(type_: int) -> bool:
    """True for types that a zone with updates may have."""
    return type_ in _KNOWN and type_ not in UNSUPPORTED and type_ not in _META


def serial_of(soa: bytes) -> int:
    """The serial in the data of an SOA."""
    return int.from_bytes(soa[-20:-16], "big")


def gathered(apex: Key, records: Iterable[Record]) -> Contents:
    """The contents that a zone begins with; ValueError with what it may not have."""
    found: dict[Key, dict[int, RRs]] = {}
    for record in records:
        owner, type_ = names.fold(record.owner), record.type
        what = f"{names.format(owner)} {types.type_name(type_)}"
        if record.cls != types.IN or not is_below(owner, apex):
            raise ValueError(f"{what} is not of class IN, or outside the zone")
        if not is_supported(type_):
            raise ValueError(f"{what} is of a type that zones with updates may not have")
        if type_ == types.SOA and (owner != apex or types.SOA in found.get(apex, {})):
            raise ValueError("there is more than one SOA")
        sets = found.setdefault(owner, {})
        sets[type_] = _joined(sets.get(type_), record.ttl, record.rdata)
    if types.SOA not in found.get(apex, {}):
        raise ValueError(f"there is no SOA of {names.format(apex)}")
    if not serial_of(found[apex][types.SOA].rdatas[0]):
        raise ValueError("the SOA has the serial 0")
    for owner, sets in found.items():
        if types.CNAME in sets and (len(sets) > 1 or len(sets[types.CNAME].rdatas) > 1):
            raise ValueError(f"{names.format(owner)} has a CNAME and other records")
    counts, sizes = zip(*(_measured(owner, sets) for owner, sets in found.items()), strict=True)
    return Contents(apex, found, sum(counts), sum(sizes))


def _joined(old: RRs | None, ttl: int, rdata: bytes) -> RRs:
    """All records of a set have one TTL, that of the newest (RFC 2181 §5.2)."""
    if old is None:
        return RRs(ttl, (rdata,))
    return RRs(ttl, old.rdatas if rdata in old.rdatas else (*old.rdatas, rdata))


def _measured(owner: Key, sets: Mapping[int, RRs]) -> tuple[int, int]:
    """Number and octets of the records of a name."""
    rdatas = [rdata for one in sets.values() for rdata in one.rdatas]
    each = len(owner) + _OVERHEAD_BYTES
    return len(rdatas), len(rdatas) * each + sum(map(len, rdatas))


# The message


def read(packet: bytes) -> Update:
    """The prerequisites and updates of a message; WireError where it cannot be read."""
    questions, first, second, _ = _COUNTS(packet, 4)
    known: dict[int, bytes] = {}
    try:
        at = 12
        for _ in range(questions):
            at = read_name(packet, at, known)[1] + 4
        sections = []
        for count in (first, second):
            parts = []
            for _ in range(count):
                part, at = _part(packet, at, known)
                parts.append(part)
            sections.append(tuple(parts))
    except (IndexError, _StructError):
        raise WireError("update", types.FORMERR) from None
    return Update(*sections)


def _part(packet: bytes, at: int, known: dict[int, bytes]) -> tuple[Part, int]:
    owner, at = read_name(packet, at, known)
    type_, cls, ttl, size = _FIXED(packet, at)
    at += 10
    if at + size > len(packet):
        raise WireError("update", types.FORMERR)
    rdata = read_rdata(packet, at, at + size, (type_, types.IN), known) if size else b""
    return Part(names.fold(owner), type_, cls, ttl, rdata), at + size


# What is asked of the zone before (RFC 2136 §3.2)


def prerequisites(contents: Contents, parts: Iterable[Part]) -> None:
    """Raises Refused where a prerequisite does not hold."""
    wanted: dict[tuple[Key, int], set[bytes]] = {}
    for part in parts:
        if part.ttl:
            raise Refused("FORMERR")
        if not is_below(part.owner, contents.apex):
            raise Refused("NOTZONE")
        sets = contents.names.get(part.owner, {})
        if part.cls in {ANY, NONE}:
            _known_or_not(part, sets)
        elif part.cls == types.IN:
            _check_type(part)
            _check_rdata(part)
            wanted.setdefault((part.owner, part.type), set()).add(_compared(part.type, part.rdata))
        else:
            raise Refused("FORMERR")
    for (owner, type_), rdatas in wanted.items():
        found = contents.names.get(owner, {}).get(type_)
        if found is None or {_compared(type_, one) for one in found.rdatas} != rdatas:
            raise Refused("NXRRSET")


def _known_or_not(part: Part, sets: Mapping[int, RRs]) -> None:
    """A name or set that is to be there (class ANY), or not (NONE)."""
    if part.rdata:
        raise Refused("FORMERR")
    if part.type != types.ANY:
        _check_type(part)
    is_there = bool(sets) if part.type == types.ANY else part.type in sets
    if part.cls == ANY and not is_there:
        raise Refused("NXDOMAIN" if part.type == types.ANY else "NXRRSET")
    if part.cls == NONE and is_there:
        raise Refused("YXDOMAIN" if part.type == types.ANY else "YXRRSET")


def _compared(type_: int, rdata: bytes) -> bytes:
    """Data as it is compared: the letter case of names in it does not matter."""
    return rdata.lower() if type_ in _NAMED else rdata


_NAMED = frozenset((types.NS, types.CNAME, types.PTR, types.DNAME, types.MX, types.SRV, types.SOA))


def _check_type(part: Part) -> None:
    if part.type in _META or part.type not in _KNOWN:
        raise Refused("FORMERR")
    if not is_supported(part.type):
        raise Refused("NOTIMP")


def _check_rdata(part: Part) -> None:
    """The data must be that of its type."""
    if not part.rdata and part.type not in _EMPTY:
        raise Refused("FORMERR")
    try:
        if part.type in fields.TABLE:
            fields.format(part.type, part.rdata)
    except (ValueError, IndexError, OverflowError):
        raise Refused("FORMERR") from None


_EMPTY = frozenset((types.TYPES["APL"], types.TYPES["NULL"]))


# Who may, and whether it can be (RFC 2136 §3.3, §3.4.1)


def permitted(parts: Iterable[Part], allows: Callable[[Key, int], bool]) -> None:
    """Raises Refused unless every record is allowed; a type of ANY stands for the whole name."""
    for part in parts:
        if not allows(part.owner, part.type):
            raise Refused("REFUSED")


def scanned(contents: Contents, parts: Iterable[Part]) -> None:
    """Raises Refused where a record of the update section is none that can be."""
    for part in parts:
        if not is_below(part.owner, contents.apex):
            raise Refused("NOTZONE")
        if part.cls == types.IN:
            _check_type(part)
            _check_rdata(part)
            is_soa = part.type == types.SOA
            if is_soa and (part.owner != contents.apex or not serial_of(part.rdata)):
                raise Refused("FORMERR")
        elif part.cls in {ANY, NONE} and not part.ttl:
            _scan_removal(part)
        else:
            raise Refused("FORMERR")


def _scan_removal(part: Part) -> None:
    if part.cls == NONE:
        _check_type(part)
        _check_rdata(part)
        return
    if part.rdata:
        raise Refused("FORMERR")
    if part.type != types.ANY:
        _check_type(part)


# What becomes of it (RFC 2136 §3.4.2)


def applied(contents: Contents, parts: Iterable[Part]) -> Contents:
    """The contents with all updates done; the same object where nothing changed.

    The serial grows by one unless the update brought a greater one.
    """
    changed: dict[Key, dict[int, RRs]] = {}
    for part in parts:
        sets = changed.get(part.owner)
        if sets is None:
            sets = dict(contents.names.get(part.owner, {}))
        _apply(contents.apex, part, sets)
        changed[part.owner] = sets
    fresh = {
        owner: sets for owner, sets in changed.items() if sets != contents.names.get(owner, {})
    }
    if not fresh:
        return contents
    old = contents.names[contents.apex][types.SOA]
    top = fresh.get(contents.apex) or dict(contents.names[contents.apex])
    if serial_of(top[types.SOA].rdatas[0]) == serial_of(old.rdatas[0]):
        soa = top[types.SOA]
        serial = (serial_of(soa.rdatas[0]) + 1) & 0xFFFFFFFF or 1
        rdata = soa.rdatas[0][:-20] + serial.to_bytes(4, "big") + soa.rdatas[0][-16:]
        fresh[contents.apex] = {**top, types.SOA: RRs(soa.ttl, (rdata,))}
    known, (count, size) = dict(contents.names), (contents.records_count, contents.size)
    for owner, sets in fresh.items():
        before, after = _measured(owner, known.pop(owner, {})), _measured(owner, sets)
        count, size = count + after[0] - before[0], size + after[1] - before[1]
        if sets:
            known[owner] = sets
    return Contents(contents.apex, known, count, size)


def _apply(apex: Key, part: Part, sets: dict[int, RRs]) -> None:
    """Does one update to the sets of its owner."""
    if part.cls == types.IN:
        _add(part, sets)
    elif part.type == types.ANY:
        for type_ in list(sets):
            if part.owner != apex or type_ not in {types.SOA, types.NS}:
                del sets[type_]
    elif part.owner == apex and (
        part.type == types.SOA or (part.type == types.NS and part.cls == ANY)
    ):
        return  # a zone keeps its SOA and NS
    elif part.cls == ANY:
        sets.pop(part.type, None)
    elif part.type in sets:
        _remove(apex, part, sets)


def _add(part: Part, sets: dict[int, RRs]) -> None:
    known = sets.get(part.type)
    if part.type == types.SOA:
        if known and is_newer(serial_of(part.rdata), serial_of(known.rdatas[0])):
            sets[types.SOA] = RRs(part.ttl, (part.rdata,))
        return
    if part.type == types.CNAME:
        if not set(sets) - {types.CNAME}:
            sets[types.CNAME] = RRs(part.ttl, (part.rdata,))
        return
    if types.CNAME in sets:
        return
    wanted = _compared(part.type, part.rdata)
    kept = known.rdatas if known else ()
    rest = tuple(one for one in kept if _compared(part.type, one) != wanted)
    same = part.rdata if len(rest) == len(kept) else next(o for o in kept if o not in rest)
    at = kept if len(rest) != len(kept) else (*kept, same)
    sets[part.type] = RRs(part.ttl, at)


def _remove(apex: Key, part: Part, sets: dict[int, RRs]) -> None:
    known, wanted = sets[part.type], _compared(part.type, part.rdata)
    rest = tuple(one for one in known.rdatas if _compared(part.type, one) != wanted)
    if rest:
        sets[part.type] = RRs(known.ttl, rest)
    elif part.type != types.NS or part.owner != apex:  # the last NS stays
        del sets[part.type]
