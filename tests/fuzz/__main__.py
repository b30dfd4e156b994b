"""`python -m tests.fuzz --seconds N`: all that comes from outside, from hell.

The contract: `Pipeline.respond` never raises and answers in less than 50 ms of CPU, memory stays
flat; a Corefile only collects ConfigErrors; a manifest costs at most one warning per object and the
rest is served; what reads other octets (see `targets`) refuses them as it says, and soon. Ends with 1, and a reproducer of each finding, when that does not hold.
"""

import argparse
import asyncio
import random
import sys

from tests.fuzz import (
    answering,
    corefiles,
    languages,
    manifests,
    octets,
    replies,
    targets,
    webs,
    zones,
)
from tests.fuzz.report import Listener, Report
from tests.socketless import Socketless

SHARES = {"packets": 0.35, "replies": 0.1, "corefiles": 0.1, "manifests": 0.15, "targets": 0.3}
TARGETS = (*octets.TARGETS, *webs.TARGETS, *zones.TARGETS, *languages.TARGETS)


async def run(seed: int, seconds: float, packets: int = 0) -> Report:
    """Every room in turn."""
    report = Report()
    rng = random.Random(seed)
    await manifests.run(report, rng, seconds=seconds * SHARES["manifests"])
    corefiles.run(report, rng, seconds=seconds * SHARES["corefiles"])
    await targets.run(report, rng, TARGETS, seconds=seconds * SHARES["targets"])
    await replies.run(report, rng, seconds=seconds * SHARES["replies"])
    await answering.run(report, rng, seconds=seconds * SHARES["packets"], packets=packets)
    return report


async def replay(packet: str) -> Report:
    """One packet, `udp:HEX` or `tcp:HEX`, asked of every Corefile."""
    report = Report()
    transport, _, digits = packet.partition(":")
    with Listener() as heard:
        for corefile in answering.COREFILES:
            async with Socketless(corefile) as server:
                room = answering.Room(server, corefile.parent.name, report, heard)
                room.ask(bytes.fromhex(digits), tcp=transport == "tcp", address=b"\x0a\xf4\0\7")
    return report


def main() -> int:
    """Runs, prints the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--packets", type=int, default=0, help="so many packets, whatever it takes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--packet", help="replay one: udp:HEX or tcp:HEX")
    options = parser.parse_args()
    if options.packet:
        report = asyncio.run(replay(options.packet))
    else:
        print(f"seed {options.seed}", flush=True)
        report = asyncio.run(run(options.seed, options.seconds, options.packets))
    print(report.text())
    return int(bool(report.findings))


if __name__ == "__main__":
    sys.exit(main())
