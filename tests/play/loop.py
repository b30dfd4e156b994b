"""A loop of connections from inside a pod, and its judge: who may have answered, and who may not."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.play.cluster import TOP, Cluster, Watched

KNOCKS = (
    "env",
    f"PYTHONPATH={TOP}",
    "PYTHONDONTWRITEBYTECODE=1",
    sys.executable,
    "-m",
    "tests.play.knocks",
)
LATE_S = 1.0
"""How long an event may be on its way to us: others may have learned before that a pod is back."""


@dataclass(frozen=True)
class Knock:
    """One connection."""

    began: float
    ended: float
    who: str
    why: str


@dataclass
class Loop:
    """Knocks until it is ended."""

    cluster: Cluster
    service: str
    process: "subprocess.Popen[str]"
    heard: Path

    @property
    def count(self) -> int:
        """How many connections have been made."""
        return self.heard.read_bytes().count(b"\n")

    def end(self) -> list[Knock]:
        """Ends it; all that it has heard."""
        _, err = self.process.communicate(timeout=60)
        assert not self.process.returncode, err
        return [Knock(*json.loads(line)) for line in self.heard.read_text().splitlines()]


def begin(cluster: Cluster, service: str, *words: str, pod: str = "client") -> Loop:
    """From a pod, or ("") from the machine outside."""
    heard = cluster.folder / f"heard-{len(list(cluster.folder.glob('heard-*')))}"
    command = cluster.command(pod, *KNOCKS, *words) if pod else [*KNOCKS, *words]
    with heard.open("w") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, text=True, cwd=TOP
        )
    return Loop(cluster, service, process, heard)


def judged(knocks: list[Knock], watched: Watched, service: str) -> tuple[list[Knock], list[Knock]]:
    """Answers of pods that had left before their connection began; failures while two were ready."""
    astray, failed = [], []
    for one in knocks:
        known = set().union(*(there for at, there, _ in watched.seen[service] if at <= one.began))
        if one.who:
            now = during(watched, service, one.began, one.ended + LATE_S)
            if one.who in known and not any(one.who in there for there in now) and now[0]:
                astray.append(one)
        elif min(map(len, during(watched, service, one.began, one.ended))) >= 2:
            failed.append(one)
    return astray, failed


def during(watched: Watched, service: str, began: float, ended: float) -> list[frozenset[str]]:
    """The ready pods of each moment of a time; the first as it began."""
    seen = watched.seen[service]
    first = [there for at, there, _ in seen if at <= began][-1:] or [frozenset()]
    return [*first, *(there for at, there, _ in seen if began < at <= ended)]


def stale(knocks: list[Knock], watched: Watched, service: str) -> float:
    """How long after an address had left, at most, a question was still answered with it."""
    worst = 0.0
    seen = watched.seen[service]
    for one in knocks:
        before = [(at, where) for at, _, where in seen if at <= one.began]
        during = [where for at, _, where in seen if one.began < at <= one.ended + LATE_S]
        for address in one.who.split(",") if one.who else ():
            if any(address in where for where in (*(where for _, where in before[-1:]), *during)):
                continue
            left = None
            for at, where in before:
                left = None if address in where else at if left is None else left
            if left is not None and any(address in where for _, where in before):
                worst = max(worst, one.began - left)
    return worst


def shown(one: Knock, watched: Watched, service: str) -> str:
    """A connection, and the endpoints around it."""
    around = [
        f"{at - one.began:+.3f}: {' '.join(sorted(there))}"
        for at, there, _ in watched.seen[service]
        if one.began - 1.5 < at < one.ended + 1
    ]
    what = one.who or one.why
    return f"{what} after {one.ended - one.began:.3f} s; endpoints {'; '.join(around)}"
