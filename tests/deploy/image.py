"""`make image`: builds the image, starts it as kubeadm does, asks it, stops it.

kubeadm's container: user 65532, read-only root, all capabilities dropped but NET_BIND_SERVICE, no privilege escalation,
170 MiB, a tenth of a CPU. Where neither docker nor podman runs, the same context is replayed on the installed
package (tests/deploy/replay.py): needs root and debootstrap.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.deploy import replay
from tests.deploy.asking import MEMORY_MB, QUESTIONS, TOP, settings, wait_for


def engine() -> str:
    """The container engine that runs here, empty without one."""
    for name in ("docker", "podman"):
        if (
            shutil.which(name)
            and not subprocess.run([name, "info"], capture_output=True, check=False).returncode
        ):
            return name
    return ""


def contained(run: str) -> None:
    """Builds and starts the image, and has it asked from inside, by its own `kdns query`."""
    subprocess.run([run, "build", "-t", "kdns", str(TOP)], check=True)
    with tempfile.TemporaryDirectory() as folder:
        context = [
            "--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--user", "65532",
            "--security-opt", "no-new-privileges", "--memory", f"{MEMORY_MB}m", "--cpus", ".1",
            "-v", f"{settings(Path(folder))}:/etc/coredns:ro",
        ]  # fmt: skip
        words = [run, "run", "--rm", "-d", *context, "kdns", "-conf", "/etc/coredns/Corefile"]
        name = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        try:
            question, answer = QUESTIONS[0]
            query = [run, "exec", name, "/opt/kdns/bin/kdns", "query", *question, "@127.0.0.1"]
            took = wait_for("an answer", lambda: answer in said(query), 60)
            print(f"make image: answers {took:.1f} s after its start, in kubeadm's container")
        finally:
            subprocess.run([run, "stop", name], capture_output=True, check=False)


def said(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def main() -> int:
    """With an engine the image itself, else the replay."""
    run = engine()
    if run:
        contained(run)
        return 0
    missing = [
        tool
        for tool in ("debootstrap", "setpriv", "unshare", "nsenter", "dig", "setcap")
        if not shutil.which(tool)
    ]
    if missing or os.geteuid():
        why = f"{', '.join(missing)} not installed" if missing else "not root"
        print(
            f"make image: no container engine runs here, and no replay either: {why}",
            file=sys.stderr,
        )
        return 1
    return replay.main()


if __name__ == "__main__":
    sys.exit(main())
