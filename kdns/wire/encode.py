"""Encodes an Answer into a WireAnswer: one whole message, and where it may be patched.

What most answers are is written in short here: addresses, SRV with glue or one name to go on with
at the question's name, or nothing but the SOA of a zone around it. wire.writer is the general way,
takes all that is declined here, and defines what is right: the bytes are the same.
`cut` turns a whole message into one that fits, records kept in order, OPT always, TC set.
"""

from itertools import accumulate
from struct import Struct as Layout

from kdns.wire import types
from kdns.wire.carried import Carried
from kdns.wire.message import Answer, Question, RRset
from kdns.wire.scan import skip_name
from kdns.wire.writer import MOST, WireAnswer, opt, write

__all__ = ["WireAnswer", "cut", "encode", "turned"]

_HEAD = Layout("!HHHHHH").pack
_RECORD = Layout("!HHHIH").pack
_POINTER = Layout("!H").pack
_ASKED = Layout("!HH").pack
_OPT = Layout("!BHHIH").pack
_COUNTS = Layout("!HHHH").unpack_from
_AT_QUESTION = 0xC00C
_REACH = 0x3FFF
"""The last offset that a pointer can lead to."""
_ADDRESSES = frozenset((types.A, types.AAAA))
_LEADING = frozenset((types.CNAME, types.PTR, types.NS))
"""Types whose rdata is one name that may be compressed."""

Written = tuple[bytes, int, int, tuple[int, int, int] | None, bool]
"""Records; how many of them answer, and how many are glue; the block to rotate; and whether they
carry the asker's letter case."""
_NOTHING: Written = (b"", 0, 0, None, False)


def encode(
    question: Question, answer: Answer, flags: int, *, now: float = 0.0, turn: float = 0.0
) -> WireAnswer:
    """Encodes the whole message; `flags` is the header's second word but for the rcode.

    `turn`, from 0 up to 1, chooses the first record where only turning beforehand will do.
    """
    if type(answer) is Carried and answer.cargo.key == question.key:
        return answer.write(question, flags, now)
    if answer.aging is None:
        short = _short(question, answer, flags)
        if short is not None:
            return short
    return write(question, answer, flags, now, turn)


def _short(question: Question, answer: Answer, flags: int) -> WireAnswer | None:
    """What most answers are; None for the others (perf: bench once)."""
    at = 16 + len(question.name)
    records = _NOTHING
    if answer.answer:
        written = _records(question, answer, at)
        if written is None:
            return None
        records = written
    elif answer.additional:
        return None
    body, count, more, block, is_bound = records
    serial_at: tuple[int, ...] = ()
    if answer.authority:
        soa = answer.authority[0]
        place = _place(question.key, soa.owner) if soa.compiled else 0
        if not place or more or len(answer.authority) > 1:
            return None  # glue comes behind it
        body += _POINTER(0xC000 | place).join(soa.compiled)
        if answer.serial is not None:
            serial_at = (at + len(body) - 20,)
    edns = b""
    if question.has_opt:
        more += 1
        if answer.ede or answer.options or answer.rcode > 15:
            edns = opt(question, answer)
        else:  # perf: bench once
            edns = _OPT(0, types.OPT, question.size, question.do << 15, 0)
    status = flags | answer.rcode & 0xF
    head = _HEAD(question.id, status, 1, count, len(answer.authority), more)
    asked = _ASKED(question.type, question.cls)
    wire = b"".join((head, question.name, asked, body, edns))
    opt_at = at + len(body) if edns else 0
    return WireAnswer(wire, at - 4, opt_at, block, (), serial_at, is_bound)


def _records(question: Question, answer: Answer, at: int) -> Written | None:
    """The records at the question's name from offset `at` on, and those that belong to them."""
    sets = answer.answer
    rrset = sets[0]
    type_, rdatas = rrset.type, rrset.rdatas
    count = len(rdatas)
    if rrset.owner != question.key or not 0 < count < MOST:
        return None
    if type_ in _ADDRESSES and len(sets) == 1 and not answer.additional:
        fixed = _RECORD(_AT_QUESTION, type_, rrset.cls, rrset.ttl, len(rdatas[0]))
        if count == 1:
            return fixed + rdatas[0], 1, 0, None, False
        turning = min(answer.first or count, count)
        block = (at, 12 + len(rdatas[0]), turning) if answer.rotate and turning > 1 else None
        return fixed + fixed.join(rdatas), count, 0, block, False
    if type_ == types.SRV and len(sets) == 1:
        return _services(question, rrset, answer.additional)
    if type_ in _LEADING and count == 1 and not answer.additional and not answer.first:
        return _led(question.key, sets, at, rotate=answer.rotate)
    return None


def _led(key: bytes, sets: tuple[RRset, ...], at: int, *, rotate: bool) -> Written | None:
    """One name to go on with, and the addresses there."""
    first = sets[0]
    target = first.rdatas[0]
    own, place = _meeting(key, target.lower())
    shown = target[:own] + _POINTER(0xC000 | place) if place else target
    body = _RECORD(_AT_QUESTION, first.type, first.cls, first.ttl, len(shown)) + shown
    if len(sets) == 1:
        return body, 1, 0, None, False
    there, rdatas = sets[1], sets[1].rdatas
    count = len(rdatas)
    if len(sets) > 2 or there.owner != target or there.type not in _ADDRESSES:
        return None
    if not 0 < count < MOST or target == b"\0":
        return None
    if own:
        place = at + 12
    size = len(rdatas[0])
    fixed = _RECORD(0xC000 | place, there.type, there.cls, there.ttl, size)
    block = (at + len(body), 12 + size, count) if rotate and count > 1 else None
    return body + fixed + fixed.join(rdatas), 1 + count, 0, block, False


