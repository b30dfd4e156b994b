"""Tells what a reply is worth to a cache: success or denial, for how long, or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from struct import Struct

from kdns.wire import types
from kdns.wire.carried import Carried
from kdns.wire.message import Answer, RRset

SUCCESS, DENIAL = "success", "denial"

PLAIN_TTL = 5
"""TTL of replies without records, and of those whose records mean nothing: errors, delegations."""
_PERIOD = Struct("!II").unpack_from


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for the TTLs of one kind."""

    most: int
    least: int

    def clamp(self, ttl: int) -> int:
        """The TTL within bounds; the upper one wins (CoreDNS)."""
        # perf: bench forward; min and max cost 0.3 µs
        ttl = ttl if ttl > self.least else self.least
        return ttl if ttl < self.most else self.most


def is_failure(answer: Answer) -> bool:
    """True for codes that speak of the server, not of the name."""
    return answer.rcode in {types.SERVFAIL, types.NOTIMP}


def kind(answer: Answer, type_: int, *, signed_at: int | None) -> str:
    """Success or denial; empty for what may not be kept and whose TTLs mean nothing.

    Signatures must be valid at `signed_at` (Unix time); None where nobody looks at them.
    """
    if type_ in {types.AXFR, types.IXFR}:
        return ""
    if signed_at is not None and _has_expired(answer, signed_at):
        return ""
    has_soa = _has_authority(answer, types.SOA)
    if answer.rcode == types.NXDOMAIN:
        return DENIAL if has_soa and not _found(answer) else ""
    if answer.rcode != types.NOERROR:
        return ""
    return DENIAL if has_soa and not _answers(answer, type_) else SUCCESS


def is_unfinished(answer: Answer, type_: int) -> bool:
    """True for a reply that was cut, and for a CNAME chain that leads to nothing."""
    if answer.flags & types.TC:
        return True
    if not _found(answer) or _answers(answer, type_):
        return False
    return not _has_authority(answer, types.SOA)


def least_ttl(answer: Answer) -> int:
    """The smallest TTL of all records."""
    is_referral = not _found(answer) and not _has_authority(answer, types.SOA)
    if is_referral and _has_authority(answer, types.NS):
        return PLAIN_TTL
    if type(answer) is Carried:
        return answer.least_ttl(PLAIN_TTL)
    every = answer.answer + answer.authority + answer.additional
    return min([rrset.ttl for rrset in every]) if every else PLAIN_TTL


def settled(answer: Answer, ttl: int) -> Answer:
    """The answer with one TTL on every record and without EDNS options of others."""
    if type(answer) is Carried:
        is_same = answer.cargo.has_one_ttl and answer.least_ttl(ttl) == ttl
        if is_same and not answer.options and not answer.aging:
            return answer
        return answer.settled(ttl)
    found = _at(answer.answer, ttl)
    authority = _at(answer.authority, ttl)
    additional = _at(answer.additional, ttl)
    is_same = found is answer.answer and authority is answer.authority
    if is_same and additional is answer.additional and not answer.options and not answer.aging:
        return answer
    return answer.but(
        answer=found, authority=authority, additional=additional, options=b"", aging=None
    )


def _at(rrsets: tuple[RRset, ...], ttl: int) -> tuple[RRset, ...]:
    for rrset in rrsets:
        if rrset.ttl != ttl:
            return tuple([RRset(one.owner, one.type, ttl, one.rdatas, one.cls) for one in rrsets])
    return rrsets


def _answers(answer: Answer, type_: int) -> bool:
    """True when records of the asked type are there, not only the way to where they would be."""
    found = _found(answer)
    return bool(found) and (type_ == types.ANY or type_ in found)


def _found(answer: Answer) -> Sequence[int]:
    """The types in the answer section."""
    if type(answer) is Carried:
        return answer.cargo.found
    return [rrset.type for rrset in answer.answer]


def _has_authority(answer: Answer, type_: int) -> bool:
    if type(answer) is Carried:
        return type_ in answer.cargo.authority
    return _holds(answer.authority, type_)


def _holds(rrsets: tuple[RRset, ...], type_: int) -> bool:
    # perf: any() over a generator costs three times as much on a cache miss
    for rrset in rrsets:  # noqa: SIM110
        if rrset.type == type_:
            return True
    return False


def _has_expired(answer: Answer, now: int) -> bool:
    """True when a signature is not valid now (RFC 4034 §3.1.5); one that is carried has none."""
    if type(answer) is Carried:
        return False
    return any(
        (expiration - now) % 2**32 >= 2**31 or (now - inception) % 2**32 >= 2**31
        for rrset in chain(answer.answer, answer.authority, answer.additional)
        if rrset.type == types.RRSIG
        for rdata in rrset.rdatas
        if len(rdata) > 18
        for expiration, inception in (_PERIOD(rdata, 8),)
    )
