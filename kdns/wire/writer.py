"""The general way to encode: any sections of any records become one message, name by name.

Names are compressed against the question and what was written before, never by a pointer past
offset 0x3FFF (RFC 1035 §4.1.4). A name that ends like the question takes the question's letter case
there, so plugins work in lower case and the asker still sees his own (CoreDNS does the same).
What wire.encode does in short for frequent answers is the same as this, byte for byte.
"""

from struct import Struct as Layout

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire import types
from kdns.wire.message import Answer, Question, RRset
from kdns.wire.scan import skip_name

_HEAD = Layout("!HHHHHH").pack
_FIXED = Layout("!HHIH").pack
_LENGTH_AT = Layout("!H").pack_into
_POINTER = Layout("!H").pack
_OPT = Layout("!BHHIH").pack
_OPTION = Layout("!HHH").pack

# Names inside rdata that may be compressed (RFC 3597 §4): octets before the first name, names.
_NAMES = {
    types.NS: (0, 1), types.CNAME: (0, 1), types.SOA: (0, 2), types.PTR: (0, 1), types.MX: (2, 1),
}  # fmt: skip
_ADDRESSES = frozenset((types.A, types.AAAA))
_AT_QUESTION = b"\xc0\x0c"
MOST = 0xFFFF
"""What a count can say. No message has room for that many; `cut` counts those that fit."""


class WireAnswer(Struct, gc=False):
    """A whole message for one question, and the places that differ by asker or by time."""

    wire: bytes
    name_end: int
    """Offset behind the question's name."""
    opt_at: int = 0
    """Offset of the OPT record, always the last one; 0 when there is none."""
    block: tuple[int, int, int] | None = None
    """(offset, stride, count) of address records of equal length that may be rotated."""
    ttl_at: tuple[int, ...] = ()
    serial_at: tuple[int, ...] = ()
    is_case_bound: bool = False
    """True when an uncompressed name carries the asker's letter case."""
    is_turned: bool = False
    """True when records were rotated before encoding, so that copying cannot."""


class _Writer:
    """The message being written, with the offsets of the names it holds."""

    __slots__ = ("ages", "case_bound", "known", "out", "question", "serial_at", "ttl_at")

    def __init__(self, question: Question, out: bytearray, *, ages: bool) -> None:
        self.question = question
        self.ages = ages
        self.out = out
        self.known: dict[bytes, int] = {}
        self.ttl_at: list[int] = []
        self.serial_at: list[int] = []
        self.case_bound = False

    def seed(self) -> dict[bytes, int]:
        """Learns the question's suffixes, when the first name needs them."""
        known, key = self.known, self.question.key
        at = 0
        while size := key[at]:
            known[key[at:]] = 12 + at
            at += size + 1
        known[b"\0"] = -1
        return known

    def name(self, name: bytes) -> None:
        """Writes a name, compressed."""
        known = self.known or self.seed()
        key = name.lower()
        here = len(self.out)
        at = 0
        while size := key[at]:
            suffix = key[at:]
            hit = known.get(suffix)
            if hit is not None:
                self.out += name[:at] + _POINTER(0xC000 | hit)
                return
            if here + at <= 0x3FFF:
                known[suffix] = here + at
            at += size + 1
        self.out += name

    def plain(self, name: bytes, here: int) -> bytes:
        """A name that must stay uncompressed, in the question's case where it ends like it.

        It will stand at offset `here`, and later names may point to it: the glue of SRV does.
        """
        known = self.known or self.seed()
        key, asked = name.lower(), self.question.name
        at = 0
        while size := key[at]:
            suffix = key[at:]
            hit = known.get(suffix)
            if hit is not None and hit < 12 + len(asked):
                self.case_bound = True
                return name[:at] + asked[hit - 12 :]
            if hit is None and here + at <= 0x3FFF:
                known[suffix] = here + at
            at += size + 1
        return name


def write(question: Question, answer: Answer, flags: int, now: float, turn: float) -> WireAnswer:
    """Encodes the whole message; the arguments are those of `encode`."""
    name = question.name
    end = 12 + len(name)
    out = bytearray(12)
    out += name + _POINTER(question.type) + _POINTER(question.cls)
    writer = _Writer(question, out, ages=answer.aging is not None)
    ttl = None
    if answer.aging is not None:
        stored, then = answer.aging
        ttl = max(then - max(int(now - stored), 0), 0)  # a query that waited began before
    block = None
    turned = False
    an = ns = ar = 0
    section, still = _parted(answer) if answer.first else (answer.answer, None)
    for rrset in section:
        is_turning = answer.rotate and rrset is not still and len(rrset.rdatas) > 1
        if is_turning and rrset.type in _ADDRESSES:
            block, rotated = _address_block(writer, rrset, ttl, block, turn)
            turned |= rotated
        else:
            _rrset(writer, rrset, ttl)
        an += len(rrset.rdatas)
    for rrset in answer.authority:
        _rrset(writer, rrset, ttl)
        ns += len(rrset.rdatas)
    for rrset in answer.additional:
        _rrset(writer, rrset, ttl)
        ar += len(rrset.rdatas)
    opt_at = 0
    if question.has_opt:
        opt_at = len(out)
        out += opt(question, answer)
        ar += 1
    counts = (min(an, MOST), min(ns, MOST), min(ar, MOST))
    out[:12] = _HEAD(question.id, flags | answer.rcode & 0xF, 1, *counts)
    return WireAnswer(
        bytes(out),
        end,
        opt_at,
        block,
        tuple(writer.ttl_at) if ttl is not None else (),
        tuple(writer.serial_at) if answer.serial is not None else (),
        writer.case_bound,
        turned,
    )


