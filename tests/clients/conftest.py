"""The room: namespaces in which kdns is the only DNS server, and real clients run as commands."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.inside import WITHOUT_FORWARD

UNSHARE = (
    "unshare", "--user", "--map-root-user", "--mount", "--net", "--fork", "--kill-child",
)  # fmt: skip
NAMESERVERS = {
    "one": ("127.0.0.53",),
    "two": ("127.0.0.53", "127.0.0.54"),
    "no-ra": (WITHOUT_FORWARD,),
}
WORRIES = ("warning", "recursion", " error", "timed out", "retrying", "refused", "can't")
SEARCH = "search shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"


@dataclass(frozen=True)
class Printed:
    """What a client said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed, white space evened out."""
        return [" ".join(line.split()) for line in self.out.splitlines() if line.strip()]

    @property
    def is_calm(self) -> bool:
        """True when it complained about nothing."""
        return not self.err and not any(word in self.out.lower() for word in WORRIES)


@dataclass(frozen=True)
class Room:
    """Where commands run."""

    process: "subprocess.Popen[str]"

    def run(self, *argv: str, nameservers: str = "one") -> Printed:
        """Runs a client as it would run in a pod."""
        if shutil.which(argv[0]) is None:
            lacking(f"{argv[0]} is not installed")
        servers = "".join(f"nameserver {to}\n" for to in NAMESERVERS[nameservers])
        self._write({"argv": argv, "resolv": servers + SEARCH})
        return Printed(**self.read())

    def read(self) -> dict:
        """What the room says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the room ended"
        return json.loads(line)

    def _write(self, asked: dict) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()


def lacking(why: str) -> None:
    """Skips; fails where the clients must be there (KDNS_REQUIRE_CLIENTS=1)."""
    if os.environ.get("KDNS_REQUIRE_CLIENTS") == "1":
        pytest.fail(f"{why}, and KDNS_REQUIRE_CLIENTS is set")
    pytest.skip(why)


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """One room for all clients."""
    folder = tmp_path_factory.mktemp("room")
    if why := obstacle():
        lacking(why)
    command = [*UNSHARE, sys.executable, "-m", "tests.clients.inside", str(folder)]
    with (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
    try:
        first = process.stdout.readline() if process.stdout else ""
        assert "ready" in first, (folder / "err").read_text()
        yield Room(process)
        for log in folder.glob("log-*"):
            assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        _end(process)


def obstacle() -> str:
    """Why there can be no room here; empty when there can."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


def _end(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
