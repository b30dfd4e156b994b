"""Carries an upstream's message on as bytes: screened, and rewritten only where askers differ.

A Carried is an Answer whose sections are parsed when somebody reads them; where nobody does, the
octets behind the question leave as they came, with another header, another OPT and other TTLs.
`screen` takes only what `parse` takes too, and of that only what is plain: names that are whole or
end in a pointer to one seen before, known record types in an order that needs no sorting, the OPT
last. All else is None and goes the general way, through `parse` and `encode`.
"""

from collections.abc import Generator, Sequence
from struct import Struct as Layout
from struct import error as _LayoutError

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire import types
from kdns.wire.message import Answer, Question, RRset
from kdns.wire.names import Key
from kdns.wire.parse import parse
from kdns.wire.writer import WireAnswer, opt

_HEADER = Layout("!HHHHHH").unpack_from
_HEAD = Layout("!HHHHHH").pack
_TWO = Layout("!HH").pack
_POINTED = Layout("!HHHIH").unpack_from
_FIXED = Layout("!HHIH").unpack_from
_TWO_FROM = Layout("!HH").unpack_from
_TTL = Layout("!I").pack
_TTL_INTO = Layout("!I").pack_into

_AT_QUESTION = 0xC00C
_OPT = b"\0\0\x29"
"""How an OPT begins: the root's name and the type."""
_LONGEST = 0x7FFFFFFF
"""The longest TTL; what is above it means 0 (RFC 2181 §8)."""

_FIRST, _OTHER, _ADDRESS, _LAST = range(4)
_ADDRESS_SIZES = {types.A: 4, types.AAAA: 16}
_ONE_ANSWER = b"\0\1\0\0\0"
"""One record that answers, none of authority, fewer than 256 others."""
_COUNTED = (1, 0, 0)
_FOUND = {type_: (type_,) for type_ in _ADDRESS_SIZES}
_NO_OPTIONS = bytes(6)
"""The rest of an OPT behind its size: version, flags and length."""
# What is not plain: names in rdata that must be written out, signatures that run out.
_ODD_NAMES = ("MB", "MG", "MR", "MD", "MF", "MINFO", "RP", "RT", "AFSDB", "KX", "PX", "SIG", "NXT")
_ODD = frozenset(
    (types.SRV, types.DNAME, types.NAPTR, types.RRSIG, types.OPT,
     *(types.TYPES[name] for name in _ODD_NAMES)),
)  # fmt: skip
# Octets before the first name of the rdata, names, octets behind the last one.
_NAMED = {
    types.NS: (0, 1, 0), types.CNAME: (0, 1, 0), types.PTR: (0, 1, 0), types.SOA: (0, 2, 20),
    types.MX: (2, 1, 0),
}  # fmt: skip
_PLACES = {types.CNAME: _FIRST, types.A: _ADDRESS, types.AAAA: _ADDRESS, types.MX: _LAST}
"""Where types stand in a section that `loadbalance` would leave as it is."""
_SECTIONS = frozenset(("answer", "authority", "additional"))

Sections = tuple[tuple[RRset, ...], tuple[RRset, ...], tuple[RRset, ...]]


class Cargo(Struct, gc=False):
    """A screened message: its records' octets, and what a cache or an encoder asks of them."""

    key: Key
    """The question's name, folded. Names may point at it: only for it do the octets make sense."""
    message: bytes
    start: int
    """Offset behind the question."""
    end: int
    """Offset behind the last record but the OPT."""
    counts: tuple[int, int, int]
    ttl_at: Sequence[int]
    least_ttl: int
    has_one_ttl: bool
    """True also where there are no records."""
    found: tuple[int, ...]
    """The types in the answer section."""
    authority: tuple[int, ...]
    """Those in the authority section."""
    block: tuple[int, int, int] | None
    """(offset, stride, count) of the addresses, where there is more than one."""
    options: bytes
    """Those of the upstream's OPT."""
    parsed: Sections | None = None

    def sections(self) -> Sections:
        """The records, the asked name folded in them."""
        if self.parsed is None:
            message = parse(self.message)
            asked, key = self.message[12 : self.start - 4], self.key
            self.parsed = (
                folded(message.answer, asked, key),
                folded(message.authority, asked, key),
                message.additional,
            )
        return self.parsed


def folded(rrsets: tuple[RRset, ...], asked: bytes, key: Key) -> tuple[RRset, ...]:
    """The records with the asked name in lower case: the encoder gives each asker his own."""
    if asked == key:
        return rrsets
    return tuple([replace(one, owner=key) if one.owner == asked else one for one in rrsets])


