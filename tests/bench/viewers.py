"""`python -m tests.bench.viewers`: what the status page costs those who ask for names.

The same server, 10,000 services of 15 endpoints, answers hot names without `status`, with it, and
with it while twenty pages follow it and names are explained. Per column: CPU per query with all
that can be sent, and what is lost of 20,000 queries a second. Medians of several rounds.
"""

import argparse
import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import questions
from tests.bench.cluster import objects
from tests.bench.load import load, write
from tests.bench.servers import Server
from tests.differential import peer
from tests.differential.api import Api

SERVICES, ENDPOINTS = 10_000, 15
VIEWERS, RATE, SECONDS = 20, 20_000, 8
EXPLAINED_EVERY_S = 0.5
COREFILE = """.:{port} {{
    bind 127.0.0.1
    errors
    {status}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        endpoint {api}
    }}
    cache 30
}}
"""


@contextmanager
def serving(folder: Path, api: str, status: int) -> Iterator[Server]:
    """A server; with a page if a port for it is given."""
    port = peer.free_port()
    says = f"status 127.0.0.1:{status}" if status else ""
    corefile = folder / f"Corefile{status}"
    corefile.write_text(COREFILE.format(port=port, status=says, api=api))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kdns", "-conf", str(corefile), "-quiet"], stdout=log, stderr=log
        )
    server = Server("kdns", process, port, folder)
    try:
        server.wait(questions.query(questions.service(SERVICES - 1), questions.A))
        yield server
    finally:
        server.stop()


class Viewers:
    """Pages that follow a server, and one who has names explained, from entry to exit."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_over = threading.Event()
        self.octets = [0] * VIEWERS
        self.explained = 0
        self._threads = [threading.Thread(target=self._follow, args=(at,)) for at in range(VIEWERS)]
        self._threads.append(threading.Thread(target=self._explain))

    def __enter__(self) -> "Viewers":
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for one in self._threads:
            one.join()

    def _follow(self, at: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        connection.request("GET", "/events")
        reply = connection.getresponse()
        while not self._is_over.is_set():
            self.octets[at] += len(reply.readline())
        connection.close()

    def _explain(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._is_over.wait(EXPLAINED_EVERY_S):
            connection.request("GET", "/explain?name=nothing.nowhere")
            assert connection.getresponse().read().startswith(b"{")
            self.explained += 1
        connection.close()


def trial(server: Server, path: Path) -> tuple[float, int, int, float]:
    """CPU µs per query under all that can be sent; lost, sent and p99 µs at the steady rate."""
    began = server.cpu_s()
    full = load("window", server.port, path, "-n", 400_000)
    cost = (server.cpu_s() - began) / full.answered * 1e6
    steady = load("paced", server.port, path, "-q", RATE, "-n", RATE * SECONDS)
    if steady.wrong or steady.strange:
        raise RuntimeError(steady.trouble)
    return cost, steady.lost, steady.sent, steady.p99_us


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[str, list[tuple[float, int, int, float]]] = {}
    with tempfile.TemporaryDirectory() as name, Api(objects(SERVICES, ENDPOINTS)) as api:
        folder = Path(name)
        path = write(folder / "hot", questions.hot(SERVICES))
        for _ in range(rounds):
            with serving(folder, api.url, 0) as server:
                found.setdefault("without status", []).append(trial(server, path))
            status = peer.free_port()
            with serving(folder, api.url, status) as server:
                found.setdefault("status", []).append(trial(server, path))
                with Viewers(status) as viewers:
                    time.sleep(1)
                    row = trial(server, path)
                    found.setdefault(f"status, {VIEWERS} pages follow", []).append(row)
                heard = sum(viewers.octets) / 1e6
                print(f"{heard:.1f} MB followed, {viewers.explained} names explained")
    print(f"| | CPU µs per query | lost of {RATE:,} q/s | p99 µs |\n|---|---|---|---|")
    for title, rows in found.items():
        cost = statistics.median(row[0] for row in rows)
        lost, sent = sum(row[1] for row in rows), sum(row[2] for row in rows)
        p99 = statistics.median(row[3] for row in rows)
        print(f"| {title} | {cost:.2f} | {lost} of {sent:,} | {p99:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
