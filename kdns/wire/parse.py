"""Parses a whole message, as an upstream sends it, into RRsets with uncompressed rdata.

Contract: for any bytes, `parse` returns a Message or raises WireError. Pointers must point back,
names hold at most 255 octets, and every offset a pointer leads through is resolved once, so that
the work is linear in the message however its names are knotted.
"""

from struct import Struct as Layout
from struct import error as _LayoutError

from msgspec import Struct

from kdns.wire import types
from kdns.wire.message import RRset, WireError

_HEADER = Layout("!HHHHHH").unpack_from
_FIXED = Layout("!HHIH").unpack_from
_TWO = Layout("!HH").unpack_from

# Rdata with names in it that senders may have compressed, RFC 3597 §4 and liberally more:
# octets before the first name, names, octets behind the last one (-1: any number).
_NAMED = {
    types.NS: (0, 1, 0), types.CNAME: (0, 1, 0), types.PTR: (0, 1, 0), types.DNAME: (0, 1, 0),
    types.TYPES["MB"]: (0, 1, 0), types.TYPES["MG"]: (0, 1, 0), types.TYPES["MR"]: (0, 1, 0),
    types.TYPES["MD"]: (0, 1, 0), types.TYPES["MF"]: (0, 1, 0),
    types.SOA: (0, 2, 20), types.TYPES["MINFO"]: (0, 2, 0), types.TYPES["RP"]: (0, 2, 0),
    types.MX: (2, 1, 0), types.TYPES["RT"]: (2, 1, 0), types.TYPES["AFSDB"]: (2, 1, 0),
    types.TYPES["KX"]: (2, 1, 0), types.TYPES["PX"]: (2, 2, 0), types.SRV: (6, 1, 0),
    types.TYPES["SIG"]: (18, 1, -1), types.TYPES["NXT"]: (0, 1, -1), types.NAPTR: (-1, 1, 0),
}  # fmt: skip
_ADDRESS_SIZES = {types.A: 4, types.AAAA: 16}


class Message(Struct, frozen=True, gc=False):
    """A message with all its records; the OPT is taken out of `additional` into fields."""

    id: int
    flags: int
    """The header's second 16 bits, the low bits of the rcode included."""
    rcode: int
    """With the upper bits that an OPT adds."""
    questions: tuple[tuple[bytes, int, int], ...]
    """(name with its letter case, type, class) of each."""
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    has_opt: bool = False
    size: int = 512
    version: int = 0
    do: bool = False
    options: bytes = b""


def parse(message: bytes) -> Message:
    """Reads header, questions, every record and the OPT; octets behind them are ignored."""
    if len(message) < 12:
        raise WireError("short")
    id_, flags, qd, an, ns, ar = _HEADER(message)
    known: dict[int, bytes] = {}
    questions = []
    try:
        at = 12
        for _ in range(qd):
            start = at
            name, at = read_name(message, at, known)
            known[start] = name
            questions.append((name, *_TWO(message, at)))
            at += 4
        answer: tuple[RRset, ...] = ()
        authority: tuple[RRset, ...] = ()
        additional: tuple[RRset, ...] = ()
        opt = None
        if an:
            answer, at, _ = _section(message, at, an, known)
        if ns:
            authority, at, _ = _section(message, at, ns, known)
        if ar:
            additional, at, opt = _section(message, at, ar, known, may_hold_opt=True)
    except (IndexError, _LayoutError):
        raise WireError("end") from None
    if opt is None:
        return Message(id_, flags, flags & 0xF, tuple(questions), answer, authority, additional)
    size, ttl, options = opt
    return Message(
        id_,
        flags,
        ttl >> 24 << 4 | flags & 0xF,
        tuple(questions),
        answer,
        authority,
        additional,
        True,
        size,
        ttl >> 16 & 0xFF,
        bool(ttl & 0x8000),
        options,
    )


