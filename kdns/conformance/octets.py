"""A reply record by record as it stands on the wire, for clauses about what readers even out.

Raises Failed where the octets are no message: what that breaks is the clause that looks so closely.
"""

from dataclasses import dataclass
from struct import Struct
from struct import error as _LayoutError

from kdns.conformance.clauses import Failed
from kdns.wire import types

_HEADER = Struct("!HHHHHH")
_FIXED = Struct("!HHIH")
_OPAQUE = 64
"""Below this an octet is the length of a label."""
_POINTER = 0xC0
_NAMES_IN = {
    types.NS: (0, 1), types.CNAME: (0, 1), types.PTR: (0, 1), types.SOA: (0, 2), types.MX: (2, 1),
}  # fmt: skip
"""Octets before the names in rdata that may be compressed (RFC 3597 §4), and their number."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, its TTL and its OPT fields as they were sent."""

    section: str
    type: int
    cls: int
    ttl: int
    rdata: bytes


@dataclass(frozen=True, slots=True)
class Walked:
    """A whole message."""

    questions: bytes
    """The question section as sent."""
    records: tuple[Record, ...]
    end: int
    """Where the last record ends."""

    def of(self, type_: int) -> list[Record]:
        """All records of a type, in whichever section."""
        return [record for record in self.records if record.type == type_]


def walk(packet: bytes) -> Walked:
    """Reads a message; every compression pointer must lead back to where a label began."""
    try:
        return _Walk(packet).message()
    except (IndexError, _LayoutError):
        raise Failed("a whole message", f"it ends within a record: {packet.hex()}") from None


class _Walk:
    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.at = _HEADER.size
        self.labels: set[int] = set()
        """Where labels and final octets stand that a pointer may lead to."""

    def message(self) -> Walked:
        _, _, count, *counts = _HEADER.unpack_from(self.packet)
        for _ in range(count):
            self.name()
            self.at += 4
        questions = self.packet[_HEADER.size : self.at]
        sections = zip(("answer", "authority", "additional"), counts, strict=True)
        records = tuple(self.record(section) for section, many in sections for _ in range(many))
        if self.at > len(self.packet):
            raise IndexError
        return Walked(questions, records, self.at)

    def name(self) -> None:
        """Steps over a name."""
        while (size := self.packet[self.at]) and size < _OPAQUE:
            self.labels.add(self.at)
            self.at += size + 1
        if size and size < _POINTER:
            raise Failed("labels of 63 octets at most", f"a label type of {size:#x}")
        if not size:
            self.labels.add(self.at)
            self.at += 1
            return
        target = (size & 0x3F) << 8 | self.packet[self.at + 1]
        if target not in self.labels:
            raise Failed(
                "compression pointers to names that stand before them",
                f"a pointer at octet {self.at} to octet {target}: {self.packet.hex()}",
            )
        self.labels.add(self.at)
        self.at += 2

    def record(self, section: str) -> Record:
        """Reads a record."""
        self.name()
        type_, cls, ttl, length = _FIXED.unpack_from(self.packet, self.at)
        self.at += _FIXED.size
        start, end = self.at, self.at + length
        before, names = _NAMES_IN.get(type_, (0, 0))
        self.at += before
        for _ in range(names):
            self.name()
        if self.at > end or end > len(self.packet):
            raise Failed("records as long as they say", f"{length} octets of {self.packet.hex()}")
        self.at = end
        return Record(section, type_, cls, ttl, self.packet[start:end])
