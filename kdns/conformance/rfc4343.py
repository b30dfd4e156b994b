"""Clauses of RFC 4343: names match in every letter case, and the question keeps the asker's."""

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group, Skipped
from kdns.conformance.packets import query
from kdns.wire import names

CASE = Group("Letter case (RFC 4343)")
_FOLDED = b"-0123456789"
"""What a server that lower-cases by setting a bit would confuse with a control character."""


@CASE.clause(
    "rfc4343-match",
    "A name matches in every spelling.",
    "RFC 4343 §3",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.zone):
        plain = await case.ask(name.lower())
        for odd in _spellings(name):
            reply = await case.ask(odd)
            case.expect(reply.rcode == plain.rcode, f"{plain.rcode}, as for {name.lower()}")
            case.expect(reply.values("A") == plain.values("A"), f"the records of {name.lower()}")


@CASE.clause(
    "rfc4343-question",
    "The question comes back in the asker's spelling, which resolvers compare (0x20).",
    "RFC 4343 §4.1",
    needs=("name",),
)
async def _(case: Case) -> None:
    for name in (case.target.name, case.target.missing()):
        for odd in _spellings(name):
            for transport in case.target.transports:
                packet = query(odd)
                reply = await case.exchange(packet, transport=transport)
                seen = reply.message.questions[0][0] if reply.message.questions else b""
                case.expect(seen == names.parse(odd), f"the question {odd}")


@CASE.clause(
    "rfc4343-ascii-letters",
    "Only the 26 letters match in both cases: no digit or hyphen matches another octet.",
    "RFC 4343 §3",
    needs=("name",),
)
async def _(case: Case) -> None:
    labels = names.labels(names.parse(case.target.name))
    folded = [at for at, label in enumerate(labels) if set(label) & set(_FOLDED)]
    if not folded:
        raise Skipped(f"{case.target.name} has neither digit nor hyphen")
    at = folded[0]
    labels[at] = bytes(octet ^ 0x20 if octet in _FOLDED else octet for octet in labels[at])
    reply = await case.ask(names.from_labels(labels))
    case.expect(not reply.values("A"), f"no answer for a name with {labels[at]!r}")


def _spellings(name: str) -> list[str]:
    """Upper case, and letters of both cases in turn."""
    turns = [letter.upper() if at % 2 else letter.lower() for at, letter in enumerate(name)]
    return [name.upper(), "".join(turns), "".join(turns).swapcase()]
