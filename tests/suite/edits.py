"""What faults are made of: when a fault shows, and what it does to a reply."""

from collections.abc import Callable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from kdns.wire import types
from tests.suite.planted import Edit, Said

When = Callable[[Said], bool]
Change = Callable[[dns.message.Message], None]
OPT = b"\0\0\x29"
"""How an OPT record begins."""


def where(when: When, edit: Edit) -> Edit:
    """The edit for replies that it is about; others stay."""
    return lambda said: edit(said) if when(said) else said.reply


def flags(*, put: int = 0, take: int = 0) -> Edit:
    """Header bits set and cleared."""

    def edit(said: Said) -> bytes:
        bits = (int.from_bytes(said.reply[2:4], "big") | put) & ~take
        return said.reply[:2] + bits.to_bytes(2, "big") + said.reply[4:]

    return edit


def rcode(code: int) -> Edit:
    """Another code in the header."""
    return lambda said: (
        flags(take=0xF)(said)[:3] + bytes((said.reply[3] & 0xF0 | code,)) + (said.reply[4:])
    )


def changed(change: Change) -> Edit:
    """The message changed as dnspython holds it, each record an RRset of its own."""

    def edit(said: Said) -> bytes:
        message = said.message
        assert message is not None, f"a reply that dnspython cannot read: {said.reply.hex()}"
        change(message)
        return message.to_wire(max_size=65535)

    return edit


def full_rcode(code: int) -> Edit:
    """Another code, the upper bits in the OPT too."""
    return changed(lambda message: message.set_rcode(dns.rcode.Rcode(code)))


def without(section: str, type_: str) -> Edit:
    """No records of a type in a section."""
    number = dns.rdatatype.from_text(type_)

    def change(message: dns.message.Message) -> None:
        records = getattr(message, section)
        records[:] = [record for record in records if record.rdtype != number]

    return changed(change)


def without_opt() -> Edit:
    """No OPT."""
    return changed(lambda message: message.use_edns(False))


# When


def every(*conditions: When) -> When:
    """All of them."""
    return lambda said: all(condition(said) for condition in conditions)


def name(*starts: str) -> When:
    """The name asked for begins so, in whichever case."""
    return lambda said: said.name.lower().startswith(starts)


def type_(*words: str) -> When:
    """The type asked for is one of these."""
    return lambda said: said.type in map(types.parse_type, words)


def tcp(said: Said) -> bool:
    """Asked over TCP."""
    return said.tcp


def udp(said: Said) -> bool:
    """Asked over UDP."""
    return not said.tcp


def edns(said: Said) -> bool:
    """Asked with EDNS that dnspython can read."""
    return said.asked is not None and said.asked.edns >= 0


def plain(said: Said) -> bool:
    """Asked without EDNS, readably."""
    return said.asked is not None and said.asked.edns < 0


def code(*names: str) -> When:
    """The right response code, of the header."""
    return lambda said: said.reply[3] & 0xF in [types.RCODES[one] for one in names]


def cut(said: Said) -> bool:
    """The right reply has TC."""
    return bool(said.reply[2] & 2)


def empty(said: Said) -> bool:
    """The right reply has no answer, and is no error but NXDOMAIN."""
    return said.reply[3] & 0xF in (0, types.NXDOMAIN) and said.reply[6:8] == b"\0\0"


def version(*numbers: int) -> When:
    """The EDNS version asked with."""
    return lambda said: said.asked is not None and said.asked.edns in numbers


def edns_flags(bits: int) -> When:
    """The EDNS flags asked with, all of them."""
    return lambda said: said.asked is not None and said.asked.ednsflags & 0xFFFF == bits


def options(*codes: int) -> When:
    """The codes of the EDNS options asked with, in order."""
    return lambda said: (
        said.asked is not None
        and codes == tuple(int(option.otype) for option in said.asked.options)
    )


def size(*octets: int) -> When:
    """The size in the OPT asked with."""
    return lambda said: edns(said) and said.asked is not None and said.asked.payload in octets


def bits(mask: int) -> When:
    """Some of these header bits are set in the query."""
    return lambda said: bool(int.from_bytes(said.query[2:4], "big") & mask)


def counts(*numbers: int) -> When:
    """The four counts of the query."""
    expected = b"".join(number.to_bytes(2, "big") for number in numbers)
    return lambda said: said.query[4:12] == expected


def unreadable(said: Said) -> bool:
    """The query's question cannot be read, though its header says that it has one only."""
    return said.asked is None and counts(1, 0, 0, 0)(said)
