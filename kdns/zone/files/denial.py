"""Proofs that something is not there: NSEC (RFC 4035 §3.1.3) and NSEC3 (RFC 5155 §7.2) of a zone.

Each function gives the records that prove one kind of absence, with their signatures, each once. A
zone with neither, or with more rounds of hashing than anybody accepts, gives none.
"""

from bisect import bisect_left
from collections.abc import Iterable
from hashlib import sha1

from kdns.wire import names, types
from kdns.wire.dnssec import format_hash
from kdns.wire.message import RRset
from kdns.wire.names import Key
from kdns.zone.files.zone import Node, Zone, canonical

MOST_ROUNDS = 150
"""RFC 9276 §3.2: resolvers take such zones for unsigned anyway."""
_STAR = b"\x01*"


def denied(zone: Zone, key: Key, encloser: Key) -> list[RRset]:
    """No such name, and no wildcard in its place."""
    star = Key(_STAR + encloser)
    if zone.nsec3:
        return _records(
            (_match(zone, encloser), _cover(zone, _next_closer(key, encloser)), _cover(zone, star))
        )
    return _records((_before(zone, key), _before(zone, star)))


def missing(zone: Zone, node: Node, key: Key) -> list[RRset]:
    """The name is there, or the wildcard in its place, but no such records."""
    if not zone.nsec3:
        return _records((node if node.get(types.NSEC) else _before(zone, node.key),))
    if node.key != key:  # what else a wildcard's denial needs is said by `expanded`
        return _records((_match(zone, names.parent(node.key)), _match(zone, node.key)))
    return _closest(zone, key)


def expanded(zone: Zone, key: Key, encloser: Key) -> list[RRset]:
    """No such name: that is why a wildcard answered."""
    if zone.nsec3:
        return _records((_cover(zone, _next_closer(key, encloser)),))
    return _records((_before(zone, key),))


def delegated(zone: Zone, cut: Node) -> list[RRset]:
    """The delegation is not signed: there is no DS."""
    if zone.nsec3:
        return _closest(zone, cut.key)
    return _records((cut,))


def _closest(zone: Zone, key: Key) -> list[RRset]:
    """The name's own record; where it is left out (opt-out), what encloses it (RFC 5155 §7.2.4)."""
    own = _match(zone, key)
    if own is not None or key == zone.apex:
        return _records((own,))
    above = names.parent(key)
    while above != zone.apex and _match(zone, above) is None:
        above = names.parent(above)
    return _records((_match(zone, above), _cover(zone, _next_closer(key, above))))


def _next_closer(key: Key, encloser: Key) -> Key:
    """The name one label longer than its closest encloser."""
    while names.parent(key) != encloser:
        key = names.parent(key)
    return key


def _records(nodes: Iterable[Node | None]) -> list[RRset]:
    found: dict[Key, list[RRset]] = {}
    for node in nodes:
        if node is None:
            continue
        for type_ in (types.NSEC, types.NSEC3):
            rrset, sig = node.get(type_), node.sig(type_)
            if rrset is not None:
                found[node.key] = [rrset] if sig is None else [rrset, sig]
    return [rrset for both in found.values() for rrset in both]


def _before(zone: Zone, key: Key) -> Node | None:
    """The owner of an NSEC that stands before a name that is not there."""
    if not zone.nsec:
        return None
    return zone.nodes[zone.nsec[bisect_left(zone.nsec, (canonical(key),)) - 1][1]]


def _match(zone: Zone, key: Key) -> Node | None:
    hashed = _hash(zone, key)
    return zone.hashes.get(Key(bytes((len(hashed),)) + hashed + zone.apex)) if hashed else None


def _cover(zone: Zone, key: Key) -> Node | None:
    hashed = _hash(zone, key)
    if not hashed:
        return None
    return zone.hashes[zone.nsec3[bisect_left(zone.nsec3, (hashed,)) - 1][1]]


def _hash(zone: Zone, key: Key) -> bytes:
    """The label that a name hashes to (RFC 5155 §5); empty where that cannot be said."""
    param = zone.top.get(types.TYPES["NSEC3PARAM"])
    if param is None:
        return b""
    rdata = param.rdatas[0]
    if len(rdata) < 5:
        return b""
    rounds, salt = rdata[2] << 8 | rdata[3], rdata[5 : 5 + rdata[4]]
    if rdata[0] != 1 or rounds > MOST_ROUNDS:
        return b""
    digest = sha1(key + salt, usedforsecurity=False).digest()
    for _ in range(rounds):
        digest = sha1(digest + salt, usedforsecurity=False).digest()
    return format_hash(digest).encode()
