"""`python -m tests.bench.overload`: what a flood of questions costs others, with and without shares.

Ten clients ask 2,000 hot names a second while one address sends as fast as a core can. The server
has a core of its own; what the kernel notes of a reply's arrival is what counts. Prints a table.
"""

import argparse
import json
import os
import select
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import build, questions
from tests.bench.cluster import objects
from tests.bench.load import load, write
from tests.bench.servers import Server, run
from tests.differential import peer
from tests.differential.api import Api

COREFILE = """.:{port} {{
    bind 127.0.0.1
    {fair}
    kubernetes cluster.local {{
        endpoint {api}
        ttl 30
    }}
}}
"""
SERVICES = 100
KINDS = {"new names": "water torture: no name twice", "hot names": "20 names, again and again"}
SERVERS = {
    "kdns": "kdns",
    "kdns, fair off": "kdns, `fair off`",
    "coredns": "CoreDNS 1.15.0",
}
FLOODER, CLIENTS, RATE = "127.9.9.9", 10, 2000
FIRST = ["chrt", "-r", "1"] if not os.geteuid() and shutil.which("chrt") else []
"""Before all that others do on this machine, where we may: they are not what is measured."""
ALL = os.sched_getaffinity(0)
SO_TIMESTAMPNS = 35
SETTLED_S = 1.0
"""What passes after the flood's begin before others' figures are taken; the begin has its own."""


@dataclass
class Seen:
    """What others got."""

    times: list[float] = field(default_factory=list)
    sent: int = 0

    def __str__(self) -> str:
        lost = 100 * (1 - len(self.times) / self.sent)
        return f"{self.at(0.5)} / {self.at(0.99)} µs, {lost:.2f} % lost"

    def at(self, share: float) -> str:
        """Microseconds that so many took at most."""
        if not self.times:
            return "–"
        found = sorted(self.times)
        return f"{found[min(len(found) - 1, int(len(found) * share))] * 1e6:,.0f}"


def ask(port: int, packets: list[bytes], seconds: float) -> Seen:
    """Ten clients ask at their pace; times are from sending to the kernel's note of the reply."""
    seen, waiting = Seen(), {}
    polled, socks = select.poll(), {}
    for at in range(CLIENTS):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((f"127.1.0.{at + 1}", 0))
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setblocking(False)
        polled.register(sock, select.POLLIN)
        socks[sock.fileno()] = sock
    order, began = list(socks), time.time()
    while (passed := time.time() - began) < seconds + 0.5:
        while passed < seconds and seen.sent < passed * RATE:
            fd, id_ = order[seen.sent % CLIENTS], (seen.sent & 0xFFFF).to_bytes(2, "big")
            waiting[fd, id_] = time.time()
            with suppress(OSError):  # an ICMP error of an earlier one
                socks[fd].send(id_ + packets[seen.sent % len(packets)][2:])
            seen.sent += 1
        for fd, _ in polled.poll(1):
            _receive(socks[fd], waiting, seen)
    for sock in socks.values():
        sock.close()
    return seen


def _receive(sock: socket.socket, waiting: dict[tuple[int, bytes], float], seen: Seen) -> None:
    with suppress(OSError):
        packet, notes, _, _ = sock.recvmsg(4096, 64)
        at, parts = struct.unpack("qq", notes[0][2][:16])
        sent = waiting.pop((sock.fileno(), packet[:2]), None)
        if sent is not None:
            seen.times.append(at + parts / 1e9 - sent)


@contextmanager
def serving(name: str, folder: Path, api: str) -> Iterator[tuple[int, int]]:
    """A server of a Corefile, on a core of its own; gives its port and process."""
    port = peer.free_port()
    fair = "fair off" if name.endswith("off") else ""
    (folder / "Corefile").write_text(COREFILE.format(port=port, fair=fair, api=api))
    words = [sys.executable, "-m", "kdns"]
    if name == "coredns":
        words = [peer.coredns() or "coredns"]
    tree = Path(__file__).parents[2] if name != "coredns" else None
    process = run([*FIRST, *words, "-conf", str(folder / "Corefile")], folder, tree)
    _place(process.pid, {min(ALL)} if name != "coredns" else ALL)
    try:
        Server(name, process, port, folder).wait(questions.hot(SERVICES)[0][0])
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _place(pid: int, cores: set[int]) -> None:
    with suppress(OSError):
        os.sched_setaffinity(pid, cores)


