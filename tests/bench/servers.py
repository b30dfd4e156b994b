"""A bench cluster becomes running servers that know it: the C echo, Knot, CoreDNS twice, and kdns.

CoreDNS and kdns get the same Corefile with everything on and read the same API; CoreDNS runs a second
time without `cache`. Knot gets the same records as a zone file. Each is ended by its own process id.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import build, questions
from tests.differential import peer

COREFILE = """.:{port} {{
    {bind}
    errors
    prometheus 127.0.0.1:{metrics}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        endpoint {api}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    forward . 127.0.0.1:{upstream}
    cache 30
    loadbalance
}}
"""
KNOT = """server:
    rundir: "{folder}"
    listen: {address}@{port}
database:
    storage: "{folder}"
zone:
  - domain: .
    file: "{folder}/zone"
    zonefile-sync: -1
    journal-content: none
"""
WORKERS = "--workers"
NAMES = ("echo", "knot", "coredns+cache", "coredns", "kdns")


class PeerDown(Exception):
    """A server does not serve; its log says why."""


@dataclass
class Server:
    """A running server of the bench."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int
    folder: Path
    workers: int = 1

    @property
    def is_echo(self) -> bool:
        """True for the one whose answers are only the questions."""
        return self.name == "echo"

    @property
    def remembers(self) -> bool:
        """False for those to whom a question that comes again is new."""
        return self.name not in ("echo", "knot")

    def tree(self) -> list[int]:
        """The process and all below it."""
        found, at = [self.process.pid], 0
        while at < len(found):
            for path in Path(f"/proc/{found[at]}/task").glob("*/children"):
                with suppress(OSError):
                    found += map(int, path.read_text().split())
            at += 1
        return found

    def cpu_s(self) -> float:
        """CPU time of all threads of the tree so far."""
        total = 0
        for pid in self.tree():
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError):
                    total += int(task.read_text().split()[0])
        return total / 1e9

    def memory_mb(self) -> float:
        """Resident memory of the tree."""
        total = 0
        for pid in self.tree():
            with suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return total * os.sysconf("SC_PAGE_SIZE") / 1e6

    def wait(self, packet: bytes, wait_s: float = 90.0) -> None:
        """Returns when it answers a question with records."""
        deadline = time.monotonic() + wait_s
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("127.0.0.1", self.port))
            probe.settimeout(0.2)
            while time.monotonic() < deadline and self.process.poll() is None:
                with suppress(OSError):
                    probe.send(packet)
                    reply = probe.recv(4096)
                    if self.is_echo or reply[7]:
                        return
                time.sleep(0.05)
        self.stop()
        raise PeerDown(f"{self.name} does not serve:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Ends it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Farm:
    """Starts servers, all in one folder and knowing one cluster."""

    folder: Path
    api: str
    upstream: int
    services: int
    large: int
    trees: dict[str, Path]
    """Checkouts of kdns, by the name of their column."""
    running: list[Server] = field(default_factory=list)

    def start(
        self, names: Iterable[str], *, is_wildcard: bool = False, workers: int = 1
    ) -> list[Server]:
        """Starts these servers; returns those that serve the last service, and says which do not."""
        last = questions.query(questions.service(self.services - 1), questions.A)
        started = [self._start(name, is_wildcard, workers) for name in names]
        serving = []
        for each in started:
            try:
                each.wait(last)
            except PeerDown as error:
                if each.name in self.trees:
                    raise
                print(error, file=sys.stderr)
            else:
                serving.append(each)
        return serving

    def stop(self) -> None:
        """Ends all servers."""
        for each in self.running:
            each.stop()
        self.running.clear()

    def _start(self, name: str, is_wildcard: bool, workers: int) -> Server:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        address, port = "0.0.0.0" if is_wildcard else "127.0.0.1", peer.free_port()
        if name == "echo":
            process, port = c_peer("echo", address)
        elif name == "knot":
            process = self._knot(folder, address, port)
        else:
            words = peer_command(name, self.trees)
            if workers > 1:
                words += [WORKERS, str(workers)]
            process = self._by_corefile(name, words, folder, port, is_wildcard)
        server = Server(name, process, port, folder, workers)
        self.running.append(server)
        return server

    def _knot(self, folder: Path, address: str, port: int) -> "subprocess.Popen[bytes]":
        (folder / "zone").write_text(questions.zone(self.services, self.large))
        (folder / "conf").write_text(KNOT.format(folder=folder, address=address, port=port))
        return run([knot() or "knotd", "-c", str(folder / "conf")], folder)

    def _by_corefile(
        self, name: str, words: list[str], folder: Path, port: int, is_wildcard: bool
    ) -> "subprocess.Popen[bytes]":
        text = COREFILE.format(
            port=port, metrics=peer.free_port(), api=self.api, upstream=self.upstream,
            bind="" if is_wildcard else "bind 127.0.0.1",
        )  # fmt: skip
        if name == "coredns":
            text = text.replace("    cache 30\n", "")
        (folder / "Corefile").write_text(text)
        tree = self.trees.get(name)
        return run([*words, "-conf", str(folder / "Corefile")], folder, tree)


def knot() -> str | None:
    """The Knot server, where it is installed."""
    return shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin:/usr/local/sbin")


def missing() -> dict[str, str]:
    """The peers that are not installed, and how to get them."""
    found = {}
    if not knot():
        found["knot"] = "Knot is not installed (Debian: apt install knot)"
    if not peer.coredns():
        why = "CoreDNS is not installed (go install github.com/coredns/coredns@v1.15.0)"
        found["coredns"] = found["coredns+cache"] = why
    return found


def peer_command(name: str, trees: dict[str, Path]) -> list[str]:
    """The command that starts a server on a Corefile."""
    if name in trees:
        return [sys.executable, "-m", "kdns"]
    return [peer.coredns() or "coredns"]


def has_workers(tree: Path) -> bool:
    """Whether the kdns of a checkout can run several processes."""
    environ = {**os.environ, "PYTHONPATH": str(tree)}
    words = [sys.executable, "-m", "kdns", "-h"]
    done = subprocess.run(words, capture_output=True, text=True, env=environ, cwd=tree, check=True)
    return WORKERS in done.stdout


def run(words: Sequence[str], folder: Path, tree: Path | None = None) -> "subprocess.Popen[bytes]":
    """Starts a process that writes its log into its folder."""
    environ = peer.environment()
    if tree is not None:
        environ["PYTHONPATH"] = str(tree)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            cwd=folder, env=environ,
        )  # fmt: skip


def c_peer(word: str, address: str = "127.0.0.1") -> tuple["subprocess.Popen[bytes]", int]:
    """Starts `peer.c` as echo, answer or lie; returns it and its port."""
    process = subprocess.Popen([build.program("peer"), word, address], stdout=subprocess.PIPE)
    assert process.stdout
    with process.stdout as printed:
        return process, int(printed.readline())
