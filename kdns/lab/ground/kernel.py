"""The few system calls of namespaces that Python 3.11 lacks, as functions that raise OSError.

Numbers are those of linux/sched.h, linux/prctl.h and linux/mount.h, the same on every machine.
"""

import ctypes
import os
import select
import signal

NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_REC, MS_PRIVATE = 0x4000, 0x40000

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def unshare(kinds: int) -> None:
    """Puts whoever calls (for NEWPID: its children) in new namespaces."""
    _check(_LIBC.unshare(ctypes.c_int(kinds)), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Puts the thread that calls in a namespace that is open."""
    _check(_LIBC.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """Mounts, or changes a mount, as mount(2)."""
    made = _LIBC.mount(
        source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), None
    )
    _check(made, f"mount {target}")


def die_with(parent: int) -> None:
    """Lets the kernel kill us when our parent is gone, and ends us if it is.

    It is a pidfd, which is closed: the number of a parent in another PID namespace is always 0.
    """
    _check(_LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if select.select([parent], [], [], 0)[0]:
        os._exit(128 + signal.SIGKILL)
    os.close(parent)


def _check(result: int, tried: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), tried)