def _place(key: bytes, name: bytes) -> int:
    """Where a folded name stands in the message, as the end of the question's; 0 if nowhere."""
    start = len(key) - len(name)
    if not key.endswith(name) or len(name) < 2:
        return 0
    at = 0
    while at < start:
        at += key[at] + 1
    return 12 + at if at == start else 0


def _meeting(key: bytes, name: bytes) -> tuple[int, int]:
    """How much of a folded name stands before what it shares with the question's at their ends, and
    where that stands in the message: 0 where they share nothing.
    """
    at = 0
    if key[-2:-1] == name[-2:-1]:  # perf: bench once PTR; few names go on
        while size := name[at]:
            place = _place(key, name[at:])
            if place:
                return at, place
            at += size + 1
    return len(name) - 1, 0


def _services(question: Question, rrset: RRset, additional: tuple[RRset, ...]) -> Written | None:
    """SRV records with their glue.

    Every target is the end of the question's name from some label on, or has one label before it.
    """
    key, rdatas = question.key, rrset.rdatas
    own, place = 0, _place(key, rdatas[0][6:])
    if not place:
        own = rdatas[0][6] + 1
        place = _place(key, rdatas[0][6 + own :])
        if not place:
            return None
    rest = key[place - 12 :]
    size = len(rest)
    for rdata in rdatas:
        if not rdata.endswith(rest) or len(rdata) != size + 6 + (own and rdata[6] + 1):
            return None
    places = _places(key, rdatas, place) if own else {rest: place}
    glue = None if places is None else _glue(additional, places, place)
    if glue is None:
        return None
    if question.name != key:
        asked = question.name[-size:]
        rdatas = tuple([rdata[:-size] + asked for rdata in rdatas])
    cls, ttl = rrset.cls, rrset.ttl
    records = []
    for rdata in rdatas:  # perf: bench once SRV; mostly one
        records.append(_RECORD(_AT_QUESTION, types.SRV, cls, ttl, len(rdata)) + rdata)  # noqa: PERF401
    return b"".join(records + glue), len(rdatas), len(glue), None, True


def _places(key: bytes, rdatas: tuple[bytes, ...], place: int) -> dict[bytes, int] | None:
    """Where the targets stand, by folded name: each where it comes first.

    They are one label longer than the end of the question's name that stands at `place`; None when
    one of them stands in the question as well.
    """
    targets = [rdata[6:].lower() for rdata in rdatas]
    starts = [*accumulate([len(rdata) + 12 for rdata in rdatas], initial=len(key) + 34)]
    places = dict(zip(reversed(targets), starts[-2::-1], strict=True))
    at = 0
    while (after := at + key[at] + 1) < place - 12:
        at = after
    return None if key[at:] in places else places


def _glue(additional: tuple[RRset, ...], places: dict[bytes, int], rest: int) -> list[bytes] | None:
    """Address records whose owners stand at these places; None when others are among them."""
    records: list[bytes] = []
    for rrset in additional:
        type_, rdatas = rrset.type, rrset.rdatas
        at = places.get(rrset.owner)
        if at is None or not rdatas or type_ not in _ADDRESSES:
            return None
        if at <= _REACH:
            fixed = _RECORD(0xC000 | at, type_, rrset.cls, rrset.ttl, len(rdatas[0]))
        else:
            fixed = _RECORD(0xC000 | rest, type_, rrset.cls, rrset.ttl, len(rdatas[0]))
            fixed = rrset.owner[: rrset.owner[0] + 1] + fixed
        for rdata in rdatas:
            records.append(fixed + rdata)  # noqa: PERF401 - perf: bench once SRV; mostly one
    return records if len(records) < MOST else None


def turned(wire: bytes, block: tuple[int, int, int], turn: float) -> bytes:
    """The message with its address block cut at the record that `turn` (0 up to 1) falls on."""
    start, stride, count = block
    mid, end = start + int(turn * count) * stride, start + count * stride
    return wire[:start] + wire[mid:end] + wire[start:mid] + wire[end:]


def cut(wire: bytes, name_end: int, opt_at: int, limit: int) -> bytes:
    """The message cut to `limit` octets at a record border, with TC; OPT stays (RFC 2181 §9)."""
    if len(wire) <= limit:
        return wire
    opt = wire[opt_at:] if opt_at else b""
    room = limit - len(opt)
    _, an, ns, ar = _COUNTS(wire, 4)
    kept = [0, 0, 0]
    at = name_end + 4
    for section, count in enumerate((an, ns, ar - 1 if opt else ar)):
        for _ in range(count):
            after = skip_name(wire, at) + 10
            after += wire[after - 2] << 8 | wire[after - 1]
            if after > room:
                break
            at = after
            kept[section] += 1
        if kept[section] < count:
            break
    if opt:
        kept[2] += 1
    flags = (wire[2] << 8 | wire[3]) | types.TC
    return _HEAD(wire[0] << 8 | wire[1], flags, 1, *kept) + wire[12:at] + opt