@contextmanager
def before_others() -> Iterator[None]:
    """The clients, too."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass
class Row:
    """What became of one server under one kind of flood."""

    calm: list[Seen] = field(default_factory=list)
    first: list[Seen] = field(default_factory=list)
    flooded: list[Seen] = field(default_factory=list)
    capacity: list[float] = field(default_factory=list)
    flood: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def format(self, kind: str, name: str) -> str:
        """A row of the table, in Markdown: of several rounds the one in the middle."""
        before, after = self.memory[-1]
        capacity, flood = statistics.median(self.capacity), statistics.median(self.flood)
        return (
            f"| {kind} | {SERVERS[name]} | {capacity:,.0f} | {flood:,.0f} ({flood / capacity:.0f} ×) |"
            f" {_middle(self.calm)} | {_middle(self.first)} | {_middle(self.flooded)} |"
            f" {before:.0f} → {after:.0f} MB |"
        )


def _middle(rounds: list[Seen]) -> Seen:
    return sorted(rounds, key=lambda one: (len(one.times) / one.sent, -_p99(one)))[len(rounds) // 2]


def _p99(seen: Seen) -> float:
    return sorted(seen.times)[int(len(seen.times) * 0.99)] if seen.times else 1e9


def trial(name: str, kind: str, where: tuple[Path, str], seconds: float, row: Row) -> None:
    """One round of one server."""
    folder, api = where
    is_new = kind == "new names"
    hot = [packet for packet, _ in questions.hot(SERVICES)]
    asked = questions.missing(60_000, 0) if is_new else questions.hot(SERVICES)
    path = write(folder / "asked", asked)
    flood = build.program("flood")
    with serving(name, folder, api) as (port, pid):
        count = ("-n", len(asked) if is_new else 200_000)
        found = load("window", port, path, "-w", 256, *count)
        row.capacity.append(found.answered / found.seconds)
        with before_others():
            row.calm.append(ask(port, hot, seconds))
        before = memory_mb(pid)
        words = [*FIRST, flood, "127.0.0.1", str(port), path, FLOODER]
        words += ["-d", str(seconds + SETTLED_S + 1)]
        flooding = subprocess.Popen(
            [*words, *(["-u"] if is_new else [])], stdout=subprocess.PIPE, text=True
        )
        with before_others():
            row.first.append(ask(port, hot, SETTLED_S))
            row.flooded.append(ask(port, hot, seconds))
        row.memory.append((before, memory_mb(pid)))
        said = json.loads(flooding.communicate()[0])
        row.flood.append(said["sent"] / said["seconds"])


def main() -> int:
    """Measures all, and prints."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.overload")
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--servers", default=",".join(SERVERS).replace("kdns, fair", "kdns;fair"))
    given = options.parse_args()
    names = [one.replace(";", ", ") for one in given.servers.split(",")]
    _place(0, ALL - {min(ALL)} or ALL)
    rows = {(kind, name): Row() for kind in KINDS for name in names}
    with (
        tempfile.TemporaryDirectory(prefix="overload-") as folder,
        Api(objects(SERVICES, 2, large=1)) as api,
    ):
        for _ in range(given.rounds):
            for (kind, name), row in rows.items():
                trial(name, kind, (Path(folder), api.url), given.seconds, row)
    print(
        "| flood of | server | it can answer /s | flooder sends /s | others before: p50 / p99 |"
        " first second | then | memory |\n|---|---|---|---|---|---|---|---|"
    )
    for (kind, name), row in rows.items():
        print(row.format(kind, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
