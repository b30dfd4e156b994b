"""`python -m tests.demo.ordinary`: a newcomer's way, from a clean clone, as an ordinary user.

Clones the repository, sets up and starts `make run` in the clone, and walks the tour: in namespaces
where the kernel allows them, and on loopback addresses. Root first becomes a user without rights.
Whatever was started is ended by its process id.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.conftest import obstacle
from tests.demo.conftest import alone
from tests.demo.played import command, ranges
from tests.demo.walk import Shell, steps, walk
from tests.running import free_port

TOP = Path(__file__).parents[2]
NOBODY = 65534
PYTHON = "/usr/bin/python3"
SETUP_S = 600.0
ASK = "dig @127.0.0.1 -p 5353 kubernetes.default.svc.cluster.local +short +tries=1 +time=1"
KEPT = ("PATH", "LANG", "PIP_", "UV_", "SSL_CERT")
"""Of the environment; what a checkout's own .venv adds is for nobody else."""


def main() -> int:
    """0 when every command printed what is shown, in every way there is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="kdns-ordinary-") as name:
        home = Path(name)
        clone = home / "kdns"
        subprocess.run(["git", "clone", "--quiet", f"file://{TOP}", str(clone)], check=True)
        _become_ordinary(home)
        ways = ["loopback"] if (why := obstacle()) else ["namespaces", "loopback"]
        if why:
            print(f"the tour in namespaces is left out: {why}", flush=True)
        with alone():
            return max(_toured(clone, way) for way in ways)


def _become_ordinary(home: Path) -> None:
    """A user without rights, whose home this is."""
    if os.getuid() == 0:
        for folder, _, files in os.walk(home):
            for one in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(one, NOBODY, NOBODY, follow_symlinks=False)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    environ = {name: text for name, text in os.environ.items() if name.startswith(KEPT)}
    bin_ = str(Path(sys.prefix) / "bin")
    environ["PATH"] = ":".join(one for one in environ["PATH"].split(":") if one != bin_)
    os.environ.clear()
    os.environ.update(environ, HOME=str(home), TMPDIR=str(home))
    tempfile.tempdir = str(home)
    os.chdir(home)


def _toured(clone: Path, way: str) -> int:
    """Walks the tour once; prints what is otherwise than shown."""
    began = time.monotonic()
    with _running(clone, way) as shell:
        ready = time.monotonic()
        for step in steps((clone / "config" / "demo" / "README.md").read_text(encoding="utf-8")):
            if wrong := walk(step, shell):
                print(f"{way}: config/demo/README.md:{step.line}: {step.command}\n{wrong}")
                return 1
    took = f"{ready - began:.0f} s until it stood, {time.monotonic() - ready:.0f} s for the tour"
    print(f"{way}: every command printed what is shown; {took}", flush=True)
    return 0


@contextmanager
def _running(clone: Path, way: str) -> Iterator[Shell]:
    """`make run`, until the block ends as with Ctrl-C."""
    folder = clone.parent / way
    folder.mkdir()
    log = folder / "log"
    port, page = free_port(), free_port()
    places = f"--port 0 --dns-port {port} --page-port {page}"  # others may play on this machine
    with log.open("w") as out:
        process = subprocess.Popen(
            ["make", "run", f"PYTHON={PYTHON}", f"PLAY={way} {places}"],
            cwd=clone, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    python = str(clone / ".venv" / "bin" / "python")
    environ = {
        "KUBECONFIG": str(clone / ".kdns" / "kubeconfig"),
        "PATH": f"{command(folder, str(page), python)}:{os.environ['PATH']}",
    }
    shell = Shell(
        environ,
        str(clone),
        {
            "127.0.0.1 -p 5353": f"127.0.0.1 -p {port}",
            "127.0.0.1:5353": f"127.0.0.1:{port}",
        },
    )
    try:
        until = time.monotonic() + SETUP_S
        while not _stands(shell):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"make run does not come up:\n{log.read_text()}")
            time.sleep(0.2)
        shell.ranges = ranges(log.read_text())
        yield shell
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        said = log.read_text()
    if "Traceback" in said:
        raise SystemExit(said)


def _stands(shell: Shell) -> bool:
    """This one, not what somebody else may have on port 5353."""
    is_there = Path(shell.environ["KUBECONFIG"]).exists()
    return is_there and bool(re.match(r"\d+\.\d+\.0\.1\n", shell.run(ASK)))


if __name__ == "__main__":
    if not shutil.which("kubectl"):
        sys.exit("the tour is left out: kubectl is not installed")
    sys.exit(main())
