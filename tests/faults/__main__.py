"""`make faults`: the fault matrix with the real deadlines, as a table for `kdns help faults`."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests import pages
from tests.faults import matrix
from tests.faults.matrix import Outcome
from tests.faults.scene import REAL, timed

PAGE = pages.HELP / "faults.md"
BRIEF = (
    "an event is never sent", "watches open but silent, bookmarks too", "connections cut",
    "server away", "restored with older versions",
)  # fmt: skip
"""The rows that README.md has, too."""


def main() -> int:
    """Runs all trials at once (six minutes); 1 when one of them made a mistake."""
    options = _options()
    logging.basicConfig(level=logging.CRITICAL)
    chosen = [each for each in matrix.TROUBLES if options.only in each.name]
    began = time.monotonic()
    with timed(REAL), tempfile.TemporaryDirectory(prefix="faults-") as folder:
        outcomes = asyncio.run(matrix.run(chosen, list(matrix.PHASES), REAL, Path(folder)))
    table = format_table(outcomes)
    print(f"{table}\n{time.monotonic() - began:.0f} s")
    failed = [each for each in outcomes if each.mistakes]
    for each in failed:
        print(f"{each.trouble.name}, {each.phase}: {'; '.join(each.mistakes)}")
    if not options.only:
        write(table)
    return int(bool(failed))


def format_table(outcomes: list[Outcome]) -> str:
    """One row per fault, in Markdown."""
    lines = [
        f"| fault | {' | '.join(matrix.PHASES)} | asked for | wrong answers | stale ones flagged |",
        "|---|---|---|---|---|---|---|",
    ]
    for trouble in dict.fromkeys(each.trouble for each in outcomes):
        mine = {each.phase: each for each in outcomes if each.trouble is trouble}
        times = [_seconds(mine[phase].healed_s) for phase in matrix.PHASES]
        wrong = sum(len(each.tally.wrong) for each in mine.values())
        stale = sum(each.tally.stale for each in mine.values())
        flagged = sum(each.tally.flagged for each in mine.values())
        bound = f"≤ {trouble.bound_s:g} s" if trouble.bound_s else ""
        marked = f"{flagged} of {stale}" if stale else "none was stale"
        lines.append(f"| {trouble.name} | {' | '.join(times)} | {bound} | {wrong} | {marked} |")
    return "\n".join(lines)


def write(table: str, page: Path = PAGE, readme: Path = pages.README) -> None:
    """Puts the table into the page, and its brief form into the README."""
    pages.write(table, page, "faults")
    pages.write(pages.brief(table, BRIEF), readme, "faults")


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--only", default="", help="faults whose name has this; writes no table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
