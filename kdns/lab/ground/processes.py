"""Starts commands in the namespaces of pods, by way of the launcher, and ends all that runs there.

A namespace is given by its kind, as /proc calls it ("net", "uts"), and an open descriptor.
"""

import asyncio
import marshal
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path

from kdns.lab.ground.base import Entry, Streams
from kdns.lab.ground.children import begun

_LAUNCHER = Path(__file__).with_name("launcher.py")
_START = (
    "import marshal, sys; told = marshal.load(open(int(sys.argv[1]), 'rb')); "
    "exec(told['program']); main(told)"
)
_SWEEPS = 20


class Starter:
    """Holds the launcher, which is compiled once: that is a tenth of the time until a command."""

    def __init__(self) -> None:
        self._program = compile(_LAUNCHER.read_text("utf-8"), str(_LAUNCHER), "exec")

    async def start(self, space: tuple[str, int], entry: Entry, streams: Streams) -> Process:
        """A command in the namespace of a pod, at the head of a session; raises OSError."""
        order = self._order(space, entry, is_terminal=streams.is_terminal)
        try:
            return await begun(asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", "-c", _START, str(order),
                stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr,
                pass_fds=[order, space[1]], start_new_session=True, cwd="/",
            ))  # fmt: skip
        finally:
            os.close(order)

    def _order(self, space: tuple[str, int], entry: Entry, *, is_terminal: bool) -> int:
        """What the launcher is to do, in a file in memory: arguments are seen, and bounded."""
        order = {
            "program": self._program,
            "command": list(entry.command),
            "environ": dict(entry.environ),
            "hostname": entry.hostname,
            "files": {path: str(source) for path, source in entry.files.items()},
            "kept": _needed(entry.environ.get("PATH", "")),
            "namespace": space[1],
            "has_name": space[0] == "uts",
            "is_terminal": is_terminal,
        }
        made = os.memfd_create("order")
        os.write(made, marshal.dumps(order))
        os.lseek(made, 0, os.SEEK_SET)
        return made


def sweep(kind: str, namespace: int) -> None:
    """Kills whatever stands in a namespace, also what has left the session it was started in."""
    there = os.fstat(namespace)
    for _ in range(_SWEEPS):  # what forks while it is looked for is found by the next
        found = [pid for pid in _pids() if _stands(f"/proc/{pid}/ns/{kind}", there)]
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stands(path: str, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), there)
    except OSError:
        return False


def _needed(path: str) -> list[str]:
    """The folders of programs, and of ours and Python's, that lie where a pod has its own."""
    ours = [str(Path(__file__).parents[3]), sys.base_prefix, sys.prefix]
    own = ("/tmp/", "/run/", "/root/")  # noqa: S108
    return [one for one in [*ours, *path.split(":")] if one.startswith(own)]
