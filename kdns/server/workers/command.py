"""How the program starts itself in another role: the same interpreter, finding the same modules."""

import os
import sys
from typing import Final

ROLES: Final = "kdns.cli.workers"
"""A module above this one: it furnishes workers with what only it knows."""


def command(role: str, fd: int, *more: str) -> list[str]:
    """The words that start a supervisor or worker, which reads what it needs from `fd`."""
    return [*module(ROLES), role, str(fd), *more]


def module(name: str) -> list[str]:
    """The words that run a module of ours."""
    # -m looks into the current directory first; so it may only where the starter did.
    flags = [] if sys.path[0] in {"", os.getcwd()} else ["-P"]
    return [sys.executable, *flags, "-m", name]
