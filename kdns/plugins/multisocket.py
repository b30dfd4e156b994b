"""multisocket: how many processes serve as one, each with sockets of its own on the same ports.

What they are and how they are kept is the server's business (server/workers).
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.plugins.base import Monitor, Site

MOST: Final = 1024
WORKER_BYTES: Final = 64 << 20
"""Memory that a worker is reckoned to need, where nobody says how many there are to be."""
_CGROUP: Final = Path("/sys/fs/cgroup")


class Multisocket(Monitor):
    """`multisocket [N]`."""

    name = "multisocket"
    syntax = Syntax(args=Shape(maybe=(text,)))

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.count = self._read(settings.args[0]) if settings.args else cores()

    def _read(self, given: str) -> int:
        try:
            count = int(given)
        except ValueError:
            count = 0
        if not (1 <= count <= MOST and given.isascii() and not set("_ ") & set(given)):
            raise self.settings.fail(
                f"multisocket: expected a number from 1 to {MOST}, found {given!r}",
                "one for each core that kdns may use, or none for all of them",
            )
        return count


def cores() -> int:
    """GOMAXPROCS as CoreDNS understands it: the variable, else the CPU limit, else the cores.

    Not more than the memory limit has room for: each is a process, and 64 of them in the 170 MiB of
    kubeadm's container would be killed at their start.
    """
    said = os.environ.get("GOMAXPROCS", "")
    if said.isascii() and said.isdigit() and int(said):
        return min(int(said), MOST)
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        count = os.cpu_count() or 1
    return max(1, min(count, int(_limit()), _room(), MOST))


def _limit() -> float:
    """How many cores the control group of the container grants."""
    with suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return MOST if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        quota = (_CGROUP / "cpu/cpu.cfs_quota_us").read_text()
        if int(quota) > 0:
            return int(quota) / int((_CGROUP / "cpu/cpu.cfs_period_us").read_text())
    return MOST


def _room() -> int:
    """How many workers the memory limit of the container has room for."""
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # ValueError: max
            return int((_CGROUP / file).read_text()) // WORKER_BYTES
    return MOST
