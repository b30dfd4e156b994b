"""A room where the real tools and ours see the same /etc and the same servers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdns.lab.tools import programs
from tests.clients.conftest import UNSHARE, Printed, lacking, obstacle

RESOLV = (
    "search default.svc.cluster.local svc.cluster.local cluster.local\n"
    "nameserver 127.96.0.10\noptions ndots:5 timeout:10 attempts:1\n"
)


@dataclass(frozen=True)
class Bench:
    """Where commands run."""

    process: "subprocess.Popen[str]"
    tools: Path

    def ours(self, *argv: str, resolv: str = RESOLV) -> Printed:
        return self.run([str(self.tools / argv[0]), *argv[1:]], resolv=resolv)[0]

    def both(self, *argv: str, resolv: str = RESOLV) -> list[Printed]:
        """What ours and the real one say."""
        if shutil.which(argv[0]) is None:
            lacking(f"{argv[0]} is not installed")
        return self.run([str(self.tools / argv[0]), *argv[1:]], list(argv), resolv=resolv)

    def run(self, *argvs: list[str], resolv: str = RESOLV) -> list[Printed]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"argvs": argvs, "resolv": resolv}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the bench ended"
        return [Printed(**said) for said in json.loads(line)]


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if why := obstacle():
        lacking(why)
    folder = tmp_path_factory.mktemp("bench")
    tools = programs.folder(folder)
    with (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [*UNSHARE, sys.executable, "-m", "tests.lab.tools.inside", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err,
            text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip
    try:
        assert process.stdout
        assert "ready" in process.stdout.readline(), (folder / "err").read_text()
        yield Bench(process, tools)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(60)
        assert process.stdout
        process.stdout.close()
