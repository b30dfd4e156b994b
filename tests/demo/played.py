"""What `make run` starts, on ports of its own and played in one of its ways, and a shell beside it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from kdns.lab.ranges import USUAL, Ranges, loopback
from tests.demo.walk import Shell
from tests.running import free_port

TOP = Path(__file__).parents[2]
DEMO = TOP / "config" / "demo"
PATIENCE_S = 100.0
Way = Literal["namespaces", "loopback"]

KDNS = """#!{python}
import sys
from kdns.cli import explain, top
from kdns.cli.main import main
explain.STATUS = top.ADDRESS = "127.0.0.1:{port}"
sys.exit(main())
"""
"""The command, which looks for the status page where it is here."""


@contextmanager
def played(
    folder: Path, way: Way, *, dns: str = "", places: tuple[Path, ...] = (DEMO,), top: Path = TOP
) -> Iterator[Shell]:
    """A lab with these manifests, until the block ends; `dns` is a server in place of kdns."""
    port, page = free_port(), free_port()
    (folder / "config").symlink_to(top / "config")
    config = folder / ".kdns" / "kubeconfig"
    corefile = folder / "Corefile"
    text = (DEMO / "Corefile").read_text()
    corefile.write_text(re.sub(r"(?m)^ +status .*\n", "", text) if dns else text)
    words = ["--play", way, "--port", "0", "--dns-port", str(port), "--page-port", str(page),
             "--kubeconfig-out", str(config), "--serve", str(corefile),
             "--manifests", *map(str, places)]  # fmt: skip
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "kdns", "lab", *words, *(("--dns", dns) if dns else ())],
            stdout=out, stderr=subprocess.STDOUT, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(top)},
        )  # fmt: skip
    shell = Shell(
        {
            "KUBECONFIG": str(config),
            "PATH": f"{command(folder, str(page), sys.executable)}:{os.environ['PATH']}",
            "PYTHONPATH": str(top),
        },
        str(folder),
        {
            "127.0.0.1 -p 5353": f"127.0.0.1 -p {port}",
            "127.0.0.1:5353": f"127.0.0.1:{port}",
            "http://127.0.0.1:9154": f"http://127.0.0.1:{page}",
        },
    )
    try:
        _wait(process, shell, log)
        shell.ranges = ranges(log.read_text())
        yield shell
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    said = log.read_text()
    assert process.returncode == 0, said
    assert "Traceback" not in said, said


def command(folder: Path, port: str, python: str) -> Path:
    """A folder with `kdns` in it."""
    place = folder / "bin"
    place.mkdir()
    (place / "kdns").write_text(KDNS.format(python=python, port=port))
    (place / "kdns").chmod(0o755)
    return place


def _wait(process: "subprocess.Popen[bytes]", shell: Shell, log: Path) -> None:
    """Until it stands: a name of the cluster is answered."""
    ask = "dig @127.0.0.1 -p 5353 kubernetes.default.svc.cluster.local +short +tries=1 +time=1"
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        if re.match(r"\d+\.\d+\.0\.1\n", shell.run(ask)):
            return
        time.sleep(0.1)
    raise AssertionError(f"the lab does not come up:\n{log.read_text()}")


def ranges(log: str) -> Ranges:
    """Which addresses a lab has, by what it says."""
    said = re.search(r"services 127\.(\d+)\.0\.0/12", log)
    return loopback((int(said[1]) - 96) // 16) if said else USUAL


def lacks() -> str:
    """What the demo's commands need and is not here."""
    missing = [one for one in ("kubectl", "dig", "curl") if shutil.which(one) is None]
    return f"needs {' and '.join(missing)}" if missing else ""
