"""Clauses of RFC 8906 and RFC 8482: an odd bit, opcode, option or type is no reason for silence."""

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group
from kdns.conformance.octets import walk
from kdns.conformance.packets import Edns, Reply
from kdns.wire import types

ODD = Group("Odd queries (RFC 8906, 8482)")
_Z = 0x40
_DO = 0x8000
_UNKNOWN = 100
_UNKNOWN_OPTION = b"\0\x64\0\0"
_KNOWN_OPTIONS = b"".join(
    (
        b"\0\3\0\0",  # NSID
        b"\0\x0a\0\x08\1\2\3\4\5\6\7\x08",  # COOKIE
        b"\0\x09\0\0",  # EXPIRE
        b"\0\x08\0\4\0\1\0\0",  # the client's subnet, of no length
    )
)
_ANY_SIZE = 512


async def _soa(case: Case, *, flags: int = 0, edns: Edns | None = None) -> Reply:
    """The reply to a question for the zone's SOA record."""
    return await case.ask(case.target.zone, "SOA", flags=flags, edns=edns)


def _expect_answer(case: Case, reply: Reply) -> None:
    is_answered = reply.rcode == "NOERROR" and reply.values("SOA")
    case.expect(is_answered, f"the SOA record of {case.target.zone}")


@ODD.clause(
    "rfc8906-zone",
    "The server answers for the zone without RD and EDNS.",
    "RFC 8906 §8.1.1",
)
async def _(case: Case) -> None:
    _expect_answer(case, await _soa(case))


@ODD.clause("rfc8906-ad", "AD in a query is not echoed.", "RFC 8906 §8.1.3.2, RFC 6840 §5.7")
async def _(case: Case) -> None:
    reply = await _soa(case, flags=types.AD)
    case.expect("ad" not in reply.flags, "AD clear, for nothing was validated")


@ODD.clause("rfc8906-cd", "A query with CD is answered.", "RFC 8906 §8.1.3.1")
async def _(case: Case) -> None:
    _expect_answer(case, await _soa(case, flags=types.CD))


@ODD.clause(
    "rfc8906-z", "The reserved header bit is not echoed.", "RFC 1035 §4.1.1, RFC 8906 §8.1.3.3"
)
async def _(case: Case) -> None:
    reply = await _soa(case, flags=_Z)
    case.expect(not reply.message.flags & _Z, "the reserved bit clear")


@ODD.clause(
    "rfc8906-z-answered", "A query with the reserved header bit is answered.", "RFC 8906 §8.1.3.3"
)
async def _(case: Case) -> None:
    _expect_answer(case, await _soa(case, flags=_Z))


@ODD.clause("rfc8906-opcode", "An unknown opcode is NOTIMP.", "RFC 8906 §8.1.4")
async def _(case: Case) -> None:
    for opcode in (1, 2, 3, 7, 15):
        reply = await case.ask(case.target.zone, "SOA", flags=0, opcode=opcode)
        case.expect(reply.rcode == "NOTIMP", f"NOTIMP for opcode {opcode}")


@ODD.clause(
    "rfc8906-option",
    "An unknown EDNS option is ignored.",
    "RFC 6891 §6.1.2, RFC 8906 §8.2.3",
)
async def _(case: Case) -> None:
    _expect_answer(case, await _soa(case, edns=Edns(options=_UNKNOWN_OPTION)))


@ODD.clause("rfc8906-option-echo", "An unknown EDNS option is not echoed.", "RFC 8906 §8.2.3")
async def _(case: Case) -> None:
    reply = await _soa(case, edns=Edns(options=_UNKNOWN_OPTION))
    codes = _codes(reply.message.options)
    case.expect(_UNKNOWN not in codes, "no option 100", f"options {codes}")


@ODD.clause("rfc8906-flag", "Unknown EDNS flags are ignored.", "RFC 6891 §6.1.4, RFC 8906 §8.2.4")
async def _(case: Case) -> None:
    for flags in (1, 0x40, 0x2000):
        _expect_answer(case, await _soa(case, edns=Edns(flags=flags)))


