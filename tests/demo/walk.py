"""Walks through a document: runs its ```console blocks in order and compares what they print.

`$ command` is followed by what it prints. What differs from run to run (addresses of pods, ages,
random names) is normalised on both sides, order does not count, and a line `...` stands for lines
that are not shown. Commands that only look are tried again until they show it, for PATIENCE_S.
A block behind `<!-- ours -->` is for kdns alone, where another server may stand in its place.
"""

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from kdns.lab.ranges import USUAL, Ranges

PATIENCE_S = 40.0
WITHIN_S = 300.0
"""For a command: kdns conformance has Go build a client, from nothing for a new user."""
LOOKS = re.compile(
    r"(dig|curl|kubectl( -n \S+)?( --token=\S+)? (get|describe|events|exec|logs|wait)"
    r"|kdns (query|explain|top|check|conformance|lab rules))\b"
)
SETS = re.compile(r"([A-Z]+)=\$\((.*)\)")
BLOCK = re.compile(r"^(<!-- ours -->\n)?```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

LETTERS = "[bcdfghjklmnpqrstvwxz2456789]"
NORMAL = (
    (re.compile(r"\b10\.244\.\d+\.\d+\b"), "10.244.0.0"),
    (re.compile(r"\b10-244-\d+-\d+\b"), "10-244-0-0"),
    (re.compile(r"\b10\.(?!96\.(?:0|10|20|30)\.)(?:9[6-9]|10\d|11[01])\.\d+\.\d+\b"), "CLUSTERIP"),
    (re.compile(r"\b198\.51\.100\.\d+\b"), "198.51.100.0"),
    (re.compile(r":3(?!0010/|0080/|0081/)\d{4}/"), ":NODEPORT/"),
    (re.compile(rf"-{LETTERS}{{10}}-{LETTERS}{{5}}\b"), "-HASH"),
    (re.compile(rf"-{LETTERS}{{10}}\b"), "-HASH"),
    (re.compile(rf"-{LETTERS}{{5}}\b"), "-HASH"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"^\s+\d+ (?=\S+\.$)"), "COUNT "),
    (re.compile(r"\b\d+(?= (of|clauses|failed that should|skipped)\b)"), "COUNT"),
    (re.compile(r"\b\d+(\.\d+)? (MB|[mµ]?s)(?=[\s).]|$)"), "AMOUNT"),
    (re.compile(r"\b\d+(ms|s|m)(\d+s)?( \(x\d+ over \d+s\))?(?=\s|$)"), "AGE"),
)
ADDRESS = re.compile(r"(?<![\d.])\d+\.\d+\.\d+\.\d+\b")
SHIFTED = re.compile(r"(?<=[:=#])20(0\d\d|[1-9]\d\d)\b")
"""A port below 1024 where it had to be moved,"""
HERE = re.compile(r" \(here on port \d+\)")
"""and how kdns lab rules says so."""


@dataclass(frozen=True)
class Step:
    """A command, where it stands, and what the document says it prints."""

    line: int
    command: str
    shown: tuple[str, ...]
    is_ours: bool = False


@dataclass
class Shell:
    """Where commands run; `replace` turns what a document says into what a test must use."""

    environ: dict[str, str]
    folder: str
    replace: Mapping[str, str] = field(default_factory=dict)
    ranges: Ranges = USUAL
    """Which addresses the lab has; a document has the usual ones."""

    def run(self, command: str) -> str:
        """What a command prints, errors too."""
        for old, new in self.replace.items():
            command = command.replace(old, new)
        done = subprocess.run(
            ["bash", "-c", moved(command, self.ranges)],
            env={**os.environ, **self.environ}, cwd=self.folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN_S, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        for old, new in self.replace.items():
            said = said.replace(new, old)
        return moved_back(said, self.ranges)


def moved(command: str, ranges: Ranges) -> str:
    """A command with the addresses that the lab has."""
    return ADDRESS.sub(lambda found: ranges.moved(found[0]), command)


def moved_back(said: str, ranges: Ranges) -> str:
    """What was printed there, as a lab with the usual addresses prints it."""
    if not ranges.is_loopback:
        return said
    pairs = [
        (getattr(ranges, name), getattr(USUAL, name))
        for name in ("services", "pods", "nodes", "outside")
    ]

    def usual(found: re.Match[str]) -> str:
        try:
            address = ip_address(found[0])
        except ValueError:
            return found[0]
        for here, there in pairs:
            if address in here:
                return str(there[int(address) - int(here.network_address)])
        return found[0]

    said = HERE.sub("", ADDRESS.sub(usual, said))
    return SHIFTED.sub(lambda port: str(int(port[1])), said)


def steps(text: str) -> Iterator[Step]:
    """The commands of a document."""
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(2)) + 1
        lines = block[2].splitlines()
        starts = [at for at, line in enumerate(lines) if line.startswith("$ ")]
        for at, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            shown = tuple(line for line in lines[at + 1 : end] if line.strip())
            yield Step(first + at, lines[at][2:], shown, bool(block[1]))


def normal(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, word in NORMAL:
        line = pattern.sub(word, line)
    return " ".join(line.split())


def difference(shown: tuple[str, ...], printed: str) -> str:
    """What is otherwise than shown, empty when nothing is."""
    wanted = Counter(normal(line) for line in shown if line.strip() != "...")
    found = Counter(normal(line) for line in printed.splitlines() if line.strip())
    missing, extra = wanted - found, found - wanted
    if "..." in (line.strip() for line in shown):
        extra = Counter()
    told = [f"missing: {line}" for line in missing] + [f"not shown: {line}" for line in extra]
    return "\n".join(told)


def walk(step: Step, shell: Shell) -> str:
    """Runs a step; gives what is otherwise than shown."""
    if step.command.startswith("export "):
        return ""
    until = time.monotonic() + PATIENCE_S
    if match := SETS.fullmatch(step.command):
        while not (said := shell.run(match[2]).strip()) and time.monotonic() < until:
            time.sleep(0.05)
        shell.environ[match[1]] = said
        return "" if said else "missing: a value"
    while True:
        wrong = difference(step.shown, shell.run(step.command))
        if not wrong or not LOOKS.match(step.command) or time.monotonic() > until:
            return wrong
        time.sleep(0.05)
