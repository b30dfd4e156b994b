"""Changes whole answers: renames owners and the names inside rdata, bounds TTLs."""

from collections.abc import Callable
from struct import error as _StructError

from msgspec.structs import replace

from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key

Rename = Callable[[bytes], bytes]
"""Turns a wire name into another, or returns it as it was."""

_BEFORE = {
    types.NS: 0, types.CNAME: 0, types.PTR: 0, types.DNAME: 0, types.SOA: 0, types.MX: 2,
    types.SRV: 6,
}  # fmt: skip
"""Octets of rdata before its (first) name, by type: what CoreDNS rewrites, SOA's second not."""


def rename(answer: Answer, owner: Rename | None, value: Rename | None) -> Answer:
    """The answer with every owner and every name in rdata renamed."""
    sections = (answer.answer, answer.authority, answer.additional)
    done = [tuple(_rename(rrset, owner, value) for rrset in rrsets) for rrsets in sections]
    return answer.but(answer=done[0], authority=done[1], additional=done[2])


def _rename(rrset: RRset, owner: Rename | None, value: Rename | None) -> RRset:
    name = owner(rrset.owner) if owner else rrset.owner
    rdatas = rrset.rdatas
    if value and (rrset.type in _BEFORE or rrset.type == types.NAPTR):
        rdatas = tuple(_in_rdata(rrset.type, rdata, value) for rdata in rdatas)
    if name is rrset.owner and rdatas == rrset.rdatas:
        return rrset
    return replace(rrset, owner=name, rdatas=rdatas)


def _in_rdata(type_: int, rdata: bytes, value: Rename) -> bytes:
    try:
        at = _behind_strings(rdata) if type_ == types.NAPTR else _BEFORE[type_]
        end = at
        while rdata[end]:
            end += rdata[end] + 1
    except (IndexError, _StructError):
        return rdata
    return rdata[:at] + value(rdata[at : end + 1]) + rdata[end + 1 :]


def _behind_strings(rdata: bytes) -> int:
    at = 4
    for _ in range(3):
        at += rdata[at] + 1
    return at


def below(old: Key, new: Key) -> Rename:
    """Brings `new`, and every name below it, back to `old`."""

    def back(name: bytes) -> bytes:
        key = names.fold(name)
        if not names.is_below(key, new):
            return name
        mapped = key[: len(key) - len(new)] + old
        return mapped if len(mapped) < 256 else name

    return back


def clamp_ttls(answer: Answer, low: int, high: int) -> Answer:
    """The answer with every TTL within bounds."""
    sections = (answer.answer, answer.authority, answer.additional)
    done = [
        tuple(replace(rrset, ttl=min(max(rrset.ttl, low), high)) for rrset in rrsets)
        for rrsets in sections
    ]
    return answer.but(answer=done[0], authority=done[1], additional=done[2])