@ODD.clause(
    "rfc8906-flag-echo",
    "Unknown EDNS flags are clear in the reply.",
    "RFC 6891 §6.1.4, RFC 8906 §8.2.4",
)
async def _(case: Case) -> None:
    for flags in (1, 0x40, 0x2000):
        reply = await _soa(case, edns=Edns(flags=flags))
        seen = [record.ttl & 0x3FFF for record in walk(reply.packet).of(types.OPT)]
        case.expect(not any(seen), "EDNS flags that are clear", f"{seen[0] if seen else 0:#06x}")


@ODD.clause(
    "rfc8906-version-flag",
    "EDNS of version 1 with an unknown flag is BADVERS.",
    "RFC 8906 §8.2.5",
)
async def _(case: Case) -> None:
    await _expect_badvers(case, Edns(version=1, flags=0x40))


@ODD.clause(
    "rfc8906-version-option",
    "EDNS of version 1 with an unknown option is BADVERS.",
    "RFC 8906 §8.2.6",
)
async def _(case: Case) -> None:
    await _expect_badvers(case, Edns(version=1, options=_UNKNOWN_OPTION))


@ODD.clause("rfc8906-version-do", "EDNS of version 1 with DO is BADVERS.", "RFC 8906 §8.2.9")
async def _(case: Case) -> None:
    await _expect_badvers(case, Edns(version=1, flags=_DO))


@ODD.clause(
    "rfc8906-everything",
    "EDNS of version 1 with flags and all kinds of options is BADVERS.",
    "RFC 8906 §8.2",
)
async def _(case: Case) -> None:
    options = _UNKNOWN_OPTION + _KNOWN_OPTIONS
    await _expect_badvers(case, Edns(version=1, flags=_DO | 0x40, options=options))


@ODD.clause("rfc8906-do", "A query with DO is answered.", "RFC 8906 §8.2.8")
async def _(case: Case) -> None:
    _expect_answer(case, await _soa(case, edns=Edns(flags=_DO)))


@ODD.clause(
    "rfc8906-options",
    "A query with several known options is answered.",
    "RFC 8906 §8.2.10",
)
async def _(case: Case) -> None:
    _expect_answer(case, await _soa(case, edns=Edns(options=_KNOWN_OPTIONS)))


@ODD.clause(
    "rfc8906-truncated",
    "A reply that is cut carries its OPT.",
    "RFC 6891 §7, RFC 8906 §8.2.7",
    needs=("big",),
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.big, edns=Edns(size=512))
    if "tc" in reply.flags:
        case.expect(reply.message.has_opt, "an OPT record")


@ODD.clause(
    "rfc8482-any",
    "A question for ANY is answered, shortly.",
    "RFC 8482 §4",
    needs=("name",),
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.name, "ANY", edns=Edns(size=4096))
    case.expect(reply.rcode == "NOERROR", "NOERROR")
    size = len(reply.packet)
    case.expect(size <= _ANY_SIZE, f"{_ANY_SIZE} octets at most", f"{size} octets\n{reply}")


@ODD.clause(
    "rfc8482-any-missing",
    "ANY of a name that does not exist is NXDOMAIN.",
    "RFC 8482 §4, RFC 8020 §2",
)
async def _(case: Case) -> None:
    missing = case.target.missing()
    if (await case.ask(missing)).rcode == "NXDOMAIN":
        reply = await case.ask(missing, "ANY")
        case.expect(reply.rcode == "NXDOMAIN", "NXDOMAIN, as for A")


async def _expect_badvers(case: Case, edns: Edns) -> None:
    reply = await _soa(case, edns=edns)
    is_refused = reply.rcode == "BADVERS" and not reply.message.answer
    case.expect(is_refused, "BADVERS without an answer")


def _codes(options: bytes) -> list[int]:
    """The codes of encoded options."""
    codes, at = [], 0
    while at < len(options):
        codes.append(int.from_bytes(options[at : at + 2], "big"))
        at += 4 + int.from_bytes(options[at + 2 : at + 4], "big")
    return codes
