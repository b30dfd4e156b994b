"""What a libc sends, and what it reads from the replies: header, question, addresses, aliases."""

import re
import socket
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from struct import Struct

from kdns.client.packets import asking
from kdns.client.search_terms import Heard
from kdns.wire import names, types
from kdns.wire.message import RRset, WireError
from kdns.wire.parse import parse

ADDRESSES = frozenset({types.A, types.AAAA})
_COUNTS = Struct("!HHHHHH").unpack_from
_HOST = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_MOST_ALIASES = 64
"""More than any reply of 64 KiB needs that is not a loop."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question of a look-up, as a packet under id 0."""

    name: bytes
    type: int
    packet: bytes
    question: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as its header gives itself out; its records are those that could be read."""

    type: int
    rcode: int
    count: int
    """Of records in the answer section."""
    flags: int
    is_lame: bool
    """NOERROR without records, from one that neither knows nor would ask: a referral."""
    answer: tuple[RRset, ...] = field(default=())

    @property
    def is_found(self) -> bool:
        """True when it says to have records."""
        return self.rcode == types.NOERROR and self.count > 0


def literal(name: str) -> str:
    """The address that a name is, written as glibc and musl read one; empty when it is none."""
    try:
        return socket.inet_ntoa(socket.inet_aton(name)) if not name[-1:].isspace() else ""
    except (OSError, ValueError):  # ValueError: text that is none for C
        pass
    try:
        return str(IPv6Address(name))
    except ValueError:
        return ""


def is_host(name: str) -> bool:
    """True when glibc takes it for the name of a host; it asks for no other."""
    return _HOST.fullmatch(name) is not None


def query(name: bytes, type_: int, options: frozenset[str] = frozenset()) -> Query:
    """The packet for a name; of the options, `edns0` and `trust-ad` are seen in it."""
    flags = types.RD | (types.AD if "trust-ad" in options else 0)
    opt = (_EDNS_SIZE, False, b"") if "edns0" in options else None
    packet, question = asking(name, type_, types.IN, flags, opt)
    return Query(name, type_, packet, question)


_EDNS_SIZE = 1200
"""What glibc offers, whatever it could take."""


def read(asked: Query, heard: Heard, shortest: int, *, is_strict: bool) -> Reply | None:
    """The reply; None where the libc waits on: another id and, if strict, another question."""
    message = heard.reply
    if message is None or len(message) < shortest or message[:2] != asked.packet[:2]:
        return None
    size = len(asked.question)
    if is_strict and message[12 : 12 + size].lower() != asked.question.lower():
        return None
    _, flags, _, count, _, additional = _COUNTS(message.ljust(12, b"\0"))
    rcode = flags & 0xF
    is_lame = not (rcode or count or additional or flags & (types.AA | types.RA))
    try:
        answer = parse(message).answer
    except WireError:
        answer = ()
    return Reply(asked.type, rcode, count, flags, is_lame, answer)


def aliases(name: bytes, answer: tuple[RRset, ...]) -> bytes:
    """Where the CNAMEs of a reply lead from a name."""
    targets = {
        names.fold(rrset.owner): rrset.rdatas[0]
        for rrset in answer
        if rrset.type == types.CNAME and rrset.cls == types.IN
    }
    for _ in range(_MOST_ALIASES):
        target = targets.get(names.fold(name))
        if target is None:
            break
        name = target
    return name


def addresses(reply: Reply, owner: bytes | None = None) -> tuple[str, ...]:
    """The addresses in a reply, of this owner or of any."""
    return tuple(
        names.format_address(rdata)
        for rrset in reply.answer
        if rrset.type == reply.type and rrset.type in ADDRESSES and rrset.cls == types.IN
        if owner is None or names.fold(rrset.owner) == names.fold(owner)
        for rdata in rrset.rdatas
    )


def wire_name(text: str) -> bytes | None:
    """The absolute name as wire bytes; None when it cannot be one."""
    try:
        return names.parse(text)
    except (ValueError, UnicodeError):
        return None
