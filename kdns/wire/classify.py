"""Tells what a reply is worth to a cache: success or denial, for how long, or nothing."""

from collections.abc import Iterable
from itertools import chain
from struct import Struct

from kdns.wire import types
from kdns.wire.message import Answer, RRset

SUCCESS, DENIAL = "success", "denial"

PLAIN_TTL = 5
"""TTL of replies without records, and of those whose records mean nothing: errors, delegations."""
_PERIOD = Struct("!II").unpack_from


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
    has_soa = _holds(answer.authority, types.SOA)
    if answer.rcode == types.NXDOMAIN:
        return DENIAL if has_soa and not answer.answer else ""
    if answer.rcode != types.NOERROR:
        return ""
    return DENIAL if has_soa and not _answers(answer, type_) else SUCCESS


def is_unfinished(answer: Answer, type_: int) -> bool:
    """True for a reply that was cut, and for a CNAME chain that leads to nothing."""
    if answer.flags & types.TC:
        return True
    if not answer.answer or _answers(answer, type_):
        return False
    return not _holds(answer.authority, types.SOA)


def least_ttl(answer: Answer) -> int:
    """The smallest TTL of all records."""
    is_referral = not answer.answer and not _holds(answer.authority, types.SOA)
    if is_referral and _holds(answer.authority, types.NS):
        return PLAIN_TTL
    ttls = [rrset.ttl for rrset in chain(answer.answer, answer.authority, answer.additional)]
    return min(ttls, default=PLAIN_TTL)


def settled(answer: Answer, ttl: int) -> Answer:
    """The answer with one TTL on every record and without EDNS options of others."""
    return answer.but(
        answer=_at(answer.answer, ttl),
        authority=_at(answer.authority, ttl),
        additional=_at(answer.additional, ttl),
        options=b"",
        aging=None,
    )


def _at(rrsets: tuple[RRset, ...], ttl: int) -> tuple[RRset, ...]:
    if all(rrset.ttl == ttl for rrset in rrsets):
        return rrsets
    return tuple(RRset(one.owner, one.type, ttl, one.rdatas, one.cls) for one in rrsets)


def _answers(answer: Answer, type_: int) -> bool:
    """True when records of the asked type are there, not only the way to where they would be."""
    return bool(answer.answer) and (type_ == types.ANY or _holds(answer.answer, type_))


def _holds(rrsets: Iterable[RRset], type_: int) -> bool:
    return any(rrset.type == type_ for rrset in rrsets)


def _has_expired(answer: Answer, now: int) -> bool:
    """True when a signature is not valid now (RFC 4034 §3.1.5)."""
    return any(
        (expiration - now) % 2**32 >= 2**31 or (now - inception) % 2**32 >= 2**31
        for rrset in chain(answer.answer, answer.authority, answer.additional)
        if rrset.type == types.RRSIG
        for rdata in rrset.rdatas
        if len(rdata) > 18
        for expiration, inception in (_PERIOD(rdata, 8),)
    )
