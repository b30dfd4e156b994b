"""The image without a container engine: the installed package in a bare root, in kubeadm's context.

Three starts, each in a network of its own: the interpreter with its file capability, without it where all ports are
free (what containerd 2 and Docker give), and without both, which must fail with a line that says why.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.deploy.asking import MEMORY_MB, TOP, ask, dig, settings, wait_for

ROOT = TOP / "build" / "root"
SUITE = "bookworm"
PACKAGES = "python3,python3-venv"
CONTEXT = [
    "setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups", "--inh-caps=-all",
    "--bounding-set=-all,+net_bind_service", "--no-new-privs",
]  # fmt: skip
PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
INSIDE = """
set -e
for group in $GROUPS_TO_JOIN; do echo 0 > "$group/cgroup.procs"; done
ip link set lo up 2>/dev/null || /sbin/ip link set lo up
mount --bind "$1" "$1"
mount --bind -o ro "$2" "$1/etc/coredns"
mount -o remount,ro,bind "$1"
mount -t proc proc "$1/proc"
echo "$3" > /proc/sys/net/ipv4/ip_unprivileged_port_start
root=$1; shift 3
unset GROUPS_TO_JOIN
exec chroot "$root" "$@"
"""


def system() -> None:
    """The bare root, made once: a base system and an interpreter that may bind port 53."""
    if (ROOT / "etc" / "kdns-root").exists():
        return
    print("make image: no container engine; making a bare root with debootstrap", flush=True)
    shutil.rmtree(ROOT, ignore_errors=True)
    words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(ROOT)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    (ROOT / "etc" / "kdns-root").write_text("complete\n")


def chrooted(*words: str) -> str:
    """What a command in the root prints."""
    return subprocess.run(
        ["chroot", str(ROOT), *words], env=PLAIN, check=True, text=True, stdout=subprocess.PIPE
    ).stdout.strip()


def wheels(folder: Path) -> None:
    """The package and what it needs, at the versions of constraints.txt, for the root's Python."""
    version = chrooted("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(TOP)], check=True)
    (ours,) = folder.glob("kdns-*.whl")
    subprocess.run(
        [
            *pip, "download", "--only-binary", ":all:", "--python-version", version,
            "-c", str(TOP / "constraints.txt"), "-d", str(folder), f"{ours}[quic]",
        ],
        check=True,
    )  # fmt: skip


def install() -> Path:
    """As the Dockerfile: a copied interpreter, compiled ahead, the command under both names."""
    shutil.rmtree(ROOT / "opt" / "kdns", ignore_errors=True)
    folder = ROOT / "opt" / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    wheels(folder)
    chrooted("python3", "-m", "venv", "--copies", "/opt/kdns")
    pip = "/opt/kdns/bin/pip"
    chrooted(pip, "-q", "install", "--no-index", "-f", "/opt/wheels", "--no-compile", "kdns[quic]")
    chrooted("/opt/kdns/bin/python", "-c", "import aioquic, h2")  # every transport is served
    chrooted(pip, "-q", "uninstall", "--yes", "pip", "setuptools")
    binaries = ROOT / "opt" / "kdns" / "bin"
    (real,) = binaries.glob("python3.*")
    for name in ("python", "python3"):
        (binaries / name).unlink()
        (binaries / name).symlink_to(real.name)
    chrooted("python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
             "/opt/kdns/lib", f"/usr/lib/{real.name}")  # fmt: skip
    (ROOT / "coredns").unlink(missing_ok=True)
    (ROOT / "coredns").symlink_to("/opt/kdns/bin/kdns")
    (ROOT / "etc" / "coredns").mkdir(exist_ok=True)
    return real


@contextmanager
def limited() -> Iterator[list[Path]]:
    """Control groups of 170 MiB and a tenth of a CPU; none where they cannot be made."""
    base, name = Path("/sys/fs/cgroup"), f"kdns-image-{os.getpid()}"
    groups = []
    if (base / "cgroup.controllers").exists():
        limits = {base / name: {"memory.max": MEMORY_MB << 20, "cpu.max": "10000 100000"}}
    else:
        limits = {
            base / "memory" / name: {"memory.limit_in_bytes": MEMORY_MB << 20},
            base / "cpu" / name: {"cpu.cfs_quota_us": 10000},
        }
    try:
        for group, values in limits.items():
            with suppress(OSError):
                group.mkdir()
                groups.append(group)
                for file, value in values.items():
                    (group / file).write_text(str(value))
        yield groups
    finally:
        for group in groups:
            with suppress(OSError):
                group.rmdir()


@contextmanager
def started(folder: Path, first_port: int, groups: list[Path]) -> Iterator[subprocess.Popen[str]]:
    """kdns as process 1 of namespaces of its own, in kubeadm's context."""

    words = [
        "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, "sh",
        str(ROOT), str(folder), str(first_port), *CONTEXT,
        "/coredns", "-conf", "/etc/coredns/Corefile",
    ]  # fmt: skip
    with subprocess.Popen(
        words,
        env={**PLAIN, "GROUPS_TO_JOIN": " ".join(map(str, groups))},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def child(process: subprocess.Popen[str]) -> int:
    """The server's process, 0 before it is one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(OSError, ValueError):
        return int(children.read_text())
    return 0


def serves(folder: Path, first_port: int, groups: list[Path], how: str) -> None:
    """Starts it, asks it, says what it takes, stops it by SIGTERM."""
    with started(folder, first_port, groups) as process:
        wait_for("a process", lambda: child(process) > 0)
        pid = child(process)
        net = ["nsenter", "-t", str(pid), "--net"]
        took = wait_for(
            "an answer", lambda: dig(net, "kubernetes.default.svc.cluster.local") != "", 60
        )
        ask(net)
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        facts = {
            "seconds": round(took, 1),
            "rss_mb": round(int(status["VmRSS"].split()[0]) / 1024, 1),
            "uid": int(status["Uid"].split()[0]),
            "no_new_privs": status["NoNewPrivs"].strip(),
            "capabilities": status["CapEff"].strip(),
        }
        began = time.monotonic()
        os.kill(pid, 15)
        process.wait(timeout=20)
        facts["stop_seconds"] = round(time.monotonic() - began, 1)
        print(f"make image: {how}: {json.dumps(facts)}", flush=True)
        if (facts["uid"], facts["no_new_privs"], process.returncode) != (65532, "1", 0):
            raise SystemExit(
                f"make image: not the context that was asked for ({process.returncode})"
            )


def refuses(folder: Path) -> None:
    """Where port 53 may not be bound it ends, and says what is missing."""
    with started(folder, 1024, []) as process:
        said, _ = process.communicate(timeout=60)
        if not process.returncode or "CAP_NET_BIND_SERVICE" not in said:
            raise SystemExit(f"make image: without the right to bind port 53 it said: {said}")
        print(f"make image: without both: {said.strip().splitlines()[-1]}")


def main() -> int:
    """Makes the root, installs, and tries the three starts."""
    system()
    began = time.monotonic()
    real = install()
    print(f"make image: installed in {time.monotonic() - began:.0f} s", flush=True)
    with tempfile.TemporaryDirectory() as temporary, limited() as groups:
        folder = settings(Path(temporary))
        print(f"make image: limits: {', '.join(map(str, groups)) or 'none can be set here'}")
        subprocess.run(["setcap", "cap_net_bind_service=+ep", str(real)], check=True)
        serves(folder, 1024, groups, "with the file capability")
        subprocess.run(["setcap", "-r", str(real)], check=True)
        serves(folder, 0, groups, "without it, all ports free")
        refuses(folder)
        subprocess.run(["setcap", "cap_net_bind_service=+ep", str(real)], check=True)
    return 0
