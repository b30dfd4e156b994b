"""Turns what a clause asks into a packet, and the packet that comes back into a Reply."""

import os
from dataclasses import dataclass

from kdns.conformance.clauses import Failed
from kdns.wire import names, rare, shown, types
from kdns.wire.message import RRset, WireError
from kdns.wire.parse import Message, parse


@dataclass(frozen=True, slots=True)
class Edns:
    """The OPT record of a query."""

    size: int = 1232
    version: int = 0
    flags: int = 0
    """All 16 bits; DO is 0x8000."""
    options: bytes = b""
    """Encoded: code, length, value, of each."""

    def record(self) -> bytes:
        """The record as it goes into the additional section."""
        ttl = self.version << 16 | self.flags
        size = len(self.options).to_bytes(2, "big")
        head = b"\0\0\x29" + self.size.to_bytes(2, "big") + ttl.to_bytes(4, "big")
        return head + size + self.options


def query(
    name: str | bytes,
    type_: str | int = "A",
    *,
    flags: int = types.RD,
    opcode: int = types.QUERY,
    cls: int = types.IN,
    edns: Edns | None = None,
) -> bytes:
    """A query with an id of its own. The name is text (absolute) or wire form."""
    wire = names.parse(name) if isinstance(name, str) else name
    number = types.parse_type(type_) if isinstance(type_, str) else type_
    head = os.urandom(2) + (flags | opcode << 11).to_bytes(2, "big") + b"\0\1\0\0\0\0"
    asked = wire + number.to_bytes(2, "big") + cls.to_bytes(2, "big")
    if edns is None:
        return head + b"\0\0" + asked
    return head + b"\0\1" + asked + edns.record()


@dataclass(frozen=True, slots=True)
class Reply:
    """A packet that came back, read."""

    packet: bytes
    message: Message
    transport: str
    took_s: float

    @property
    def rcode(self) -> str:
        """NOERROR, NXDOMAIN …, with the upper bits of the OPT."""
        return types.rcode_name(self.message.rcode)

    @property
    def flags(self) -> frozenset[str]:
        """The bits that are set: qr, aa, tc, rd, ra, ad, cd."""
        return frozenset(shown.flags(self.message).split())

    @property
    def soa(self) -> RRset | None:
        """The SOA in the authority section."""
        found = [rrset for rrset in self.message.authority if rrset.type == types.SOA]
        return found[0] if len(found) == 1 and len(found[0].rdatas) == 1 else None

    def rrsets(self, type_: str, section: str = "answer") -> list[RRset]:
        """The RRsets of a type in a section."""
        number = types.parse_type(type_)
        sections = {
            "answer": self.message.answer,
            "authority": self.message.authority,
            "additional": self.message.additional,
        }
        return [rrset for rrset in sections[section] if rrset.type == number]

    def values(self, type_: str, section: str = "answer") -> list[str]:
        """The records of a type in a section as text, sorted: `10.0.0.1`, `0 100 80 web.…`."""
        return sorted(
            rare.format_rdata(rrset.type, rdata)
            for rrset in self.rrsets(type_, section)
            for rdata in rrset.rdatas
        )

    def __str__(self) -> str:
        """In dig's shape."""
        return shown.show(self.message)


def read(packet: bytes, transport: str, took_s: float) -> Reply:
    """Reads a reply; one that cannot be read breaks whatever clause asked."""
    try:
        message = parse(packet)
    except (WireError, ValueError) as error:
        seen = f"{len(packet)} octets that are none ({error}): {packet[:64].hex()}"
        raise Failed("a DNS message", seen) from None
    if not message.flags & types.QR:
        raise Failed("a reply (QR set)", f"a query came back: {shown.show(message)}")
    return Reply(packet, message, transport, took_s)
