"""Two generations of a zone to what differs, and back: what incremental transfers are made of.

All in steps, and bounded: of zones that differ by much nothing is remembered, a transfer of the
whole says it as well.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from kdns.wire import names, types
from kdns.wire.message import RRset
from kdns.wire.names import Key
from kdns.zone.files.parse import Record, ZoneError
from kdns.zone.files.zone import STEP, Steps, Zone, serial_of
from kdns.zone.transfers import Difference

MOST = 5000
"""Records of a difference."""


def records(rrsets: Iterable[RRset]) -> Iterator[Record]:
    """The records of some RRsets, one by one."""
    for rrset in rrsets:
        owner = names.fold(rrset.owner)
        for rdata in rrset.rdatas:
            yield Record(owner, rrset.type, rrset.ttl, rdata, rrset.cls)


def differing(old: Zone, new: Zone) -> Steps[Difference | None]:
    """What leads from one generation to the next; None where that is too much."""
    removed: list[RRset] = []
    added: list[RRset] = []
    keys = chain(old.nodes, old.hashes, _new_names(old.nodes, new.nodes))
    for count, key in enumerate(chain(keys, _new_names(old.hashes, new.hashes))):
        if not count % STEP:
            yield
        gone, come = _sets(old, key), _sets(new, key)
        if gone == come:
            continue
        removed += [_only(one, come.get(at)) for at, one in gone.items() if one != come.get(at)]
        added += [_only(one, gone.get(at)) for at, one in come.items() if one != gone.get(at)]
        if len(removed) + len(added) > MOST:
            return None
    return Difference(old.soa, _full(removed), new.soa, _full(added))


def _new_names(old: Iterable[Key], new: Iterable[Key]) -> Iterator[Key]:
    return (key for key in new if key not in old)


def _sets(zone: Zone, key: Key) -> dict[int, RRset]:
    """The records of a name by type; signatures by the type they cover, negated."""
    node = zone.nodes.get(key) or zone.hashes.get(key)
    if node is None:
        return {}
    sets = {rrset.type: rrset for rrset in node.sets if rrset is not zone.soa}
    return sets | {-covered: rrset for covered, rrset in node.sigs}


def _only(rrset: RRset, other: RRset | None) -> RRset:
    """The records that the other set has not; all of them when the TTL changed."""
    if other is None or other.ttl != rrset.ttl:
        return rrset
    rdatas = tuple(rdata for rdata in rrset.rdatas if rdata not in other.rdatas)
    return RRset(rrset.owner, rrset.type, rrset.ttl, rdatas)


def _full(rrsets: list[RRset]) -> tuple[RRset, ...]:
    return tuple(rrset for rrset in rrsets if rrset.rdatas)


At = tuple[Key, int, bytes]


def applied(zone: Zone, differences: Iterable[Difference]) -> Iterator[Record]:
    """The records of a zone after some differences; raises ZoneError where they do not fit it."""
    gone: set[At] = set()
    come: dict[At, Record] = {}
    soa = _summed(zone, differences, gone, come)
    yield from records((soa,))
    for record in records(zone.rrsets()):
        if record.type == types.SOA:
            continue
        at = (record.owner, record.type, record.rdata)
        if at in gone:
            gone.discard(at)
        elif at not in come:
            yield record
    if gone:
        owner, type_, _ = gone.pop()
        what = f"{types.type_name(type_)} of {names.format(owner)}"
        raise ZoneError(f"a difference removes a record that is not there: {what}")
    yield from come.values()


def _summed(
    zone: Zone, differences: Iterable[Difference], gone: set[At], come: dict[At, Record]
) -> RRset:
    """What goes and what comes in all; the SOA in the end."""
    soa = zone.soa
    for difference in differences:
        if serial_of(difference.old) != serial_of(soa):
            raise ZoneError(f"a difference begins at serial {serial_of(difference.old)}")
        for record in records(difference.removed):
            at = (record.owner, record.type, record.rdata)
            if come.pop(at, None) is None:
                gone.add(at)
        for record in records(difference.added):
            come[record.owner, record.type, record.rdata] = record
        soa = difference.new
    return soa
