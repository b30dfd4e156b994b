"""The walk through config/demo/README.md: every command prints what is shown, in order."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.walk import Shell, difference, steps, walk
from tests.running import free_port

TOP = Path(__file__).parents[2]
DEMO = TOP / "config" / "demo"
PORTS = ("5353", "18080", "18181", "19153")

pytestmark = pytest.mark.skipif(
    not (shutil.which("kubectl") and shutil.which("dig")), reason="needs kubectl and dig"
)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """What `make run` starts, on ports of its own."""
    ports = {port: str(free_port()) for port in PORTS}
    text = re.sub("|".join(PORTS), lambda match: ports[match[0]], (DEMO / "Corefile").read_text())
    (tmp_path / "Corefile").write_text(text)
    config = tmp_path / "kubeconfig"
    process = subprocess.Popen(
        [sys.executable, "-m", "kdns", "lab", "--port", "0", "--manifests", str(DEMO),
         "--kubeconfig-out", str(config), "--serve", str(tmp_path / "Corefile")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
    )  # fmt: skip
    found = Shell(
        {"KUBECONFIG": str(config)},
        str(TOP),
        {
            "127.0.0.1 -p 5353": f"127.0.0.1 -p {ports['5353']}",
            "127.0.0.1:5353": f"127.0.0.1:{ports['5353']}",
            ".venv/bin/kdns": f"{sys.executable} -m kdns",
        },
    )
    try:
        _wait(process, found)
        yield found
    finally:
        process.terminate()
        said = process.communicate(timeout=20)[0]
    assert process.returncode == 0, said


def _wait(process: subprocess.Popen[str], shell: Shell) -> None:
    """Until the shop stands: all pods are there and DNS answers."""
    ask = "dig @127.0.0.1 -p 5353 mysql-2.mysql.shop.svc.cluster.local +short +tries=1 +time=1"
    for _ in range(100):
        assert process.poll() is None, process.communicate()[0]
        if shell.run(ask).startswith("10.244."):
            return
        time.sleep(0.1)
    raise AssertionError("the demo does not come up")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_every_command_prints_what_is_shown(shell: Shell) -> None:
    for step in steps((DEMO / "README.md").read_text(encoding="utf-8")):
        wrong = walk(step, shell)
        assert not wrong, f"README.md:{step.line}: {step.command}\n{wrong}"


@pytest.mark.parametrize(
    ("shown", "printed", "holds"),
    [
        ("10.244.1.2", "10.244.3.9", True),
        ("10.96.20.1", "10.96.20.2", False),
        ("10.244.1.2", "10.244.1.2\n10.244.1.3", False),
        ("10.244.1.2\n10.244.1.3", "10.244.1.2", False),
        ("a\nb", "b\na", True),
        ("a\n...", "b\na", True),
        ("a\n...", "b", False),
        ("web-vvsv7jhl4h-q8f5t 1/1 5s", "web-6cg7vvh5g2-4vd9b   1/1  12s", True),
        ("web-vvsv7jhl4h-q8f5t 1/1 5s", "web-6cg7vvh5g2-4vd9b   0/1  12s", False),
        ("x 6s (x2 over 10s) y", "x 1s y", True),
    ],
)
def test_what_is_otherwise_is_noticed(shown: str, printed: str, holds: bool) -> None:
    assert bool(difference(tuple(shown.splitlines()), printed)) != holds
