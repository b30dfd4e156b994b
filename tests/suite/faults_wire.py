"""A fault for each clause about EDNS, TCP, and queries that are odd."""

import dns.edns
import dns.message

from kdns.wire import types
from tests.suite.edits import (
    OPT,
    bits,
    changed,
    code,
    counts,
    cut,
    edns,
    edns_flags,
    every,
    flags,
    full_rcode,
    name,
    options,
    plain,
    rcode,
    size,
    tcp,
    type_,
    udp,
    version,
    where,
    without_opt,
)
from tests.suite.faults_rfc import BIG, MISSING, WEB
from tests.suite.planted import Fault, Rewrite, Said

APEX = name("cluster.")
UNKNOWN = 100
DO = 0x8000
SEVERAL = (3, 10, 9, 8)
ALL = (UNKNOWN, *SEVERAL)
EXTRA = OPT + b"\4\xd0\0\0\0\0\0\0"


def with_opt(said: Said) -> bytes:
    """One OPT more, unless that would not fit."""
    if len(said.reply) + len(EXTRA) > 512 and not said.tcp:
        return said.reply
    count = int.from_bytes(said.reply[10:12], "big") + 1
    return said.reply[:10] + count.to_bytes(2, "big") + said.reply[12:] + EXTRA


def resized(asked: int, given: int) -> Rewrite:
    """What is asked of the right server: another size in the OPT, on UDP."""
    opt = OPT + asked.to_bytes(2, "big")

    def rewrite(query: bytes, is_tcp: bool) -> tuple[bytes, bool]:
        if is_tcp or not is_big(query):
            return query, is_tcp
        return query.replace(opt, OPT + given.to_bytes(2, "big")), False

    return rewrite


def is_big(query: bytes) -> bool:
    """About the name with many addresses."""
    return query[12:17] == b"\4many"


def unbounded(query: bytes, is_tcp: bool) -> tuple[bytes, bool]:
    """Whoever says that he takes 65535 octets gets them."""
    return query, is_tcp or (is_big(query) and OPT + b"\xff\xff" in query)


def bounded(query: bytes, is_tcp: bool) -> tuple[bytes, bool]:
    """The size counts over TCP, too."""
    return query, is_tcp and not (is_big(query) and OPT + b"\2\0" in query)


def first_only(message: dns.message.Message) -> None:
    """One record, whatever would fit."""
    del message.answer[1:]


def sized_100(message: dns.message.Message) -> None:
    """An OPT that says we take 100 octets."""
    if message.edns >= 0:
        message.use_edns(0, message.ednsflags, 100, options=list(message.options))


def of_version_1(message: dns.message.Message) -> None:
    """An OPT of another version."""
    message.ednsflags |= 1 << 16


def option_100(message: dns.message.Message) -> None:
    """The unknown option comes back."""
    options = [*message.options, dns.edns.GenericOption(UNKNOWN, b"")]
    message.use_edns(0, message.ednsflags, 1232, options=options)


def echoed_flags(said: Said) -> bytes:
    """The EDNS flags of the query."""
    asked = said.asked
    bits = asked.ednsflags & 0x3FFF if asked else 0

    def change(message: dns.message.Message) -> None:
        message.ednsflags |= bits

    return changed(change)(said)


def undone(message: dns.message.Message) -> None:
    """DO is clear."""
    message.ednsflags &= ~DO


def two_opts(said: Said) -> bool:
    """Two OPTs, both of the root."""
    return counts(1, 0, 0, 2)(said) and said.query.count(OPT) == 2


def strange_opt(said: Said) -> bool:
    """The OPT of another owner."""
    return b"\1x" + OPT in said.query and counts(1, 0, 0, 1)(said)


def with_others(said: Said) -> bool:
    """An OPT beside another record."""
    return counts(1, 0, 0, 2)(said) and said.query.count(OPT) == 1


NO_OPTIONS = every(options(), edns_flags(0))
VERSION_0, VERSION_1 = version(0), version(1)

