"""`make bench`: what a query costs kdns, in our own code and as a server beside the C echo.

`--short` is what CI runs: hot names, each question once and names that do not exist, each held to a
multiple of what the echo costs in the same run, for only ratios travel between machines.
"""

import argparse
import asyncio
import sys
from dataclasses import replace

from tests.bench import inside, peers, table
from tests.bench.build import NoCompiler
from tests.bench.scenarios import SCENARIOS, Scenario

TRIES = 5
"""What got dearer is over its bar each time, a busy machine is not."""


def main() -> int:
    """Measures; 1 when a figure is over its bar or a query went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--short", action="store_true", help="only what has a bar beside the echo")
    is_short = parser.parse_args().short
    chosen = list(SCENARIOS)
    if is_short:
        chosen = [replace(each, around="") for each in SCENARIOS if each.echo]
    is_over = False
    if not is_short:
        text, is_over = inside.format_rows(asyncio.run(inside.rows()))
        print(text, flush=True)
    for left in reversed(range(TRIES if is_short else 1)):
        try:
            is_missed = measure(chosen, 5 if is_short else 3)
        except NoCompiler as error:
            print(f"bench: {error}")
            return 1
        if not is_missed:
            break
        if left:
            print("over a bar: again, since others share this machine", flush=True)
    return int(is_over or is_missed)


def measure(chosen: list[Scenario], rounds: int) -> bool:
    """Prints what these cost; True when a figure is over its bar or a query went wrong."""
    names, trees = ["echo", "kdns"], {"kdns": peers.TOP}
    figures = peers.measure(chosen, names, trees, peers.BIG, rounds)
    rows = table.rows(chosen, figures.medians(), names)
    print(table.format_plain(rows, names))
    print("\n".join(dict.fromkeys(figures.troubles)))
    return figures.has_failed(trees) or any(row.is_missed for row in rows)


if __name__ == "__main__":
    sys.exit(main())
