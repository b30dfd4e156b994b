"""The lab's own temporary directory: readable for its user only, and gone when the lab is.

A lab that is killed leaves its directory behind; the next one removes what no living lab holds.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

_PREFIX = "kdns-lab-"
_LOCK = "lock"


class Folder:
    """The directory, as a context; holds a lock for as long as it is in use."""

    def __init__(self) -> None:
        self._ends = ExitStack()

    def __enter__(self) -> Path:
        above = Path(tempfile.gettempdir())
        for left in above.glob(f"{_PREFIX}*"):
            _sweep(left)
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
        self._ends.callback(shutil.rmtree, path, ignore_errors=True)
        # Under its name the file is locked from the start: a lab that sweeps never finds it free.
        lock = os.open(path / "new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._ends.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(path / "new", path / _LOCK)
        return path

    def __exit__(self, *reason: object) -> None:
        self._ends.close()


def _sweep(path: Path) -> None:
    """Removes a directory of ours that nobody holds."""
    with suppress(OSError), ExitStack() as ends:
        if path.lstat().st_uid != os.geteuid():
            return
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        ends.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
