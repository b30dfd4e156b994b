"""What a fuzz run did and what it found: counts, rates, and a reproducer for each finding."""

import logging
import resource
import time
from collections import Counter
from dataclasses import dataclass, field

KEPT = 3
"""Reproducers kept of each kind of finding."""


@dataclass
class Report:
    """Counts and findings of one run."""

    started: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    worst_s: dict[str, float] = field(default_factory=dict)
    """The most CPU that one call took, by room."""
    memory: list[tuple[int, float]] = field(default_factory=list)
    """(packets so far, resident MB)."""
    findings: dict[str, list[str]] = field(default_factory=dict)

    def find(self, what: str, repro: str) -> None:
        """Notes something that must not be, with what shows it again."""
        self.counts[f"FOUND {what}"] += 1
        kept = self.findings.setdefault(what, [])
        if len(kept) < KEPT:
            kept.append(repro)

    def spent(self, room: str, cpu_s: float) -> None:
        """Notes what a call took."""
        self.worst_s[room] = max(self.worst_s.get(room, 0.0), cpu_s)

    def measure(self, packets: int) -> None:
        """Notes how much memory the process holds."""
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        self.memory.append((packets, pages * resource.getpagesize() / 1e6))

    def growth_mb(self) -> float:
        """Growth over the last half of the checkpoints, from where it had settled."""
        if len(self.memory) < 4:
            return 0.0
        settled = max(mb for _, mb in self.memory[: len(self.memory) // 2])
        return self.memory[-1][1] - settled

    def text(self) -> str:
        """The whole report."""
        took = time.monotonic() - self.started
        lines = [f"{took:.1f} s"]
        for name, count in sorted(self.counts.items()):
            lines.append(f"  {count:>9}  {name}")
        for room, cpu_s in sorted(self.worst_s.items()):
            lines.append(f"  {cpu_s * 1000:9.1f}  ms CPU at most in one call: {room}")
        if self.memory:
            shown = " ".join(f"{mb:.1f}" for _, mb in self.memory)
            lines.append(f"  memory in MB: {shown}; growth after settling {self.growth_mb():.1f}")
        for what, repros in self.findings.items():
            lines += ["", f"FOUND {what}"]
            lines += [f"  {repro}" for repro in repros]
        return "\n".join(lines)


class Listener(logging.Handler):
    """Collects what kdns logs: warnings are counted, tracebacks are findings."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []
        self.tracebacks: list[str] = []
        self._format = logging.Formatter().formatException

    def emit(self, record: logging.LogRecord) -> None:
        for entry in getattr(record, "entries", ()):  # query lines, which are made when written
            entry.text()
            entry.fields()
        if record.exc_info and record.exc_info[0] is not None:
            self.tracebacks.append(self._format(record.exc_info))
        elif record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())

    def __enter__(self) -> "Listener":
        self._root = logging.getLogger("kdns")
        self._before = self._root.propagate, self._root.level
        self._root.propagate = False
        self._root.setLevel(logging.INFO)
        self._root.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._root.removeHandler(self)
        self._root.propagate, level = self._before
        self._root.setLevel(level)

    def take(self) -> tuple[list[str], list[str]]:
        """The warnings and tracebacks since the last call."""
        taken = self.warnings, self.tracebacks
        self.warnings, self.tracebacks = [], []
        return taken
