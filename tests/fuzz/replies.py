"""An upstream lies: its replies are mutated, and `forward` with everything around it copes.

Whatever the upstream sends, the asker gets a reply that can be read, in bounded time.
"""

import asyncio
import struct
import time
from pathlib import Path
from random import Random

import dns.message

from tests.fuzz.answering import fault
from tests.fuzz.packets import NAMES, TYPES, mutate
from tests.fuzz.report import Listener, Report
from tests.socketless import Socketless
from tests.upstream import Asked, Upstream, reply, wire

COREFILE = """. {{
    errors
    log
    loadbalance
    cache 30
    rewrite name suffix .rewrite.test .outside.test answer auto
    rewrite ttl regex .* 10-20
    forward . {address} {{
        max_fails 0
        read_timeout 100ms
        max_connect_attempts 1
        {option}
    }}
}}
"""
OPTIONS = ("force_tcp", "prefer_udp", "")
AT_ONCE = 40
PATIENCE_S = 60
LINES = (
    "{name} 60 IN A 192.0.2.1", "{name} 0 IN AAAA 2001:db8::1", "{name} 60 IN CNAME www.outside.test.",
    "www.outside.test. 4294967295 IN A 192.0.2.2", "{name} 5 IN TXT \"a\" \"b\"", "{name} 60 IN MX 10 {name}",
    "{name} 60 IN SRV 0 0 53 www.outside.test.", "{name} 60 IN TYPE65280 \\# 3 010203", "{name} 60 IN DNAME outside.test.",
    "outside.test. 60 IN SOA ns.outside.test. h.outside.test. 1 2 3 4 5", "{name} 60 IN NS ns.outside.test.",
    "{name} 60 IN HTTPS 1 . alpn=h2", "{name} 60 IN CAA 0 issue \"x\"",
)  # fmt: skip


class Liar:
    """The script of an upstream whose replies are right, bent, or both."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.sent: list[bytes] = []

    def __call__(self, asked: Asked) -> list[bytes]:
        right = self._right(asked)
        self.sent.append(right)
        del self.sent[:-200]
        bent = bytearray(mutate(self.rng, [right]))
        if self.rng.random() < 0.7:  # or hardly any would be taken for a reply
            bent[: len(asked.wire)] = right[: len(asked.wire)]
            bent[2:12] = right[2:12] if self.rng.random() < 0.5 else bent[2:12]
        return self.rng.choice(([bytes(bent)], [bytes(bent), right], [right]))

    def _right(self, asked: Asked) -> bytes:
        rng = self.rng
        name = asked.name if rng.random() < 0.9 else "other.test."
        lines = [
            one.format(name=name) for one in rng.choices(LINES, k=rng.choice((0, 1, 1, 2, 12)))
        ]
        parts = [tuple(lines[at::3]) for at in range(3)]
        rcode = rng.choice(("NOERROR", "NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR"))
        flags = rng.choice(("RA", "RA AA", "RA TC", "RA AD"))
        options = rng.choice((None, (), (dns.edns.GenericOption(65001, b"x"),)))
        made = reply(
            asked,
            *parts[0],
            rcode=rcode,
            flags=flags,
            authority=parts[1],
            additional=parts[2],
            options=options,
        )
        return wire(made)


async def run(report: Report, rng: Random, *, seconds: float) -> None:
    """Asks through a lying upstream for so long."""
    until = time.monotonic() + seconds
    with Listener() as heard:
        async with Upstream(Liar(rng)) as upstream:
            for option in OPTIONS:
                share = until - (until - time.monotonic()) * (
                    1 - 1 / (len(OPTIONS) - OPTIONS.index(option))
                )
                text = COREFILE.format(address=upstream.address, option=option)
                async with Socketless(Path("Corefile"), text, time.monotonic) as server:
                    while time.monotonic() < share:
                        await _round(report, rng, server, upstream, heard)


async def _round(
    report: Report, rng: Random, server: Socketless, upstream: Upstream, heard: Listener
) -> None:
    """Many questions at once."""
    asked = [(_query(rng), rng.random() < 0.5) for _ in range(AT_ONCE)]
    upstream.asked.clear()
    started = time.thread_time()
    replies = await asyncio.gather(
        *(_ask(server, packet, tcp=tcp) for packet, tcp in asked), return_exceptions=True
    )
    report.spent(f"{AT_ONCE} lying upstreams", time.thread_time() - started)
    report.counts["answers of a lying upstream"] += AT_ONCE
    _, tracebacks = heard.take()
    for (packet, tcp), got in zip(asked, replies, strict=True):
        if isinstance(got, BaseException):
            why = f"an upstream's reply raises {type(got).__name__}: {got}"[:160]
        else:
            why = fault(packet, got, tcp=tcp)
        if why.startswith("dnspython") and got is not None and is_framed(got):
            report.counts["with rdata as bent as it was sent"] += 1
        elif why:
            report.find(f"{why} [lying upstream]", f"asked {packet.hex()}, got {got!r}")
    for one in tracebacks:
        repro = " ".join(sent.hex() for sent in upstream.script.sent[-AT_ONCE:])
        report.find(f"an upstream's reply logs {one.splitlines()[-1]}", f"{one}\nafter {repro}")


def is_framed(message: bytes) -> bool:
    """True when all counted records are there and end where the message ends.

    The rdata of types without names is nobody's but the asker's (RFC 3597 §4): it may be bent.
    """
    counts = struct.unpack_from("!4H", message, 4)
    try:
        at = 12
        for _ in range(counts[0]):
            at = _behind_name(message, at) + 4
        for _ in range(sum(counts[1:])):
            at = _behind_name(message, at)
            at += 10 + struct.unpack_from("!H", message, at + 8)[0]
    except (IndexError, struct.error):
        return False
    return at == len(message)


def _behind_name(message: bytes, at: int) -> int:
    while size := message[at]:
        if size >= 0xC0:
            target = (size & 0x3F) << 8 | message[at + 1]
            if target >= at:
                raise IndexError("a pointer forward")
            _behind_name(message, target)
            return at + 2
        at += size + 1
    return at + 1


async def _ask(server: Socketless, packet: bytes, *, tcp: bool) -> bytes | None:
    async with asyncio.timeout(PATIENCE_S):
        return await server.ask(packet, tcp=tcp)


def _query(rng: Random) -> bytes:
    name = rng.choice((*NAMES, f"n{rng.randrange(50)}.outside.test", "web.rewrite.test"))
    query = dns.message.make_query(name, rng.choice(TYPES))
    if rng.random() < 0.5:
        query.use_edns(0, rng.choice((0, 0x8000)), rng.choice((512, 1232, 4096)))
    return query.to_wire()