class Carried(Answer, frozen=True, gc=False, kw_only=True):
    """An Answer that still is a message. Reading its sections parses it; `but` keeps it whole."""

    cargo: Cargo
    ttl: int | None = None
    """The one TTL of all records (`cache`); None leaves the upstream's."""

    def _section(self, at: int) -> tuple[RRset, ...]:
        rrsets = self.cargo.sections()[at]
        if self.ttl is None:
            return rrsets
        return tuple([replace(rrset, ttl=self.ttl) for rrset in rrsets])

    @property  # type: ignore[misc]  # frozen: a field that is never written
    def answer(self) -> tuple[RRset, ...]:
        return self._section(0)

    @property  # type: ignore[misc]  # frozen: a field that is never written
    def authority(self) -> tuple[RRset, ...]:
        return self._section(1)

    @property  # type: ignore[misc]  # frozen: a field that is never written
    def additional(self) -> tuple[RRset, ...]:
        return self._section(2)

    def __await__(self) -> Generator[None, None, Answer]:
        """Itself, at once: what is not exactly an Answer is waited for (plugins.base)."""
        yield from ()
        return self

    def but(self, **changes: object) -> Answer:
        """A copy with some fields changed; with other records it carries no message any more."""
        if _SECTIONS.isdisjoint(changes):
            return replace(self, **changes)
        return replace(self.opened(), **changes)

    def least_ttl(self, otherwise: int) -> int:
        """The smallest TTL of all records, or what is to stand for it where there are none."""
        if not self.cargo.ttl_at:
            return otherwise
        return self.cargo.least_ttl if self.ttl is None else self.ttl

    def settled(self, ttl: int) -> "Carried":
        """The same with one TTL, and without what is of this moment: its age, EDNS options."""
        return Carried(  # perf: bench forward; half the price of `but`
            self.rcode, (), (), (), self.flags, self.serial, self.rotate, self.first, None,
            self.ede, b"", self.plugin, self.error, self.live, self.forced,
            cargo=self.cargo, ttl=ttl,
        )  # fmt: skip

    def opened(self) -> Answer:
        """The same as an ordinary Answer."""
        return Answer(
            self.rcode,
            self.answer,
            self.authority,
            self.additional,
            self.flags,
            self.serial,
            self.rotate,
            self.first,
            self.aging,
            self.ede,
            self.options,
            self.plugin,
            self.error,
            self.live,
            self.forced,
        )

    def write(self, question: Question, flags: int, now: float) -> WireAnswer:
        """The whole message for an asker of this very name."""
        cargo, ttl = self.cargo, self.ttl
        if self.aging is not None:
            stored, then = self.aging
            ttl = max(then - max(int(now - stored), 0), 0)  # a query that waited began before
        an, ns, ar = cargo.counts
        end = b""
        if question.has_opt:
            end, ar = opt(question, self), ar + 1
        head = _HEAD(question.id, flags | self.rcode & 0xF, 1, an, ns, ar)
        head += question.name + _TWO(question.type, question.cls)
        message, ttl_at = cargo.message, cargo.ttl_at
        if ttl is None or (cargo.has_one_ttl and ttl == cargo.least_ttl):
            wire = head + message[cargo.start : cargo.end] + end
        elif len(ttl_at) == 1:
            at = ttl_at[0]
            before, after = message[cargo.start : at], message[at + 4 : cargo.end]
            wire = b"".join((head, before, _TTL(ttl), after, end))
        else:
            out = bytearray(head + message[cargo.start : cargo.end] + end)
            for at in ttl_at:
                _TTL_INTO(out, at, ttl)
            wire = bytes(out)
        return WireAnswer(
            wire,
            cargo.start - 4,
            len(wire) - len(end) if end else 0,
            cargo.block if self.rotate else None,
            tuple(ttl_at) if self.aging is not None else (),
        )


def screen(message: bytes, start: int, key: Key) -> Cargo | None:
    """What a reply carries behind its question, which ends at `start`; None where it is not plain.

    The question must have been checked: one, of this name. TC does not matter here.
    """
    try:
        return _single(message, start, key) or _several(message, start, key)
    except (IndexError, _LayoutError):
        return None


def _single(message: bytes, start: int, key: Key) -> Cargo | None:
    """One address at the question's name, and an OPT or none.

    perf: bench forward; what most replies are, at a third of the price.
    """
    if message[6:11] != _ONE_ANSWER or message[11] > 1:
        return None
    owner, type_, cls, ttl, length = _POINTED(message, start)
    end = start + 12 + length
    is_plain = owner == _AT_QUESTION and cls == types.IN and length == _ADDRESS_SIZES.get(type_)
    if not is_plain or ttl > _LONGEST or end > len(message):
        return None
    options = b""
    if message[11] and (message[end : end + 3] != _OPT or message[end + 5 :] != _NO_OPTIONS):
        given = _options(message, end)
        if given is None:
            return None
        options = given
    at = (start + 6,)
    return Cargo(
        key, message, start, end, _COUNTED, at, ttl, True, _FOUND[type_], (), None, options
    )


