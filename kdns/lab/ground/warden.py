"""Ends what runs in pods without spaces when their lab has ended, in whatever way it did.

A program of its own, beside the lab: it waits for the end of its input, which the kernel brings
about when the lab is killed; until then it is told in which folders commands were started.
Processes are known by a word in their environment, which children inherit, those in sessions of
their own too; one that has cleared its environment, by the folder it stands in. Only Python's own
modules, so that it starts quickly.
"""

import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress

MARK = "KDNS_POD_MARK"
"""The variable: `LAB/UID`, with a name of the lab that no other has."""
_PERSONS = b"HOME="
"""Whoever has this looks into such a folder from his own shell, and is not ours to end."""
_ROUNDS = 20
"""What is killed while it forks may leave a child behind: it is looked for again."""


def end(mark: str, folders: Collection[str] = ()) -> None:
    """Kills all processes whose mark is this one, or begins with it and a slash."""
    for _ in range(_ROUNDS):
        found = list(marked(mark, folders))
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.001)


def marked(mark: str, folders: Collection[str] = ()) -> Iterator[int]:
    """The processes that bear it, or none at all in one of the folders, which are real paths.

    Whoever is dead already has no environment any more, and stands nowhere.
    """
    word = f"{MARK}={mark}".encode()
    own = os.getpid()
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == own:
            continue
        with suppress(OSError):
            words = _environ(name)
            if any(one == word or one.startswith(word + b"/") for one in words):
                yield int(name)
            elif folders and not any(one.startswith(_PERSONS) for one in words):
                place = os.readlink(f"/proc/{name}/cwd").removesuffix(" (deleted)")
                if place in folders:
                    yield int(name)


def _environ(pid: str) -> list[bytes]:
    fd = os.open(f"/proc/{pid}/environ", os.O_RDONLY)
    try:
        return os.read(fd, 1 << 20).split(b"\0")
    finally:
        os.close(fd)


if __name__ == "__main__":
    told = set()
    with suppress(KeyboardInterrupt):
        for line in sys.stdin.buffer:
            told.add(os.fsdecode(line.removesuffix(b"\n")))
    end(sys.argv[1], told)