FAULTS = (
    Fault("rfc6891-opt-unasked", where(plain, with_opt)),
    Fault("rfc6891-opt", where(
        every(udp, VERSION_0, counts(1, 0, 0, 1), lambda said: not cut(said)), without_opt()
    )),
    Fault("rfc6891-opt-tcp", where(every(tcp, edns), without_opt())),
    Fault("rfc6891-one-opt", where(size(1220), with_opt)),
    Fault("rfc6891-two-opts", where(two_opts, rcode(types.NOERROR))),
    Fault("rfc6891-opt-owner", where(strange_opt, rcode(types.NOERROR))),
    Fault("rfc6891-half-option", where(
        lambda said: said.query.endswith(b"\0\3\0\x64\0"), rcode(types.NOERROR)
    )),
    Fault("rfc6891-opt-anywhere", where(with_others, rcode(types.FORMERR))),
    Fault("rfc6891-badvers", where(every(version(1, 2, 255), NO_OPTIONS), full_rcode(0))),
    Fault("rfc6891-version", where(every(edns, lambda said: not VERSION_0(said)), changed(of_version_1))),
    Fault("rfc6891-size-small", where(every(BIG, size(0, 1, 511)), changed(first_only))),
    Fault("rfc6891-size-kept", rewrite=resized(700, 1232)),
    Fault("rfc6891-size-used", rewrite=resized(1232, 512)),
    Fault("rfc6891-size-named", changed(sized_100)),
    Fault("rfc6891-do", where(edns_flags(DO), changed(undone))),
    Fault("rfc9715-unfragmented", rewrite=unbounded),
    Fault("rfc7766-tcp", hangs_up=APEX),
    Fault("rfc7766-same-answers", where(tcp, flags(take=types.AA))),
    Fault("rfc7766-keeps-open", closes_at_next=True),
    Fault("rfc7766-idle", idle_s=0.5),
    Fault("rfc7766-pipelining", takes_one=True),
    Fault("rfc7766-many", closes_after=30),
    Fault("rfc7766-split", is_hasty=True),
    Fault("rfc7766-half-close", drops_at_end=True),
    Fault("rfc7766-whole", where(every(tcp, BIG, plain), flags(put=types.TC))),
    Fault("rfc7766-size", rewrite=bounded),
    Fault("rfc7766-after-garbage", closes_at_error=True),
    Fault("rfc8906-zone", where(
        every(APEX, type_("SOA"), plain, lambda said: said.query[2:4] == b"\0\0"),
        rcode(types.REFUSED),
    )),
    Fault("rfc8906-ad", where(bits(types.AD), flags(put=types.AD))),
    Fault("rfc8906-cd", where(bits(types.CD), rcode(types.SERVFAIL))),
    Fault("rfc8906-z", where(bits(0x40), flags(put=0x40))),
    Fault("rfc8906-z-answered", where(bits(0x40), rcode(types.FORMERR))),
    Fault("rfc8906-opcode", where(code("NOTIMP"), rcode(types.REFUSED))),
    Fault("rfc8906-option", where(every(VERSION_0, options(UNKNOWN)), rcode(types.FORMERR))),
    Fault("rfc8906-option-echo", where(every(VERSION_0, options(UNKNOWN)), changed(option_100))),
    Fault("rfc8906-flag", where(
        every(VERSION_0, lambda said: bool(said.asked and said.asked.ednsflags & 0x7FFF)),
        rcode(types.FORMERR),
    )),
    Fault("rfc8906-flag-echo", where(VERSION_0, echoed_flags)),
    Fault("rfc8906-version-flag", where(
        every(VERSION_1, edns_flags(0x40), options()), full_rcode(0)
    )),
    Fault("rfc8906-version-option", where(
        every(VERSION_1, edns_flags(0), options(UNKNOWN)), full_rcode(0)
    )),
    Fault("rfc8906-version-do", where(every(VERSION_1, edns_flags(DO), options()), full_rcode(0))),
    Fault("rfc8906-everything", where(every(VERSION_1, options(*ALL)), full_rcode(0))),
    Fault("rfc8906-do", where(every(VERSION_0, edns_flags(DO)), rcode(types.SERVFAIL))),
    Fault("rfc8906-options", where(every(VERSION_0, options(*SEVERAL)), rcode(types.FORMERR))),
    Fault("rfc8906-truncated", where(every(udp, cut, edns), without_opt())),
    Fault("rfc8482-any", where(every(WEB, type_("ANY")), rcode(types.NOTIMP))),
    Fault("rfc8482-any-missing", where(every(MISSING, type_("ANY")), rcode(types.NOERROR))),
)  # fmt: skip
