"""`python -m tests.differential`: asks CoreDNS and kdns the same and prints where they differ."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.differential import acceptance, accepted, corefiles, live, peer, rounds
from tests.differential.api import Api
from tests.differential.compare import Case
from tests.differential.expected import explain
from tests.differential.report import Report

PER_ROUND = 160
TRIES = 3


def main() -> int:
    """Runs rounds until questions or seconds are used up; 1 on any unexpected difference."""
    options = _options()
    if peer.coredns() is None:
        print("CoreDNS is not installed: go install github.com/coredns/coredns@v1.15.0")
        return 1
    report = Report()
    started = time.monotonic()
    deadline = started + options.seconds
    ours, source = (
        (peer.start_coredns, "endpoint URL")
        if options.against_itself
        else (peer.start_kdns, "manifests FILE")
    )
    if options.accept and not options.only:
        asyncio.run(_accept(report, options))
    seeds = (
        [options.only]
        if options.only and not options.live
        else [f"{options.seed}.{i}" for i in range(10_000)]
    )
    left = options.questions
    for seed in seeds:
        if left <= 0 or time.monotonic() > deadline:
            break
        this = rounds.make(seed, min(PER_ROUND, max(left, 20)) if not options.only else PER_ROUND)
        left -= len(this.asked)
        try:
            cases = _cases(this, ours, source)
        except peer.PeerError as error:
            report.fail(f"{this.kind}/start", f"round {seed}: {error}\n{this.config.text}")
            continue
        for case in cases:
            report.add(this, case)
    _live(report, ours, options)
    _print(report, options.show, time.monotonic() - started)
    return int(report.has_failed)


def _cases(this: rounds.Round, ours: rounds.Start, source: str) -> list[Case]:
    """What came of a round; one that differs does so each time, a busy machine does not."""
    for left in reversed(range(TRIES)):
        cases = asyncio.run(rounds.run(this, ours, source))
        if not left or not any(explain(case)[0] for case in cases if case.differing):
            break
        print(f"round {this.seed} differs: again, since others share this machine", flush=True)
    return cases


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.differential")
    parser.add_argument("--questions", type=int, default=5000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--only", default="", help="run one round, by the seed a repro names")
    parser.add_argument(
        "--accept", type=int, default=1000, help="Corefiles to try; 0 for none, 20000 for all"
    )
    parser.add_argument("--show", type=int, default=5, help="repros to print of each kind")
    parser.add_argument("--live", type=float, default=0, help="seconds for changing clusters")
    parser.add_argument("--against-itself", action="store_true", help="CoreDNS plays both parts")
    return parser.parse_args()


def _print(report: Report, show: int, took_s: float) -> None:
    for kind, found in report.unexpected.items():
        for text in found[:show]:
            print(f"--- {kind}\n{text}\n")
    print(report.table())
    print(f"{took_s:.0f} s")


def _live(report: Report, ours: rounds.Start, options: argparse.Namespace) -> None:
    """Asks about clusters that change while both servers watch them."""
    deadline = time.monotonic() + options.live
    for at in range(10_000):
        if time.monotonic() > deadline:
            return
        seed = options.only or f"{options.seed}.live.{at}"
        try:
            asyncio.run(live.run(seed, ours, 40, report))
        except peer.PeerError as error:
            report.fail("live/start", f"round {seed}: {error}\n{live.make(seed)[0].config.text}")
        if options.only:
            return


async def _accept(report: Report, options: argparse.Namespace) -> None:
    """Compares which Corefiles the servers take."""
    chosen, report.has_all = acceptance.sample(Random(options.seed), options.accept)
    gate = asyncio.Semaphore(3)
    with tempfile.TemporaryDirectory(prefix="differential-") as name, Api() as api:
        folder = Path(name)
        for file, content in {**corefiles.FILES, **acceptance.FILES}.items():
            (folder / file).write_text(content)

        async def one(text: str) -> None:
            filled = text.replace("SOURCE", f"endpoint {api.url}").replace("FOLDER", name)
            async with gate:
                theirs = await asyncio.to_thread(acceptance.coredns_takes, filled)
                if options.against_itself:
                    ours = await asyncio.to_thread(acceptance.coredns_takes, filled)
                else:
                    ours = acceptance.kdns_takes(filled)
                if theirs[0] and not ours[0]:  # or it had not come to say no yet
                    theirs = await asyncio.to_thread(acceptance.coredns_takes, filled, 10.0)
            if theirs[0] == ours[0]:
                report.accept("Corefile")
            elif ours[0] is not None and (why := accepted.accepts(text, *_refusals(theirs, ours))):
                report.asked["Corefile"] += 1
                report.expected[why] += 1
            else:
                report.asked["Corefile"] += 1
                report.fail("Corefile", f"{text}\n CoreDNS {theirs}\n kdns    {ours}")

        await asyncio.gather(*[one(text) for text in chosen])


def _refusals(*verdicts: acceptance.Verdict) -> list[str]:
    return ["" if takes else said for takes, said in verdicts]


if __name__ == "__main__":
    sys.exit(main())
