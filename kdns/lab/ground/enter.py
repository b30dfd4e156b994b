"""Runs the lab in namespaces of its own, with one process left outside that hands sockets in.

The outer process's child makes the namespaces; its child is process 1 of the new PID namespace and
reaps orphans; the lab is the child of that. Each dies with its parent, all others with process 1.
Called before there are threads or loops: a fork and a user namespace want one thread.
"""

import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from kdns.lab.ground import inner, kernel
from kdns.lab.ground.outside import Outside, serve

_KINDS = (
    kernel.NEWUSER | kernel.NEWNET | kernel.NEWNS | kernel.NEWPID | kernel.NEWUTS | kernel.NEWIPC
)
_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FILES = 65_536
"""Each pod takes a descriptor or more. There are programs that close as many as there could be."""
_WATCHED = {*_TOLD, signal.SIGCHLD}
_FORBIDDEN = "this kernel lets ordinary users make no user namespaces"
_REASONS = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", _FORBIDDEN),
    ("kernel/unprivileged_userns_clone", "0", _FORBIDDEN),
    ("user/max_user_namespaces", "0", "this kernel allows no user namespaces"),
)


def can_enter() -> str:
    """Why there can be no namespaces here, in a sentence; "" where there can. It is tried."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    _flush()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _leave(lambda: _try(writer))
    os.close(writer)
    with open(reader, "rb") as said:
        refusal = said.read().decode()
    if os.waitpid(child, 0)[1] == 0:
        return ""
    return _reason(refusal or "it ended the attempt")


def inside(run: Callable[[Outside], int]) -> int:
    """Runs the lab inside; gives its exit code. Returns outside only, when all has ended."""
    _flush()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before: set[int] = set(signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED))
    me = os.pidfd_open(os.getpid())
    child = os.fork()
    if not child:
        ours.close()
        _leave(lambda: _between(run, theirs, me, before))
    theirs.close()
    os.close(me)
    threading.Thread(target=serve, args=(ours,), daemon=True).start()
    try:
        return _watch_over(child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _between(
    run: Callable[[Outside], int], link: socket.socket, parent: int, mask: set[int]
) -> int:
    """Of the child that makes the namespaces, and waits."""
    _unshare()
    kernel.die_with(parent)
    me = os.pidfd_open(os.getpid())
    child = os.fork()
    if not child:
        _leave(lambda: _first(run, link, me, mask))
    link.close()
    return _watch_over(child)


def _first(run: Callable[[Outside], int], link: socket.socket, parent: int, mask: set[int]) -> int:
    """Of process 1."""
    kernel.die_with(parent)
    inner.prepare()
    me = os.pidfd_open(os.getpid())
    child = os.fork()
    if not child:
        _leave(lambda: _lab(run, link, me, mask))
    link.close()
    return _watch_over(child)


def _lab(run: Callable[[Outside], int], link: socket.socket, parent: int, mask: set[int]) -> int:
    kernel.die_with(parent)
    allow_files()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return run(Outside(link))


def allow_files() -> None:
    """Lets this process have as many open files as it may: pods and connections take some each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in {hard, resource.RLIM_INFINITY} and soft < _FILES:
        most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _unshare() -> None:
    """Puts us in new namespaces, as root of the user namespace; the PID one is for children."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(_KINDS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _watch_over(child: int) -> int:
    """Tells a child what we are told, and buries all that end, until it has: gives its exit code.

    Signals are waited for, not handled, so that none can come between a look and a wait.
    """
    while True:
        for pid, status in iter(_dead, (0, 0)):
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        told = signal.sigwaitinfo(_WATCHED)
        if told.si_signo in _TOLD and _is_for(told):
            with suppress(ProcessLookupError):
                os.kill(child, told.si_signo)


def _is_for(told: signal.struct_siginfo) -> bool:
    """Whether a signal is one to pass on.

    Not those of a terminal (SI_KERNEL, 128; others are 0 or less): the child has them, too. To
    process 1 only those from outside, without a sender here: `kill 1` in a pod ends no lab.
    """
    return told.si_code <= 0 and (os.getpid() != 1 or told.si_pid == 0)


def _dead() -> tuple[int, int]:
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0


def _leave(act: Callable[[], int]) -> NoReturn:
    """Ends a forked process as its own program would: nothing of the parent's goes on in it."""
    code = 3
    try:
        code = act()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except OSError as error:
        sys.stderr.write(f"lab: {_words(error)}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        with suppress(OSError, ValueError):
            _flush()
        os._exit(code)


def _flush() -> None:
    """What is not yet written, each of two processes would write after a fork."""
    sys.stdout.flush()
    sys.stderr.flush()


def _try(writer: int) -> int:
    """Goes all the way, in children of its own."""
    try:
        os.close(os.pidfd_open(os.getpid()))
        _unshare()
        child = os.fork()
        if not child:
            _leave(lambda: _rehearse(writer))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except OSError as error:
        os.write(writer, _words(error).encode())
        return 1


def _rehearse(writer: int) -> int:
    try:
        inner.prepare()
        inner.rehearse()
    except OSError as error:
        os.write(writer, _words(error).encode())
        return 1
    return 0


def _words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


def _reason(refusal: str) -> str:
    for name, value, said in _REASONS:
        if said is _FORBIDDEN and not os.geteuid():
            continue
        with suppress(OSError), open(f"/proc/sys/{name}", encoding="ascii") as file:
            if file.read().strip() == value:
                return f"{said} ({name.replace('/', '.')} is {value})"
    return f"this kernel does not give us namespaces ({refusal})"
