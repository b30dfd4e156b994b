"""Scans a packet into a Question without an object per label.

Contract: for any bytes, `scan` returns a Question or raises WireError, whose rcode says what the
asker gets: FORMERR, NOTIMP or (None) silence. The ladder and its order are CoreDNS's (facts C.1).
"""

from collections.abc import Callable, Collection
from struct import Struct
from struct import error as _StructError

from kdns.wire import types
from kdns.wire.message import Question, WireError
from kdns.wire.names import Key

_HEADER = Struct("!HHQ").unpack_from
_COUNTS = Struct("!HHHHHH").unpack_from
_lower: Callable[[bytes], Key] = bytes.lower  # type: ignore[assignment]
"""`names.fold` in one step (perf: bench once)."""
_OPTED = 1 << 48 | 1
"""The counts of a question and an OPT."""
_USUAL = frozenset((_OPTED, 1 << 48))
"""The counts of nearly all packets."""
_FIXED = Struct("!HHIH").unpack_from
_TWO = Struct("!HH").unpack_from
_OPT = Struct("!BHHIH").unpack_from


def scan(  # noqa: C901 - perf: bench once; a call is 0.1 µs
    packet: bytes, admitted: Collection[int] = ()
) -> Question:
    """Reads header, question and OPT; checks that the counted records are there.

    `admitted` are opcodes that are taken beside QUERY and NOTIFY, with any number of records.
    """
    if len(packet) < 12:
        raise WireError("short")
    id_, flags, counts = _HEADER(packet)
    if counts not in _USUAL or flags & 0xF800:
        _check_header(packet, admitted)
    at = 12
    try:
        while size := packet[at]:
            if size > 63:
                # A pointer in the only question can lead nowhere but into the header.
                raise WireError("question", types.FORMERR)
            at += size + 1
        at += 1
        type_, cls = _TWO(packet, at)
    except (IndexError, _StructError):
        raise WireError("question", types.FORMERR) from None
    if at > 267:
        raise WireError("name", types.FORMERR)
    name = packet[12:at]
    key = _lower(name)
    if counts == _OPTED and len(packet) >= at + 15:
        # perf: bench once, noisy; the usual OPT, and nothing behind it
        root, opt, size, ttl, length = _OPT(packet, at + 4)
        if opt == types.OPT and len(packet) == at + 15 + length and not root | ttl & 0xFF0000:
            do = ttl & 0x8000 != 0
            if not length:
                return Question(id_, flags, name, key, type_, cls, True, size, 0, do)
            block = packet[at + 15 :]
            if _is_whole(block):
                return Question(id_, flags, name, key, type_, cls, True, size, 0, do, block)
    if at + 4 == len(packet):
        return Question(id_, flags, name, key, type_, cls)
    _, _, _, an, ns, ar = _COUNTS(packet)
    size, version, do, block, has_opt = _records(packet, at + 4, an + ns, ar)
    return Question(id_, flags, name, key, type_, cls, has_opt, size, version, do, block)


def _check_header(packet: bytes, admitted: Collection[int]) -> None:
    _, flags, qd, an, ns, ar = _COUNTS(packet)
    if flags & types.QR:
        raise WireError("response")
    opcode = flags >> 11 & 0xF
    if opcode not in (types.QUERY, types.NOTIFY, *admitted):
        raise WireError("opcode", types.NOTIMP)
    if qd != 1 or (opcode not in admitted and (an > 1 or ns > 1 or ar > 2)):
        raise WireError("counts", types.FORMERR)


def _records(
    packet: bytes, start: int, others: int, additional: int
) -> tuple[int, int, bool, bytes, bool]:
    """The OPT's facts, from the records behind the question."""
    try:
        return _walk(packet, start, others, additional)
    except (IndexError, _StructError):
        raise WireError("record", types.FORMERR, start) from None
    except WireError as error:
        raise WireError(error.cause, types.FORMERR, start) from None


def _walk(
    packet: bytes, at: int, others: int, additional: int
) -> tuple[int, int, bool, bytes, bool]:
    """Counts may promise more than there is, if the packet ends between records (CoreDNS)."""
    found = (512, 0, False, b"", False)
    for place in range(others + additional):
        if at == len(packet):
            break
        is_root = packet[at] == 0
        at = skip_name(packet, at)
        type_, size, ttl, length = _FIXED(packet, at)
        at += 10 + length
        if at > len(packet):
            raise WireError("record", types.FORMERR)
        if type_ == types.OPT and place >= others:
            block = packet[at - length : at]
            if not is_root or found[4] or not _is_whole(block):
                raise WireError("opt", types.FORMERR)  # RFC 6891 §6.1.1
            found = (size, ttl >> 16 & 0xFF, ttl & 0x8000 != 0, block, True)
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


def _is_whole(block: bytes) -> bool:
    """True when a block of EDNS options ends where its last option does."""
    if len(block) >= 4 and len(block) == 4 + (block[2] << 8 | block[3]):
        return True  # perf: bench noisy; one option, mostly a cookie
    at = 0
    while at + 4 <= len(block):
        at += 4 + (block[at + 2] << 8 | block[at + 3])
    return at == len(block)
