"""`make bench-peers`: CPU time per answered query, kdns beside the C echo, Knot and CoreDNS.

All servers run on this machine and know the same cluster; in every round each gets the same packets,
one server after the other, and the median of the rounds stands in the table. Single rows and two
checkouts side by side: `python -m tests.bench.peers --rows hot,once --tree old=/tmp/x --tree new=.`
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import servers, table
from tests.bench.build import NoCompiler
from tests.bench.cluster import objects
from tests.bench.load import Load, load, write
from tests.bench.questions import ENDPOINTS
from tests.bench.scenarios import SCENARIOS, Scenario
from tests.bench.servers import Farm, PeerDown, Server
from tests.differential.api import Api

TOP = Path(__file__).parents[2]
LARGE = 500
BIG = 10_000
LEAST = 40_000
"""Packets of a round for servers that remember nothing, and so may get a file several times."""
ATTEMPTS = 3
"""A run that loses queries is tried again: the machine may have been away."""


@dataclass
class Figures:
    """What was measured: a list of rounds for each row and server."""

    rounds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def note(self, row: str, server: str, value: float) -> None:
        """Keeps a figure of a round."""
        self.rounds.setdefault(row, {}).setdefault(server, []).append(value)

    def has_failed(self, ours: Iterable[str]) -> bool:
        """True when something went wrong with kdns; what the peers lose is only told."""
        return any(
            f", {name}:" in each or each.startswith(name) for each in self.troubles for name in ours
        )

    def medians(self) -> dict[str, dict[str, float]]:
        """The table's cells."""
        return {
            row: {server: statistics.median(values) for server, values in cells.items()}
            for row, cells in self.rounds.items()
        }


@dataclass
class Bench:
    """Measures scenarios on running servers."""

    folder: Path
    services: int
    rounds: int
    figures: Figures = field(default_factory=Figures)

    def run(self, scenario: Scenario, running: list[Server]) -> None:
        """All rounds of a scenario, the servers alternating."""
        mine = [each for each in running if takes_part(scenario, each)]
        path = self.folder / "packets"
        for at in range(self.rounds):
            write(path, scenario.make(self.services, at, self.rounds))
            if scenario.is_warmed and not at:
                for each in mine:
                    self._ask(scenario, each, path, count=0)
            for each in mine * scenario.turns:
                if scenario.around:
                    self._around(scenario, each, path)
                    continue
                is_alone = each.workers != scenario.workers
                key = f"{scenario.key} alone" if is_alone else scenario.key
                self.figures.note(key, each.name, self._cost(scenario, each, path))

    def _around(self, scenario: Scenario, server: Server, path: Path) -> None:
        """The scenario between two loads of hot names, and what it adds to the memory."""
        hot = SCENARIOS[0]
        known = write(self.folder / "hot", hot.make(self.services, 0, 1))
        self._ask(hot, server, known, count=2000)
        before, memory = self._cost(hot, server, known, 40_000), server.memory_mb()
        self.figures.note(scenario.key, server.name, self._cost(scenario, server, path))
        self.figures.note(f"{scenario.key} memory", server.name, server.memory_mb() - memory)
        self.figures.note(f"{scenario.key} before", server.name, before)
        self.figures.note(
            f"{scenario.key} after", server.name, self._cost(hot, server, known, 40_000)
        )

    def _cost(
        self, scenario: Scenario, server: Server, path: Path, count: int | None = None
    ) -> float:
        """CPU µs of a server per answered query."""
        for _ in range(ATTEMPTS):
            before = server.cpu_s()
            found = self._ask(scenario, server, path, count=count)
            cost = (server.cpu_s() - before) / max(found.answered, 1) * 1e6
            if not found.lost:
                break
        self.figures.note(f"{scenario.key} p99 latency", server.name, found.p99_us)
        if found.trouble:
            self.figures.troubles.append(f"{scenario.key}, {server.name}: {found.trouble}")
        return cost

    def _ask(self, scenario: Scenario, server: Server, path: Path, count: int | None) -> Load:
        if count is None:
            count = scenario.count or (0 if server.remembers else LEAST)
        counted = ("-n", count) if count else ()
        any_ = ("-a",) if server.is_echo else ()
        return load(scenario.mode, server.port, path, *scenario.options, *counted, *any_)


