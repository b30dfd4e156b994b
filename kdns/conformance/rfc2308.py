"""Clauses of RFC 2308 and RFC 8020: what does not exist, and for how long.

Whether there is a SOA, whose it is and what TTL it has are rules of their own: a check of one
passes where there is nothing for it to look at, since another check fails there.
"""

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group
from kdns.conformance.packets import Reply
from kdns.wire import names

NEGATIVES = Group("Negative answers (RFC 2308, 8020)")
_TYPES = ("A", "AAAA", "SRV", "TXT", "PTR", "TYPE65280")
_LONGEST_S = 10800
_MINIMUM = 4
"""Octets of the SOA's last field."""


@NEGATIVES.clause(
    "rfc2308-nxdomain", "A name that does not exist is NXDOMAIN, for every type.", "RFC 2308 §2.1"
)
async def _(case: Case) -> None:
    for type_ in _TYPES:
        reply = await case.ask(case.target.missing(), type_)
        is_missing = reply.rcode == "NXDOMAIN" and not reply.message.answer
        case.expect(is_missing, f"NXDOMAIN for {type_}")


@NEGATIVES.clause(
    "rfc2308-no-data",
    "A name without records of the type is NOERROR with an empty answer.",
    "RFC 2308 §2.2",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.zone):
        reply = await case.ask(name, "MX")
        is_no_data = reply.rcode == "NOERROR" and not reply.message.answer
        case.expect(is_no_data, "NOERROR without an answer")


@NEGATIVES.clause(
    "rfc2308-nxdomain-soa",
    "NXDOMAIN carries the SOA record in its authority section.",
    "RFC 2308 §3",
    needs=("authority",),
)
async def _(case: Case) -> None:
    for transport in case.target.transports:
        reply = await case.ask(case.target.missing(), transport=transport)
        case.expect(reply.soa, "one SOA record in the authority section")


@NEGATIVES.clause(
    "rfc2308-no-data-soa",
    "No data carries the SOA record in its authority section.",
    "RFC 2308 §3",
    needs=("authority", "name"),
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.zone):
        for transport in case.target.transports:
            reply = await case.ask(name, "MX", transport=transport)
            case.expect(reply.soa, "one SOA record in the authority section")


@NEGATIVES.clause(
    "rfc2308-aa", "Negative answers are authoritative (AA).", "RFC 2308 §2", needs=("name",)
)
async def _(case: Case) -> None:
    for name in (case.target.missing(), case.target.name):
        reply = await case.ask(name, "MX")
        case.expect("aa" in reply.flags, "AA")


@NEGATIVES.clause(
    "rfc2308-soa-owner",
    "The SOA record of a negative answer is the zone's own.",
    "RFC 2308 §3, RFC 2181 §7.1",
    needs=("authority", "name"),
)
async def _(case: Case) -> None:
    apex = names.parse_key(case.target.zone)
    own = (await case.ask(case.target.zone, "SOA")).rrsets("SOA")
    for name in (case.target.missing(), case.target.name):
        reply = await case.ask(name, "MX")
        if reply.soa is None or not own:
            continue
        case.expect(reply.soa.owner.lower() == apex, f"a SOA record of {case.target.zone}")
        seen, expected = (_persons(rrset.rdatas[0]) for rrset in (reply.soa, own[0]))
        case.expect(seen == expected, f"the server and the mailbox of the SOA record at {apex!r}")


@NEGATIVES.clause(
    "rfc2308-ttl",
    "That SOA record's TTL is the least of its own TTL and its MINIMUM.",
    "RFC 2308 §3, §5",
    needs=("authority", "name"),
)
async def _(case: Case) -> None:
    own = (await case.ask(case.target.zone, "SOA")).rrsets("SOA")
    for name in (case.target.missing(), case.target.name):
        reply = await case.ask(name, "MX")
        if reply.soa is None or not own:
            continue
        expected = min(own[0].ttl, _minimum(reply))
        case.expect(reply.soa.ttl == expected, f"a TTL of {expected} s")


@NEGATIVES.clause(
    "rfc2308-ttl-short",
    "A negative answer holds for three hours at most.",
    "RFC 2308 §5",
    level="should",
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.missing())
    if reply.soa is not None:
        held = min(reply.soa.ttl, _minimum(reply))
        case.expect(held <= _LONGEST_S, f"{_LONGEST_S} s at most", f"{held} s\n{reply}")


@NEGATIVES.clause(
    "rfc2308-no-referral",
    "A negative answer has no NS records, which would make it a referral.",
    "RFC 2308 §2.2.1",
    level="should",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in (case.target.missing(), case.target.name):
        reply = await case.ask(name, "TXT")
        case.expect(not reply.rrsets("NS", "authority"), "no NS in the authority section")


@NEGATIVES.clause("rfc8020-below", "Nothing is below a name that is NXDOMAIN.", "RFC 8020 §2")
async def _(case: Case) -> None:
    missing = case.target.missing()
    if (await case.ask(missing)).rcode != "NXDOMAIN":
        return
    for depth in (1, 2, 5):
        below = ".".join("abcde"[:depth])
        reply = await case.ask(f"{below}.{missing}")
        case.expect(reply.rcode == "NXDOMAIN", f"NXDOMAIN, as for {missing}")


@NEGATIVES.clause(
    "rfc8020-above",
    "Names above one that exists do exist, for every type.",
    "RFC 8020 §2, RFC 4592 §2.2.2",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in _above(case):
        for type_ in ("A", "AAAA", "SRV", "TYPE65280"):
            reply = await case.ask(name, type_, flags=0)
            case.expect(reply.rcode == "NOERROR", f"NOERROR for {type_}")


@NEGATIVES.clause(
    "rfc8020-any-type",
    "Whether a name exists does not depend on the type asked for.",
    "RFC 2308 §2.1, RFC 8020 §2",
    needs=("name",),
)
async def _(case: Case) -> None:
    for type_ in ("A", "AAAA", "SRV", "TXT", "CNAME"):
        reply = await case.ask(case.target.name, type_)
        case.expect(reply.rcode == "NOERROR", f"NOERROR for {type_}")


def _minimum(reply: Reply) -> int:
    """The MINIMUM field of the SOA in the authority section."""
    rdata = reply.soa.rdatas[0] if reply.soa else b""
    return int.from_bytes(rdata[-_MINIMUM:], "big")


def _persons(soa: bytes) -> bytes:
    """Who serves a zone and who answers for it: the rest may change between two questions."""
    return soa[:-20].lower()


def _above(case: Case) -> list[str]:
    """The names between the known name and the zone."""
    apex, found = names.parse_key(case.target.zone), []
    name = names.parent(names.parse_key(case.target.name))
    while len(name) > len(apex):
        found.append(names.format(name))
        name = names.parent(name)
    return found
