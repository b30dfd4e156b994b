"""The lab's own temporary directory: readable for its user only, and gone when the lab is.

A lab that is killed leaves its directory behind; the next one removes what no living lab holds.
"""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

_PREFIX = "kdns-lab-"
_LOCK = "lock"
_NEW = "new"
_OLD_S = 60.0
"""After this a directory without a lock is no new one, but what a killed lab had begun."""


class Folder:
    """The directory, as a context; holds a lock for as long as it is in use."""

    def __init__(self) -> None:
        self._ends = ExitStack()

    def __enter__(self) -> Path:
        above = Path(tempfile.gettempdir())
        for left in above.glob(f"{_PREFIX}*"):
            _sweep(left)
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
        # Under its name the file is locked from the start, and until all is gone: a lab that sweeps
        # never finds it free.
        lock = os.open(path / _NEW, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._ends.callback(os.close, lock)
        self._ends.callback(shutil.rmtree, path, ignore_errors=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(path / _NEW, path / _LOCK)
        return path

    def __exit__(self, *reason: object) -> None:
        self._ends.close()


def _sweep(path: Path) -> None:
    """Removes a directory of ours that nobody holds."""
    with suppress(OSError), ExitStack() as ends:
        found = path.lstat()
        if found.st_uid != os.geteuid():
            return
        try:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            if found.st_mtime < time.time() - _OLD_S:
                (path / _NEW).unlink(missing_ok=True)
                path.rmdir()
            return
        ends.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