def takes_part(scenario: Scenario, server: Server) -> bool:
    """Whether a server is asked; the checkouts of kdns always are."""
    return server.name in scenario.servers or server.name not in servers.NAMES


def main() -> int:
    """Runs the chosen rows; 1 when kdns is over what the issue asks for or a query went wrong."""
    options = _options()
    chosen = [each for each in SCENARIOS if not options.rows or each.key in options.rows.split(",")]
    trees = dict(_trees(options.tree)) or {"kdns": TOP}
    names = [n for n in options.servers.split(",") if n != "kdns"] + list(trees)
    for name, why in servers.missing().items():
        if name in names:
            names.remove(name)
            print(f"without {name}: {why}")
    try:
        figures = measure(chosen, names, trees, options.services, options.rounds)
    except NoCompiler as error:
        print(f"bench: {error}")
        return 1
    rows = table.rows(chosen, figures.medians(), names)
    print(table.format_plain(rows, names))
    print("\n".join(dict.fromkeys(figures.troubles)))
    if options.json:
        found = {"machine": table.machine(), "medians": figures.medians(), "rounds": figures.rounds}
        Path(options.json).write_text(json.dumps({**found, "troubles": figures.troubles}, indent=1))
    if options.readme:
        table.write(table.format_markdown(rows, names))
    return int(figures.has_failed(trees) or any(row.is_missed for row in rows))


def measure(
    chosen: list[Scenario], names: list[str], trees: dict[str, Path], services: int, rounds: int
) -> Figures:
    """Starts what is needed and measures all chosen rows."""
    if not any(each.is_big for each in chosen):
        services //= 10
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        api = stack.enter_context(Api(objects(services, ENDPOINTS, large=LARGE)))
        upstream, port = servers.c_peer("answer")
        stack.callback(upstream.wait)
        stack.callback(upstream.terminate)
        farm = Farm(folder, api.url, port, services, LARGE, trees)
        stack.callback(farm.stop)
        bench = Bench(folder, services, rounds)
        for setting in dict.fromkeys((each.is_wildcard, each.workers) for each in chosen):
            mine = [each for each in chosen if (each.is_wildcard, each.workers) == setting]
            try:
                running = _start(farm, names, *setting)
            except PeerDown as error:
                bench.figures.troubles.append(str(error))
                farm.stop()
                continue
            for scenario in mine if running else ():
                print(f"{scenario.name} …", file=sys.stderr, flush=True)
                bench.run(scenario, running)
            farm.stop()
    return bench.figures


def _start(farm: Farm, names: list[str], is_wildcard: bool, workers: int) -> list[Server]:
    """The servers that a setting needs: with several workers only kdns, with one beside it."""
    if workers == 1:
        return farm.start(names, is_wildcard=is_wildcard)
    able = [name for name, tree in farm.trees.items() if servers.has_workers(tree)]
    return farm.start(able) + farm.start(able, workers=workers)


def _trees(given: list[str]) -> Iterator[tuple[str, Path]]:
    for each in given:
        name, has_name, path = each.rpartition("=")
        yield (name if has_name else "kdns"), Path(path).resolve()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers")
    keys = ",".join(each.key for each in SCENARIOS)
    parser.add_argument("--rows", default="", help=f"of {keys}; all without")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", default=",".join(servers.NAMES), help="which take part")
    parser.add_argument("--services", type=int, default=BIG)
    parser.add_argument(
        "--tree", action="append", default=[], help="NAME=PATH of a checkout of kdns"
    )
    parser.add_argument("--json", default="", help="a file for all figures")
    parser.add_argument(
        "--readme", action="store_true", help="rewrite kdns/help/benchmarks.md and README.md"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