def _several(message: bytes, start: int, key: Key) -> Cargo | None:
    """Any number of records."""
    _, _, _, *counts = _HEADER(message)
    sight = _Sight(message, start, key)
    at = start
    for section in (0, 1, 2):
        place = _FIRST
        for left in range(counts[section], 0, -1):
            if section == 2 and left == 1 and message[at : at + 3] == _OPT:
                options = _options(message, at)
                counts[2] -= 1
                return None if options is None else sight.cargo(at, counts, options)
            at = sight.record(at, section)
            here = _PLACES.get(sight.type, _OTHER)
            if at < 0 or here < place:
                return None
            place = here
    return sight.cargo(at, counts, b"")


def _options(message: bytes, at: int) -> bytes | None:
    """The options of an OPT at `at`; None where it is not plain."""
    if message[at : at + 3] != _OPT:
        return None
    _, _, ttl, length = _FIXED(message, at + 1)
    options = message[at + 11 : at + 11 + length]
    if len(options) != length or ttl >> 24:
        return None
    at = 0
    while at < length:
        at += 4 + _TWO_FROM(options, at)[1]
    return options if at == length else None


class _Sight:
    """What has been seen of a message so far. Offsets below zero mean: not plain."""

    def __init__(self, message: bytes, start: int, key: Key) -> None:
        self.message = message
        self.start = start
        self.key = key
        self.type = 0
        self.ttl_at: list[int] = []
        self.ttls: list[int] = []
        self.types: tuple[list[int], list[int], list[int]] = ([], [], [])
        self.run: tuple[int, int, int] | None = None
        self.run_head = b""
        self.way = {12}
        """Offsets of the names that the question and its CNAMEs lead to."""
        self.names = {12: len(key)}
        """Octets of the name that begins at an offset, for all that pointers may lead to."""

    def record(self, at: int, section: int) -> int:
        """Looks at a record; gives the offset behind it."""
        message, begin = self.message, at
        if message[at] == 0:
            at += 1
        else:
            at = self.name(at)
            if at < 0 or message[at - 2] < 0xC0:
                return -1  # written out, in a letter case that may be one asker's
        if not section and (at - begin != 2 or self._pointed(begin) not in self.way):
            return -1  # not on the way from the question, or not plainly
        type_, cls, ttl, length = _FIXED(message, at)
        end = at + 10 + length
        if cls != types.IN or type_ in _ODD or ttl > _LONGEST or end > len(message):
            return -1
        self.type = type_
        if type_ == types.CNAME and not section:
            self.way.add(self._pointed(at + 10))
        self.types[section].append(type_)
        self.ttl_at.append(at + 4)
        self.ttls.append(ttl)
        if type_ in _ADDRESS_SIZES:
            is_right = length == _ADDRESS_SIZES[type_] and (
                section or self._runs_on(begin, at, end)
            )
            return end if is_right else -1
        return end if type_ not in _NAMED or self._is_named(type_, at + 10, end) else -1

    def _pointed(self, at: int) -> int:
        """Where the name at an offset stands, if it is no more than a pointer."""
        size, rest = self.message[at], self.message[at + 1]
        return (size & 0x3F) << 8 | rest if size >= 0xC0 else at

    def _runs_on(self, begin: int, at: int, end: int) -> bool:
        """True while the addresses of the answer section are of one set, one behind the other."""
        head = self.message[begin : at + 10]
        if at - begin != 2 or (self.run is not None and head != self.run_head):
            return False
        first, stride, count = self.run or (begin, end - begin, 0)
        self.run, self.run_head = (first, stride, count + 1), head
        return True

    def _is_named(self, type_: int, at: int, end: int) -> bool:
        before, names, after = _NAMED[type_]
        at += before
        for _ in range(names):
            at = self.name(at)
            if at < 0:
                return False
        return at + after == end

    def name(self, at: int) -> int:
        """Looks at a name; gives the offset behind it."""
        message = self.message
        here, begins = at, []
        size = message[here]
        while 0 < size < 64:
            begins.append(here)
            here += size + 1
            size = message[here]
        octets = here - at + 1
        if size:
            rest = self._behind((size & 0x3F) << 8 | message[here + 1]) if size >= 0xC0 else 0
            if not rest:
                return -1
            octets += rest - 1
            here += 1
        if octets > 255:
            return -1
        for begin in begins:
            self.names[begin] = octets - (begin - at)
        return here + 1

    def _behind(self, target: int) -> int:
        """Octets of the name a pointer leads to, 0 where none is known to begin."""
        names = self.names
        if target not in names and target < self.start:
            at, octets = 12, len(self.key)
            while octets > 1:
                size = self.message[at] + 1
                at, octets = at + size, octets - size
                names[at] = octets
        return names.get(target, 0)

    def cargo(self, end: int, counts: list[int], options: bytes) -> Cargo:
        """All that was seen."""
        ttls, (answer, authority, _) = self.ttls, self.types
        least = min(ttls, default=0)
        return Cargo(
            self.key,
            self.message,
            self.start,
            end,
            (counts[0], counts[1], counts[2]),
            self.ttl_at,
            least,
            max(ttls, default=0) == least,
            tuple(answer),
            tuple(authority),
            self.run if self.run and self.run[2] > 1 else None,
            options,
        )
