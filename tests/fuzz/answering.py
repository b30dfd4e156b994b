"""Packets go through `Pipeline.respond` as transports call it, and every reply is looked at.

Whatever comes in: no exception, no call over 50 ms of CPU, memory flat; the reply is silence only
where silence is the rule, else it has the id, the opcode and the question of the packet, fits, and
dnspython can read it.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import dns.exception
import dns.message

from kdns.plugins.base import Client
from kdns.server.pipeline import Pipeline
from tests.fuzz.packets import mutate, seeds
from tests.fuzz.report import Listener, Report
from tests.socketless import Socketless

MOST_CPU_S = 0.05
MOST_GROWTH_MB = 8.0
CHECKPOINTS = 20
HERE = Path(__file__).parent
COREFILES = (HERE.parent / "golden" / "demo" / "Corefile", HERE / "Corefile")
CLIENTS = (*(bytes((10, 244, at, 7)) for at in range(8)), b"\xfd" + bytes(14) + b"\1")


class Room:
    """One Corefile, asked packet by packet."""

    def __init__(self, server: Socketless, name: str, report: Report, heard: Listener) -> None:
        self.server = server
        self.name = name
        self.report = report
        self.heard = heard

    def ask(self, packet: bytes, *, tcp: bool, address: bytes) -> None:
        """One packet through the table and the chain; nothing of these Corefiles waits."""
        pipeline = self.server.pipelines[tcp]
        now = self.server.services.clock()
        client = Client(address, 40000, "tcp" if tcp else "udp", b"\x7f\0\0\1", 53)
        reply, why = None, ""
        started = time.thread_time()
        try:
            reply = pipeline.recall(packet, (address, 40000), now)
            if reply is None:
                reply = _at_once(pipeline.respond(packet, client, now))
            pipeline.tell()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        spent = time.thread_time() - started
        for _ in range(2):
            if spent > MOST_CPU_S:  # or others did, whom the machine served in between
                spent = min(spent, _spent(pipeline, packet, client, now))
        self.report.counts[f"packets {self.name}"] += 1
        self.report.spent(f"answering {self.name}", spent)
        why = why or self._traceback() or fault(packet, reply, tcp=tcp)
        if spent > MOST_CPU_S:
            why = why or f"a call took more than {MOST_CPU_S} s of CPU"
        if why:
            transport = "tcp" if tcp else "udp"
            self.report.find(f"{why} [{self.name}]", f"--packet {transport}:{packet.hex()}")

    def _traceback(self) -> str:
        _, tracebacks = self.heard.take()
        return tracebacks[0].splitlines()[-1] + _place(tracebacks[0]) if tracebacks else ""


def _spent(pipeline: Pipeline, packet: bytes, client: Client, now: float) -> float:
    """The CPU that a look at the table and a reply without it take."""
    started = time.thread_time()
    with suppress(Exception):
        pipeline.recall(packet, (client.address, client.port), now)
        _at_once(pipeline.respond(packet, client, now))
    return time.thread_time() - started


def _at_once(coroutine):
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("it waits, though it has nothing to wait for")


def _place(traceback: str) -> str:
    places = [line.strip() for line in traceback.splitlines() if line.strip().startswith("File")]
    return f" at {places[-1]}" if places else ""


def fault(packet: bytes, reply: bytes | None, *, tcp: bool) -> str:
    """What is wrong with a reply; empty when nothing is."""
    if reply is None:
        is_rule = len(packet) < 12 or packet[2] & 0x80
        return "" if is_rule else "silence where a reply is due"
    if reply[:2] != packet[:2]:
        return "another id"
    if not reply[2] & 0x80:
        return "QR is clear"
    if (reply[2] ^ packet[2]) & 0x78:
        return "another opcode"
    if len(reply) > limit(packet, tcp=tcp):
        return "the reply is too large"
    return _unreadable(packet, reply)


def limit(packet: bytes, *, tcp: bool) -> int:
    """How large the reply may be, as dnspython reads the packet."""
    if tcp:
        return 65535
    try:
        asked = dns.message.from_wire(packet, ignore_trailing=True, continue_on_error=True)
    except (dns.exception.DNSException, ValueError):
        return 512
    return max(512, asked.payload) if asked.edns >= 0 else 512


def _unreadable(packet: bytes, reply: bytes) -> str:
    try:
        read = dns.message.from_wire(reply)
    except (dns.exception.DNSException, ValueError, IndexError) as error:
        return f"dnspython cannot read the reply: {type(error).__name__}"
    if reply[4:6] == b"\0\1":
        end = 12 + len(read.question[0].name.to_wire()) + 4
        if reply[12:end] != packet[12:end]:
            return "another question"
    return ""


async def run(
    report: Report,
    rng: Random,
    *,
    seconds: float,
    packets: int = 0,
    corefiles: Sequence[Path] = COREFILES,
) -> None:
    """Asks for so long, or so many packets, of each Corefile in turn."""
    corpus = seeds(rng)
    with Listener() as heard:
        for corefile in corefiles:
            async with Socketless(corefile) as server:
                room = Room(server, corefile.parent.name, report, heard)
                await ask_many(
                    room, rng, corpus, seconds / len(corefiles), packets // len(corefiles)
                )


async def ask_many(
    room: Room, rng: Random, corpus: Sequence[bytes], seconds: float, packets: int
) -> None:
    """Asks one room; by packets where a number is given, else by time."""
    report, asked = room.report, 0
    started = time.monotonic()
    checkpoint, settled = 0, len(report.memory)
    report.measure(asked)
    while True:
        share = asked / packets if packets else (time.monotonic() - started) / seconds
        if share * CHECKPOINTS >= checkpoint + 1:
            checkpoint += 1
            report.measure(asked)
        if share >= 1:
            break
        for _ in range(200):
            packet = mutate(rng, corpus)
            room.ask(packet, tcp=rng.random() < 0.4, address=rng.choice(CLIENTS))
        await asyncio.sleep(0)  # what plugins do in the background gets its turn
        asked += 200
        room.server.services.clock.now += rng.choice((0, 0.01, 1, 7))
    mine = Report(memory=report.memory[settled:])
    if asked > 20_000 and mine.growth_mb() > MOST_GROWTH_MB:
        report.find(f"memory grows [{room.name}]", f"by {mine.growth_mb():.1f} MB: {mine.memory}")
