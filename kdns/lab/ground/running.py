"""Runs a command of a pod that has no space of its own: found in its PATH, bound to our life.

What it is told of its pod stands in its environment, for kdns's own tools (kdns/lab/tools).
"""

import asyncio
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kdns.lab.ground import warden
from kdns.lab.ground.base import Entry, Ground, Stand, Streams
from kdns.lab.ground.children import begun

FILES = "KDNS_POD_FILES"
"""JSON: path in the pod to path on this machine."""
ADDRESS = "KDNS_POD_ADDRESS"
OFFSET = "KDNS_POD_OFFSET"
RANGES = "KDNS_POD_RANGES"
"""Which of the labs on loopback addresses it is, from 0."""
TMP = "/tmp"  # noqa: S108  # the pod's own
_PR_SET_PDEATHSIG = 1
_STOP_S = 2.0


def told(stand: Stand, entry: Entry, ground: Ground) -> dict[str, str]:
    """What the tools in a pod must know."""
    files = {name: str(path) for name, path in entry.files.items()}
    addresses = [one for one in stand.addresses if ":" not in one]
    told = {FILES: json.dumps(files), ADDRESS: addresses[0] if addresses else "",
            OFFSET: str(ground.offset), RANGES: str(ground.ranges.number)}  # fmt: skip
    return told | {"TMPDIR": files[TMP]} if TMP in files else told


def found(command: str, environ: Mapping[str, str]) -> str:
    """The path of a program; raises OSError in the words of a container runtime."""
    path = environ.get("PATH", os.defpath)
    program = shutil.which(command, path=path)
    if program:
        return program
    if "/" not in command:
        raise FileNotFoundError(f'exec: "{command}": executable file not found in $PATH')
    if Path(command).exists():
        raise PermissionError(f'exec: "{command}": permission denied')
    raise FileNotFoundError(f'exec: "{command}": stat {command}: no such file or directory')


async def start(
    words: Sequence[str], environ: Mapping[str, str], streams: Streams, folder: Path
) -> Process:
    """Starts it in a session of its own; in a folder of the pod's, for / is the machine's."""
    start = asyncio.create_subprocess_exec(
        *words,
        env=environ,
        cwd=folder,
        stdin=streams.stdin,
        stdout=streams.stdout,
        stderr=streams.stderr,
        preexec_fn=_Bound(streams.stdin if streams.is_terminal else -1),
    )
    return await begun(start)


class _Bound:
    """Run in the child before its program: a session, perhaps a terminal, and an end with us."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._parent = os.getpid()
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded here: a child must not

    def __call__(self) -> None:
        os.setsid()
        if self._terminal >= 0:
            fcntl.ioctl(self._terminal, termios.TIOCSCTTY, 0)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)  # what nohup has the lab ignore
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:  # we ended in between
            os._exit(1)


class Warden:
    """The process that ends what a lab's pods run, should the lab be killed."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._process = subprocess.Popen(  # noqa: S603  (our own program)
            [sys.executable, "-I", "-S", warden.__file__, mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        self._folders: set[str] = set()

    def watch(self, folder: Path) -> str:
        """Has it know the processes that stand there, by the folder's real path."""
        real = os.path.realpath(folder)
        if real not in self._folders and "\n" not in real and self._process.stdin:
            self._folders.add(real)
            with suppress(OSError):  # it was killed
                self._process.stdin.write(os.fsencode(real) + b"\n")
        return real

    def close(self) -> None:
        """Ends all that is left, and then the warden."""
        warden.end(self._mark, self._folders)
        if self._process.stdin:
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
