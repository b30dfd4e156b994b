"""Ends what runs in pods without spaces when their lab has ended, in whatever way it did.

A program of its own, beside the lab: it waits for the end of its input, which the kernel brings
about when the lab is killed. Processes are known by a word in their environment, which children
inherit, those in sessions of their own too. Only Python's own modules, so that it starts quickly.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

MARK = "KDNS_POD_MARK"
"""The variable: `LAB/UID`, with a name of the lab that no other has."""
_ROUNDS = 20
"""What is killed while it forks may leave a child behind: it is looked for again."""


def end(mark: str) -> None:
    """Kills all processes whose mark is this one, or begins with it and a slash."""
    for _ in range(_ROUNDS):
        found = list(marked(mark))
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.001)


def marked(mark: str) -> Iterator[int]:
    """The processes that bear it; whoever is dead already has no environment any more."""
    word = f"{MARK}={mark}".encode()
    own = os.getpid()
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == own:
            continue
        with suppress(OSError):
            fd = os.open(f"/proc/{name}/environ", os.O_RDONLY)
            try:
                words = os.read(fd, 1 << 20).split(b"\0")
            finally:
                os.close(fd)
            if any(one == word or one.startswith(word + b"/") for one in words):
                yield int(name)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.stdin.buffer.read()
    end(sys.argv[1])
