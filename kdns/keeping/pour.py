"""A Source's records to the messages of a transfer: AXFR (RFC 5936) and IXFR (RFC 1995).

Messages are made as they are sent, each of a bounded size, so that neither the loop nor memory
notices how large the zone is.
"""

from collections.abc import Iterable, Iterator

from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key
from kdns.zone.transfers import Difference, Source

MESSAGE_BYTES = 16_000
"""Octets of records in a message; one large record may exceed it."""
MESSAGE_RECORDS = 300
"""A message is encoded in well under the 3 ms that a turn has."""


def whole(source: Source, zone: Key, plugin: str) -> Iterator[Answer]:
    """All records between two SOAs."""

    def records() -> Iterator[RRset]:
        soa = None
        for rrset in source.records(zone):
            soa = soa or rrset
            yield rrset
        if soa is not None:
            yield soa

    return _messages(records(), plugin)


def incremental(differences: Iterable[Difference], plugin: str) -> Iterator[Answer]:
    """The differences between two SOAs of the present (RFC 1995 §4)."""
    known = tuple(differences)

    def records() -> Iterator[RRset]:
        present = known[-1].new
        yield present
        for difference in known:
            yield difference.old
            yield from difference.removed
            yield difference.new
            yield from difference.added
        yield present

    return _messages(records(), plugin)


def _messages(rrsets: Iterable[RRset], plugin: str) -> Iterator[Answer]:
    held: list[RRset] = []
    size = count = 0
    for rrset in rrsets:
        for piece in _pieces(rrset):
            more = sum(map(len, piece.rdatas)) + 12 * len(piece.rdatas)
            if held and (
                size + more > MESSAGE_BYTES or count + len(piece.rdatas) > MESSAGE_RECORDS
            ):
                yield Answer(answer=tuple(held), flags=types.AA, plugin=plugin)
                held, size, count = [], 0, 0
            held.append(piece)
            size += more
            count += len(piece.rdatas)
    if held:
        yield Answer(answer=tuple(held), flags=types.AA, plugin=plugin)


def _pieces(rrset: RRset) -> Iterator[RRset]:
    """A large set in parts that each go into a message."""
    if len(rrset.rdatas) == 1:
        yield rrset
        return
    start = size = 0
    for at, rdata in enumerate(rrset.rdatas):
        if at > start and (size + len(rdata) > MESSAGE_BYTES or at - start >= MESSAGE_RECORDS):
            yield RRset(rrset.owner, rrset.type, rrset.ttl, rrset.rdatas[start:at], rrset.cls)
            start, size = at, 0
        size += len(rdata)
    yield RRset(rrset.owner, rrset.type, rrset.ttl, rrset.rdatas[start:], rrset.cls)
