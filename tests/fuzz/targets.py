"""Functions that take octets from outside, each fed with mutated ones: refused cleanly, and soon.

A Target's `feed` returns, or raises one of its `refuses`; anything else, an assertion of its own
and more CPU than it may take are findings.
"""

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.fuzz.packets import mutate
from tests.fuzz.report import Listener, Report

MOST_CPU_S = 0.05
AT_ONCE = 20


@dataclass(frozen=True)
class Target:
    """One function; an awaitable that it gives is awaited."""

    name: str
    corpus: Sequence[bytes]
    feed: Callable[[Random, bytes], Any]
    refuses: tuple[type[Exception], ...]
    most_cpu_s: float = MOST_CPU_S


async def run(report: Report, rng: Random, targets: Sequence[Target], *, seconds: float) -> None:
    """Feeds them for so long, in turn, so that all come on however slow the machine is."""
    until = time.monotonic() + seconds
    with Listener() as heard:
        while True:
            for target in targets:
                for _ in range(AT_ONCE):
                    await feed_one(report, rng, target, mutate(rng, target.corpus), heard)
            if time.monotonic() >= until:
                return


async def feed_one(
    report: Report, rng: Random, target: Target, octets: bytes, heard: Listener
) -> None:
    """Feeds one target, and looks at what it makes of that."""
    chance = rng.getrandbits(32)
    why, spent = await _fed(report, target, octets, chance)
    report.counts[f"fed to {target.name}"] += 1
    for _ in range(2):
        if spent > target.most_cpu_s:  # or others did, whom the machine served in between
            spent = min(spent, (await _fed(Report(), target, octets, chance))[1])
    report.spent(target.name, spent)
    if spent > target.most_cpu_s:
        why = why or f"it takes more than {target.most_cpu_s} s of CPU"
    if heard.take()[1]:
        why = why or "it logs a traceback"
    if why:
        report.find(f"{target.name}: {why}", f"{octets.hex()} with Random({chance})")


async def _fed(report: Report, target: Target, octets: bytes, chance: int) -> tuple[str, float]:
    """What is wrong, and the CPU that was spent."""
    rng, why = Random(chance), ""
    started = time.thread_time()
    try:
        out = target.feed(rng, octets)
        if inspect.isawaitable(out):
            await out
    except target.refuses:
        report.counts[f"refused by {target.name}"] += 1
    except Exception as error:
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else ""
        why = f"{type(error).__name__}: {error}"[:160] + f" at {place}"
    return why, time.thread_time() - started
