"""What an upstream's reply says to the question it was asked: octets into an Answer.

Records of the answer section that are not on the way from the question are dropped: no CNAME or
DNAME leads to their names, so whoever put them there answers what nobody asked. A reply that has
nothing else is no reply.
"""

from kdns.client.line import UpstreamError
from kdns.client.packets import read
from kdns.wire import names, types
from kdns.wire.carried import Carried, folded, screen
from kdns.wire.message import Answer, Question, RRset
from kdns.wire.names import Key

_KEPT = types.AA | types.TC | types.RA | types.AD
_ALL = frozenset((types.ANY, types.AXFR, types.IXFR))
"""Types whose answers are about more than one name."""
_LEADING = frozenset((types.CNAME, types.DNAME))
_MOST_NAMES = 64
"""Names that aliases may lead to; a hostile reply may have thousands of them."""
_ONE_ANSWER = b"\0\1\0\0"
_OPT = b"\0\0\x29"
_SIZES = {b"\0\1\0\1": 4, b"\0\x1c\0\1": 16}
"""Octets of an address, by type and class."""


def carried(reply: bytes, end: int, key: Key, plugin: str) -> Carried | None:
    """The reply as it came, where it is plain; its question, of this name, ends at `end`."""
    if reply[6:10] == _ONE_ANSWER and reply[end : end + 1] < b"\xc0":
        reply = _pointed(reply, end)
    cargo = screen(reply, end, key)
    if cargo is None:
        return None
    flags = reply[2] << 8 | reply[3]
    kept, options = flags & _KEPT, cargo.options
    return Carried(flags & 0xF, flags=kept, options=options, plugin=plugin, cargo=cargo)


def _pointed(reply: bytes, end: int) -> bytes:
    """A reply whose one address bears the whole name, with a pointer instead: CoreDNS has it so."""
    start = end + end - 16  # the name again: from 12 to where type and class begin
    size = _SIZES.get(reply[start : start + 4], 0)
    after = start + 10 + size
    rest = reply[10:12], reply[after : after + 3]
    is_alone = rest in ((b"\0\1", _OPT), (b"\0\0", b""))
    is_such = size and reply[start + 8 : start + 10] == size.to_bytes(2, "big")
    if not is_such or not is_alone or reply[end:start] != reply[12 : end - 4]:
        return reply
    return reply[:end] + b"\xc0\x0c" + reply[start:]


def answered(
    reply: bytes, question: Question, asked: tuple[Key, int], plugin: str, *, is_datagram: bool
) -> tuple[Answer, int]:
    """The reply as an Answer and the code in it; raises UpstreamError for what is none.

    Its EDNS options stay, those of the asker never reach here.
    """
    message = read(reply, is_datagram=is_datagram)
    code, (key, type_) = message.rcode, asked
    if code > 15 and not question.has_opt:
        why = f"extended code {types.rcode_name(code)} in reply without EDNS"
        ede = ((types.EDE_OTHER, why),)
        return Answer(rcode=types.SERVFAIL, plugin=plugin, error=why, ede=ede), code
    answer = folded(message.answer, question.name, key)
    if type_ not in _ALL:
        answer = on_the_way(answer, key)
        if message.answer and not answer:
            raise UpstreamError("bad reply: records of other names only")
    authority = folded(message.authority, question.name, key)
    found = Answer(
        code,
        answer,
        authority,
        message.additional,
        message.flags & _KEPT,
        options=message.options,
        plugin=plugin,
    )
    return found, code


def on_the_way(rrsets: tuple[RRset, ...], key: Key) -> tuple[RRset, ...]:
    """Those at the name, or at names that its CNAMEs and DNAMEs lead to, in whatever order."""
    if len(rrsets) == 1 and rrsets[0].owner == key:
        return rrsets
    leading = [rrset for rrset in rrsets if rrset.type in _LEADING]
    reached, fresh = {key}, {key}
    while fresh:
        fresh = {name for rrset in leading for name in _leads(rrset, fresh)} - reached
        reached |= fresh
        if len(reached) > _MOST_NAMES:
            raise UpstreamError("bad reply: its aliases lead too far")
    return tuple([rrset for rrset in rrsets if _is_reached(rrset, reached)])


def _leads(rrset: RRset, reached: set[Key]) -> list[Key]:
    owner = names.fold(rrset.owner)
    if rrset.type == types.CNAME and owner in reached:
        return [names.fold(rdata) for rdata in rrset.rdatas]
    if rrset.type == types.DNAME:
        below = [name for name in reached if name != owner and names.is_below(name, owner)]
        return [
            names.Key(name[: -len(owner)] + names.fold(rdata))
            for name in below
            for rdata in rrset.rdatas
            if len(name) - len(owner) + len(rdata) <= 255
        ]
    return []


def _is_reached(rrset: RRset, reached: set[Key]) -> bool:
    owner = names.fold(rrset.owner)
    if owner in reached:
        return True
    is_dname = rrset.type == types.DNAME or (
        rrset.type == types.RRSIG
        and any(rdata[:2] == types.DNAME.to_bytes(2, "big") for rdata in rrset.rdatas)
    )
    return is_dname and any(names.is_below(name, owner) for name in reached)


def recased(reply: bytes, question: bytes) -> bytes:
    """The reply to a question in mixed case, in the asker's: names that point at it follow."""
    return reply[:12] + question + reply[12 + len(question) :]