def _parted(answer: Answer) -> tuple[tuple[RRset, ...], RRset | None]:
    """The answer section with its addresses in two sets: those that come first, and the others,
    which are given once more. Some plugin may have taken all addresses out."""
    addresses = (at for at, rrset in enumerate(answer.answer) if rrset.type in _ADDRESSES)
    at = next(addresses, None)
    if at is None:
        return answer.answer, None
    whole, count = answer.answer[at], answer.first
    near = replace(whole, rdatas=whole.rdatas[:count])
    rest = replace(whole, rdatas=whole.rdatas[count:])
    return (*answer.answer[:at], near, rest, *answer.answer[at + 1 :]), rest


def opt(question: Question, answer: Answer) -> bytes:
    if not answer.ede and not answer.options:
        return _OPT(0, types.OPT, question.size, (answer.rcode >> 4) << 24 | question.do << 15, 0)
    options = answer.options
    for code, text in answer.ede:
        raw = text.encode()
        options += _OPTION(15, len(raw) + 2, code) + raw
    ttl = (answer.rcode >> 4) << 24 | (0x8000 if question.do else 0)
    return _OPT(0, types.OPT, question.size, ttl, len(options)) + options


def _address_block(
    writer: _Writer, rrset: RRset, ttl: int | None, block: tuple[int, int, int] | None, turn: float
) -> tuple[tuple[int, int, int] | None, bool]:
    """Writes addresses that may be rotated; says where, or that they were turned beforehand."""
    start, count = len(writer.out), len(rrset.rdatas)
    stride = 12 + len(rrset.rdatas[0])
    known = writer.known
    if rrset.owner != writer.question.key and not (known and rrset.owner.lower() in known):
        at = int(turn * count)
        rdatas = rrset.rdatas[at:] + rrset.rdatas[:at]
        rrset = RRset(rrset.owner, rrset.type, rrset.ttl, rdatas, rrset.cls)
        _rrset(writer, rrset, ttl)
        return block, True
    _rrset(writer, rrset, ttl)
    if block is None:
        return (start, stride, count), False
    if block[0] + block[1] * block[2] == start and block[1] == stride:
        return (block[0], stride, block[2] + count), False
    return block, False


def _rrset(writer: _Writer, rrset: RRset, ttl: int | None) -> None:
    out, ttl_at, type_ = writer.out, writer.ttl_at, rrset.type
    if ttl is None:
        ttl = rrset.ttl
    if type_ in _NAMES or type_ == types.SRV:
        _named(writer, rrset, ttl)
        return
    owner = _AT_QUESTION if rrset.owner == writer.question.key else None
    rdatas = rrset.rdatas
    if owner is not None and rdatas and not writer.ages and type_ in _ADDRESSES:
        # perf: bench once; one join instead of a loop over the records
        fixed = owner + _FIXED(type_, rrset.cls, ttl, len(rdatas[0]))
        out += fixed + fixed.join(rdatas)
        return
    for rdata in rdatas:
        if owner is None:
            start = len(out)
            writer.name(rrset.owner)
            if len(out) - start == 2:
                owner = bytes(out[start:])
        else:
            out += owner
        ttl_at.append(len(out) + 4)
        out += _FIXED(type_, rrset.cls, ttl, len(rdata)) + rdata


def _named(writer: _Writer, rrset: RRset, ttl: int) -> None:
    """Writes records whose rdata holds names."""
    out, type_ = writer.out, rrset.type
    for rdata in rrset.rdatas:
        if rrset.owner == writer.question.key:
            out += _AT_QUESTION
        else:
            writer.name(rrset.owner)
        writer.ttl_at.append(len(out) + 4)
        if type_ == types.SRV:
            target = writer.plain(rdata[6:], len(out) + 16)
            out += _FIXED(type_, rrset.cls, ttl, 6 + len(target)) + rdata[:6] + target
            continue
        out += _FIXED(type_, rrset.cls, ttl, 0)
        start = len(out)
        before, names = _NAMES[type_]
        out += rdata[:before]
        at = before
        for _ in range(names):
            end = skip_name(rdata, at)
            writer.name(rdata[at:end])
            at = end
        if type_ == types.SOA:
            writer.serial_at.append(len(out))
        out += rdata[at:]
        _LENGTH_AT(out, start - 2, len(out) - start)
