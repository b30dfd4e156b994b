"""What `make run` starts, on ports of its own, and a shell beside it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.walk import Shell
from tests.running import free_port

TOP = Path(__file__).parents[2]
DEMO = TOP / "config" / "demo"
PORTS = ("5353", "9154", "18080", "18181", "19153")

KDNS = """#!{python}
import sys
from kdns.cli import explain, top
from kdns.cli.main import main
explain.STATUS = top.ADDRESS = "127.0.0.1:{port}"
sys.exit(main())
"""
"""The command, which looks for the status page where it is here."""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The lab with the shop, and kdns for it."""
    folder = tmp_path_factory.mktemp("demo")
    ports = {port: str(free_port()) for port in PORTS}
    text = re.sub("|".join(PORTS), lambda match: ports[match[0]], (DEMO / "Corefile").read_text())
    (folder / "Corefile").write_text(text)
    config = folder / "kubeconfig"
    process = subprocess.Popen(
        [sys.executable, "-m", "kdns", "lab", "--port", "0", "--manifests", str(DEMO),
         "--kubeconfig-out", str(config), "--serve", str(folder / "Corefile")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
    )  # fmt: skip
    found = Shell(
        {
            "KUBECONFIG": str(config),
            "PATH": f"{_command(folder, ports['9154'])}:{os.environ['PATH']}",
            "PYTHONPATH": str(TOP),
        },
        str(TOP),
        {
            "127.0.0.1 -p 5353": f"127.0.0.1 -p {ports['5353']}",
            "127.0.0.1:5353": f"127.0.0.1:{ports['5353']}",
            "http://127.0.0.1:9154": f"http://127.0.0.1:{ports['9154']}",
        },
    )
    try:
        _wait(process, found)
        yield found
    finally:
        process.terminate()
        said = process.communicate(timeout=20)[0]
    assert process.returncode == 0, said


def _command(folder: Path, port: str) -> Path:
    """A folder with `kdns` in it."""
    place = folder / "bin"
    place.mkdir()
    (place / "kdns").write_text(KDNS.format(python=sys.executable, port=port))
    (place / "kdns").chmod(0o755)
    return place


def _wait(process: subprocess.Popen[str], shell: Shell) -> None:
    """Until the shop stands: all pods are there and DNS answers."""
    ask = "dig @127.0.0.1 -p 5353 mysql-2.mysql.shop.svc.cluster.local +short +tries=1 +time=1"
    for _ in range(100):
        assert process.poll() is None, process.communicate()[0]
        if shell.run(ask).startswith("10.244."):
            return
        time.sleep(0.1)
    raise AssertionError("the demo does not come up")
