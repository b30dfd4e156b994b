"""Medians become the bench's table: costs, the bounds they are held to, and what became of them."""

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from tests import pages
from tests.bench.scenarios import Scenario
from tests.bench.servers import NAMES

PAGE = pages.HELP / "benchmarks.md"
BRIEF = (
    "hot A, 20 names, one address", "what pods send: search paths, A and AAAA",
    "each question once", "forwarded, cached", "TCP pipelined",
)  # fmt: skip
"""The rows that README.md has, too."""
TITLES = {
    "echo": "C echo",
    "knot": "Knot",
    "coredns+cache": "CoreDNS, cache 30",
    "coredns": "CoreDNS",
}
AGAIN = 1.1
"""Hot names may cost so many times as much after a flood as before it: the noise of two short runs."""
GROWTH_MB = 2.0
WORKERS = 1.1
"""A query may cost several workers so many times what it costs one."""

Medians = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Bound:
    """What a figure of kdns may be at most, and where that comes from."""

    words: str
    limit: float
    found: str

    def holds(self, value: float) -> bool:
        """True when it is kept."""
        return value <= self.limit


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    cells: dict[str, float]
    ours: float | None
    bounds: list[Bound]

    @property
    def is_missed(self) -> bool:
        """True when kdns is over a bound."""
        return self.ours is not None and not all(each.holds(self.ours) for each in self.bounds)

    @property
    def verdict(self) -> str:
        """Every bound and whether it is kept."""
        if self.ours is None:
            return ""
        return ", ".join(
            f"{each.words}: {each.found} {'pass' if each.holds(self.ours) else 'FAIL'}"
            for each in self.bounds
        )


def rows(chosen: list[Scenario], medians: Medians, names: list[str]) -> list[Row]:
    """The lines of these scenarios; what is held to bounds is the last of the servers."""
    ours = next((name for name in reversed(names) if name not in NAMES or name == "kdns"), "")
    out = []
    for each in chosen:
        cells = medians.get(each.key, {})
        if each.workers > 1:
            out += _workers(each, medians, ours)
            continue
        out.append(Row(each.name, cells, cells.get(ours), list(_bounds(each, cells, ours))))
        if each.around:
            out += _around(each, medians, ours)
    return out


def _bounds(scenario: Scenario, cells: dict[str, float], ours: str) -> list[Bound]:
    peers = [cells[name] for name in ("coredns+cache", "coredns") if name in cells]
    is_alone = not peers and "knot" not in cells
    compared = [
        ("echo", scenario.echo if is_alone else None, cells.get("echo")),
        ("Knot", scenario.knot, cells.get("knot")),
        ("CoreDNS", scenario.coredns, min(peers, default=None)),
    ]
    return [
        Bound(f"≤ {share:g} × {name}", share * cost, f"{cells[ours] / cost:.2f}")
        for name, share, cost in compared
        if share is not None and cost and ours in cells
    ]


def _around(scenario: Scenario, medians: Medians, ours: str) -> list[Row]:
    before, after, memory = (
        medians.get(f"{scenario.key} {word}", {}) for word in ("before", "after", "memory")
    )
    bounds, flat = [], []
    if ours in after:
        ratio = after[ours] / before[ours]
        bounds = [Bound(f"≤ {AGAIN:g} × before", before[ours] * AGAIN, f"{ratio:.2f}")]
        flat = [Bound(f"≤ {GROWTH_MB:g} MB", GROWTH_MB, f"{memory[ours]:.1f}")]
    return [
        Row(scenario.around, after, after.get(ours), bounds),
        Row("memory they add, MB", memory, memory.get(ours), flat),
    ]


def _workers(scenario: Scenario, medians: Medians, ours: str) -> list[Row]:
    one, many = medians.get(f"{scenario.key} alone", {}), medians.get(scenario.key, {})
    if ours not in one or ours not in many:
        return []
    ratio = f"{many[ours] / one[ours]:.2f}"
    bound = Bound(f"≤ {WORKERS:g} × one worker", one[ours] * WORKERS, ratio)
    return [
        Row(scenario.name, many, many[ours], [bound]),
        Row("the same, 1 worker", one, one[ours], []),
    ]


def machine() -> str:
    """What it was measured on, and when."""
    when = time.strftime("%Y-%m-%d", time.gmtime())
    python = platform.python_version()
    return f"{os.cpu_count()} shared cores, Linux {platform.release().split('-')[0]}, Python {python}, {when}"


def format_plain(lines: list[Row], names: list[str]) -> str:
    """The table for a terminal."""
    head = f"{'CPU µs per answered query':42s}" + "".join(f"{name:>15s}" for name in names)
    return "\n".join([head, *(_plain(line, names) for line in lines), machine()])


def _plain(line: Row, names: list[str]) -> str:
    cells = "".join(f"{_number(line.cells.get(name)):>15s}" for name in names)
    return f"{line.name:42s}{cells}   {line.verdict}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"


def format_markdown(lines: list[Row], names: list[str]) -> str:
    """The table for `kdns help benchmarks`."""
    titles = " | ".join(TITLES.get(name, name) for name in names)
    out = [
        f"| CPU µs per answered query | {titles} | must reach |",
        "|---" * (len(names) + 2) + "|",
    ]
    for line in lines:
        cells = " | ".join(_number(line.cells.get(name)) for name in names)
        out.append(f"| {line.name} | {cells} | {line.verdict} |")
    return "\n".join([*out, "", f"Measured on {machine()}."])


def write(text: str, page: Path = PAGE, readme: Path = pages.README) -> None:
    """Puts the table into the page, and its brief form into the README."""
    pages.write(text, page, "bench-peers")
    pages.write(pages.brief(text, BRIEF), readme, "bench-peers")
