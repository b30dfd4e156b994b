"""Scans a packet into a Question without an object per label.

Contract: for any bytes, `scan` returns a Question or raises WireError, whose rcode says what the
asker gets: FORMERR, NOTIMP or (None) silence. The ladder and its order are CoreDNS's (facts C.1).
"""

from struct import Struct
from struct import error as _StructError

from kdns.wire import types
from kdns.wire.message import Question, WireError
from kdns.wire.names import Key

_HEADER = Struct("!HHHHHH").unpack_from
_FIXED = Struct("!HHIH").unpack_from
_TWO = Struct("!HH").unpack_from


def scan(packet: bytes) -> Question:
    """Reads header, question and OPT; checks that the counted records are there."""
    if len(packet) < 12:
        raise WireError("short")
    id_, flags, qd, an, ns, ar = _HEADER(packet)
    if flags & types.QR:
        raise WireError("response")
    opcode = flags >> 11 & 0xF
    if opcode not in (types.QUERY, types.NOTIFY):
        raise WireError("opcode", types.NOTIMP)
    if qd != 1 or an > 1 or ns > 1 or ar > 2:
        raise WireError("counts", types.FORMERR)
    at = 12
    try:
        while size := packet[at]:
            if size > 63:
                return _compressed(packet)
            at += size + 1
        at += 1
        if at > 267:
            raise WireError("name", types.FORMERR)
        type_, cls = _TWO(packet, at)
    except (IndexError, ValueError, _StructError):
        raise WireError("question", types.FORMERR) from None
    name = packet[12:at]
    key = Key(name.lower())
    if ar or an or ns:
        size, version, do, options, has_opt = _records(packet, at + 4, an + ns, ar)
        return Question(id_, flags, name, key, type_, cls, has_opt, size, version, do, options)
    return Question(id_, flags, name, key, type_, cls)


def _compressed(packet: bytes) -> Question:
    # A pointer in the only question can lead nowhere but into the header.
    raise WireError("question", types.FORMERR)


def _records(
    packet: bytes, at: int, others: int, additional: int
) -> tuple[int, int, bool, bytes, bool]:
    """Walks the records behind the question; returns the OPT's facts."""
    found = (512, 0, False, b"", False)
    try:
        for place in range(others + additional):
            start = at
            at = skip_name(packet, at)
            type_, size, ttl, length = _FIXED(packet, at)
            at += 10 + length
            if at > len(packet):
                raise WireError("record", types.FORMERR)
            if type_ == types.OPT:
                if packet[start] or found[4] or place < others:
                    raise WireError("opt", types.FORMERR)  # RFC 6891 §6.1.1
                options = packet[at - length : at]
                if length:
                    _check_options(options)
                found = (size, ttl >> 16 & 0xFF, bool(ttl & 0x8000), options, True)
    except (IndexError, _StructError):
        raise WireError("record", types.FORMERR) from None
    return found


def skip_name(packet: bytes, at: int) -> int:
    """The offset behind the name at `at`, compressed or not; the target is not followed."""
    while size := packet[at]:
        if size >= 0xC0:
            packet[at + 1]
            return at + 2
        if size > 63:
            raise WireError("label", types.FORMERR)
        at += size + 1
    return at + 1


def options(block: bytes) -> list[tuple[int, bytes]]:
    """The EDNS options in a block that `scan` has checked, as (code, value)."""
    out = []
    at = 0
    while at < len(block):
        code, length = _TWO(block, at)
        out.append((code, block[at + 4 : at + 4 + length]))
        at += 4 + length
    return out


def _check_options(block: bytes) -> None:
    at = 0
    while at < len(block):
        if at + 4 > len(block):
            raise WireError("opt", types.FORMERR)
        at += 4 + (block[at + 2] << 8 | block[at + 3])
    if at != len(block):
        raise WireError("opt", types.FORMERR)
