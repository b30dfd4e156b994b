"""Two replies become the list of fields in which they differ, and the reasons we expect it for.

Records are compared as sorted lists, owner case and TTL exactly. Only what differs by nature is
masked: the serial of the cluster zones, and which records a truncated reply happened to keep.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from tests.differential.clusters import Cluster
from tests.differential.corefiles import Config
from tests.differential.questions import Asked

FLAGS = ("QR", "AA", "TC", "RD", "RA", "AD", "CD")
SECTIONS = ("answer", "authority", "additional")
CUT_SLACK = 2
"""Truncated replies may hold so many records more or less: order and letter case decide what fits."""
Record = tuple[str, int, str, str, str]


@dataclass(frozen=True)
class Case:
    """A question, where it was asked, and both replies."""

    asked: Asked
    config: Config
    cluster: Cluster | None
    theirs: bytes | None
    ours: bytes | None

    @cached_property
    def their_fields(self) -> dict[str, Any]:
        """CoreDNS' reply by field."""
        return fields(self.theirs)

    @cached_property
    def our_fields(self) -> dict[str, Any]:
        """The reply of kdns by field."""
        return fields(self.ours)

    @cached_property
    def differing(self) -> set[str]:
        """The fields that differ."""
        theirs, ours = self.their_fields, self.our_fields
        names = theirs.keys() | ours.keys()
        if theirs.get("TC") or ours.get("TC"):  # which records were kept is chance
            cut = {n: (len(theirs.get(n, ())), len(ours.get(n, ()))) for n in SECTIONS}
            rest = {n for n in names - set(SECTIONS) if theirs.get(n) != ours.get(n)}
            return rest | {n for n, (a, b) in cut.items() if abs(a - b) > CUT_SLACK}
        slack = 1 if "cache" in self.config.words else 0
        return {n for n in names if not _same(n, theirs.get(n), ours.get(n), slack)}


_EDE = 15


def fields(wire: bytes | None) -> dict[str, Any]:
    """A reply by field; no reply and unreadable ones have a single one."""
    if wire is None:
        return {"reply": "none"}
    opcode = wire[2] >> 3 & 15 if len(wire) > 12 else 0
    if opcode == 5 and wire[6:10] == bytes(4):
        # dnspython wants an SOA in the question of an UPDATE; servers need not.
        wire = wire[:2] + bytes([wire[2] & 0x87]) + wire[3:]
    try:
        message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    except dns.exception.DNSException as error:
        return {"reply": f"unreadable, {error!r}: {wire.hex()}"}
    found: dict[str, Any] = {"reply": "one", "rcode": dns.rcode.to_text(message.rcode())}
    found["opcode"] = opcode
    found |= {flag: bool(message.flags & dns.flags.from_text(flag)) for flag in FLAGS}
    found["question"] = [(r.name.to_text(), r.rdtype, r.rdclass) for r in message.sections[0]]
    for number, section in enumerate(SECTIONS, 1):
        found[section] = sorted(_record(rrset) for rrset in message.sections[number])
    found["edns"] = _edns(message)
    return found


def _record(rrset: Any) -> Record:  # Any: dnspython's RRset is untyped here
    type_ = dns.rdatatype.to_text(rrset.rdtype)
    words = rrset[0].to_text() if len(rrset) else ""
    if type_ == "SOA" and words.lower().startswith("ns.dns."):
        parts = words.split()
        words = " ".join([*parts[:2], "SERIAL", *parts[3:]])
    return rrset.name.to_text(), rrset.ttl, str(int(rrset.rdclass)), type_, words


def _edns(message: dns.message.Message) -> Any:
    if message.edns < 0:
        return None
    options = [(int(option.otype), option.to_wire()) for option in message.options]
    return {
        "version": message.edns,
        "size": message.payload,
        "flags": message.ednsflags,
        "options": options,
    }


def _same(name: str, theirs: Any, ours: Any, slack: int) -> bool:
    if name == "edns" and theirs and ours:  # we say why in more cases (RFC 8914)
        left = [one for one in ours["options"] if one[0] != _EDE or one in theirs["options"]]
        ours = {**ours, "options": left}
    if theirs == ours:
        return True
    if not slack or not isinstance(theirs, list) or name not in SECTIONS:
        return False
    if not isinstance(ours, list) or len(theirs) != len(ours):
        return False
    return _without_ttl(theirs) == _without_ttl(ours) and all(
        abs(a[1] - b[1]) <= slack for a, b in zip(_by_data(theirs), _by_data(ours), strict=True)
    )


def _without_ttl(records: list[Record]) -> list[tuple[str, ...]]:
    return sorted((owner, cls, type_, data) for owner, _, cls, type_, data in records)


def _by_data(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (r[0], *r[2:], r[1]))