def _section(
    message: bytes, at: int, count: int, known: dict[int, bytes], *, may_hold_opt: bool = False
) -> tuple[tuple[RRset, ...], int, tuple[int, int, bytes] | None]:
    """Reads `count` records; neighbours of one owner, type, class and TTL become one RRset."""
    out: list[RRset] = []
    opt = None
    head: tuple[bytes, int, int, int] | None = None
    rdatas: list[bytes] = []
    for _ in range(count):
        owner, at = read_name(message, at, known)
        type_, cls, ttl, length = _FIXED(message, at)
        at += 10
        end = at + length
        if end > len(message):
            raise WireError("end")
        if type_ == types.OPT:
            if opt is not None or not may_hold_opt or owner != b"\0":
                raise WireError("opt")  # RFC 6891 §6.1.1
            opt = (cls, ttl, _options(message[at:end]))
            at = end
            continue
        rdata = read_rdata(message, at, end, (type_, cls), known)
        at = end
        if ttl > 0x7FFFFFFF:
            ttl = 0  # RFC 2181 §8
        here = (owner, type_, cls, ttl)
        if here != head or cls != types.IN:
            if head is not None:
                out.append(RRset(head[0], head[1], head[3], tuple(rdatas), head[2]))
            head, rdatas = here, [rdata]
        else:
            rdatas.append(rdata)
    if head is not None:
        out.append(RRset(head[0], head[1], head[3], tuple(rdatas), head[2]))
    return tuple(out), at, opt


def _options(block: bytes) -> bytes:
    at = 0
    while at < len(block):
        at += 4 + _TWO(block, at)[1]
    if at != len(block):
        raise WireError("opt")
    return block


def read_rdata(
    message: bytes, at: int, end: int, kind: tuple[int, int], known: dict[int, bytes]
) -> bytes:
    """The uncompressed rdata of a type and class between two offsets."""
    type_, cls = kind
    shape = _NAMED.get(type_)
    if shape is None:
        # The encoder and every reader of ours rely on the size of addresses.
        if cls == types.IN and end - at != _ADDRESS_SIZES.get(type_, end - at):
            raise WireError("address")
        return message[at:end]
    before, names, after = shape
    if before < 0:
        before = _naptr_head(message, at)
    start = at
    at += before
    out = message[start:at]
    for _ in range(names):
        name, at = read_name(message, at, known)
        out += name
    if at > end or (after >= 0 and end - at != after):
        raise WireError("rdata")
    return out + message[at:end]


def _naptr_head(message: bytes, at: int) -> int:
    """The octets before NAPTR's name: two numbers and three strings (RFC 3403 §4.1)."""
    here = at + 4
    for _ in range(3):
        here += message[here] + 1
    return here - at


def read_name(message: bytes, at: int, known: dict[int, bytes]) -> tuple[bytes, int]:
    """The uncompressed name at `at`, and the offset behind it."""
    start = at
    while size := message[at]:
        if size > 63:
            if size < 0xC0:
                raise WireError("label")
            target = (size & 0x3F) << 8 | message[at + 1]
            rest = known.get(target) or _follow(message, target, start, known)
            if at == start:
                return rest, at + 2
            name = message[start:at] + rest
            if len(name) > 255:
                raise WireError("name")
            return name, at + 2
        at += size + 1
    at += 1
    if at - start > 255:
        raise WireError("name")
    return message[start:at], at


def _follow(message: bytes, target: int, before: int, known: dict[int, bytes]) -> bytes:
    """The name a pointer leads to; every offset on the way is known from then on."""
    steps: list[tuple[int, int]] = []
    at = target
    if target >= before:
        raise WireError("pointer")
    while (name := known.get(at)) is None:
        size = message[at]
        if size == 0:
            name = b"\0"
            break
        if size < 64:
            steps.append((at, at + size + 1))
            at += size + 1
            continue
        if size < 0xC0:
            raise WireError("label")
        steps.append((at, at))
        before, target = target, (size & 0x3F) << 8 | message[at + 1]
        if target >= before:
            raise WireError("pointer")
        at = target
    for start, end in reversed(steps):
        name = message[start:end] + name
        if len(name) > 255:
            raise WireError("name")
        known[start] = name
    return name
