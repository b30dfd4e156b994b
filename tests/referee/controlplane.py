"""A real Kubernetes control plane as a child process, where this checkout has the program for it.

KDNS_CONTROLPLANE names the program, else ../shared/controlplane/controlplane beside the repository
is it: `PROGRAM DIR PORT` prints "ready", DIR/kubeconfig is the admin's, SIGTERM ends it.
"""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.referee.kube import Kube
from tests.running import free_port, is_free

TOP = Path(__file__).parents[2]
HOW = (
    "no control plane here: set KDNS_CONTROLPLANE to a program that takes DIR PORT and writes "
    "DIR/kubeconfig, or KDNS_E2E_KUBECONFIG to the kubeconfig of any cluster"
)


def program() -> str | None:
    """The program that is a control plane; None where there is none."""
    named = os.environ.get("KDNS_CONTROLPLANE")
    beside = TOP.parent / "shared" / "controlplane" / "controlplane"
    if named:
        return named
    return str(beside) if beside.exists() and shutil.which("go") else None


class ControlPlane:
    """A control plane that can be stopped, put back in time and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _three_free_ports()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def kubeconfig(self) -> Path:
        """The admin's."""
        return self.folder / "kubeconfig"

    @property
    def kube(self) -> Kube:
        """The admin's client."""
        return Kube.of(self.kubeconfig)

    def start(self) -> None:
        """Starts it and waits until it is ready; the first start on a machine builds it."""
        found = program()
        assert found, HOW
        log = self.folder.with_suffix(".log")
        with log.open("ab") as out:
            at = out.tell()
            self.process = subprocess.Popen(
                [found, str(self.folder), str(self.port)], stdout=out, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 600
        while b"\nready\n" not in b"\n" + log.read_bytes()[at:]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the control plane did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self, *, at_once: bool = False) -> None:
        """Ends it, in order or as a machine that loses its power."""
        if self.process is None:
            return
        self.process.kill() if at_once else self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def save(self, to: Path) -> None:
        """Copies its data; it must be stopped."""
        shutil.copytree(self.folder / "etcd", to)

    def restore(self, saved: Path) -> None:
        """Puts older data in place; it must be stopped."""
        shutil.rmtree(self.folder / "etcd")
        shutil.copytree(saved, self.folder / "etcd")

    def __enter__(self) -> "ControlPlane":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _three_free_ports() -> int:
    """A port that is free together with the two below it, which etcd takes."""
    while True:
        port = free_port()
        if is_free(port - 1) and is_free(port - 2):
            return port
