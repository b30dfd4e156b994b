"""A program of its own: becomes a command in a pod, with the pod's network, host name and files.

`Spaces.enter` starts it, compiled, in a Python that imports little: every command and every exec
probe waits for it. What it does not give the pod is shared with the machine: all other files, with
their permissions, and /dev; and with the lab: its processes are seen in /proc.
"""

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes as long to import as all else here
    from collections.abc import Mapping
    from typing import Any, NoReturn

_NEWNS, _NEWUTS, _NEWNET = 0x00020000, 0x04000000, 0x40000000
_NOSUID_NODEV, _BIND, _REC, _PRIVATE = 2 | 4, 0x1000, 0x4000, 0x40000
_SET_MASK, _SIGNALS = 2, 65
_NOT_FOUND, _NOT_RUN = 127, 126
_DROP_CAPABILITY, _CAPABILITIES = 24, 64
_KEPT_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
"""Of root in a container: files, signals, ids, low ports, ping; no networks, mounts, traces."""
_KEPT = "/run/.etc"
"""Where the pod sees the machine's own /etc."""
_HOSTS = "hosts: files dns\n"

_LIBC = ctypes.CDLL(None, use_errno=True)


def main(told: "Mapping[str, Any]") -> "NoReturn":  # Any: what Spaces has put in
    """Becomes the command, or ends with the exit code that says why not."""
    os._exit(_launch(told))


def _launch(told: "Mapping[str, Any]") -> int:  # Any: as above
    try:
        _stand(told["namespace"], told["hostname"], has_name=told["has_name"])
        _see(told["files"], told["kept"])
        _sit(is_terminal=told["is_terminal"])
        _leave_powers()
    except OSError as error:
        return _fail(f"cannot enter the pod: {error}", _NOT_RUN)
    return _become(told["command"], told["environ"])


def _stand(namespace: int, hostname: str, *, has_name: bool) -> None:
    """The pod's namespace is one for its network or, on the host network, for its host name."""
    _check(_LIBC.setns(namespace, _NEWUTS if has_name else _NEWNET), "setns")
    os.close(namespace)
    _check(_LIBC.unshare(_NEWNS if has_name else _NEWNS | _NEWUTS), "unshare")
    _mount(b"none", "/", None, _REC | _PRIVATE)
    name = hostname.encode()
    _check(_LIBC.sethostname(name, len(name)), "sethostname")


def _see(files: dict[str, str], kept: list[str]) -> None:
    """Puts the pod's files over the machine's; sources may be where something is put over."""
    pairs = [*files.items(), *((path, path) for path in kept if os.path.isdir(path))]
    sources = {path: os.open(source, os.O_PATH) for path, source in pairs}
    _mount(b"tmpfs", "/run", b"tmpfs", _NOSUID_NODEV, b"mode=755")
    _renew_etc({path for path in files if os.path.dirname(path) == "/etc"})
    if os.path.isdir("/var/run") and not os.path.samefile("/var/run", "/run"):
        _mount(b"/run", "/var/run", None, _BIND)
    for path, source in sources.items():
        _put(source, path)
        os.close(source)


def _renew_etc(own: set[str]) -> None:
    """Covers /etc by one with the same entries, but for the pod's own and nsswitch.conf.

    Folders are mounted, for there may be links in them that lead out by `..`; files are links.
    """
    os.mkdir(_KEPT)
    _mount(b"/etc", _KEPT, None, _BIND | _REC)
    _mount(b"tmpfs", "/etc", b"tmpfs", _NOSUID_NODEV, b"mode=755")
    own = own | {"/etc/nsswitch.conf"}
    with os.scandir(_KEPT) as entries:
        for entry in entries:
            path = f"/etc/{entry.name}"
            if path not in own:
                _keep(entry, path)
    _write_nsswitch(f"{_KEPT}/nsswitch.conf")


def _keep(entry: "os.DirEntry[str]", path: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(entry.path), path)
    elif entry.is_dir():
        os.mkdir(path)
        _mount(os.fsencode(entry.path), path, None, _BIND | _REC)
    else:
        os.symlink(entry.path, path)


def _write_nsswitch(before: str) -> None:
    try:
        with open(before, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line for line in file if not line.lstrip().startswith("hosts:")]
    except OSError:
        lines = []
    with open("/etc/nsswitch.conf", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines([*lines, "" if not lines or lines[-1].endswith("\n") else "\n", _HOSTS])


def _put(source: int, path: str) -> None:
    """Mounts an open file or folder on a path; what a folder of the pod lacks is made."""
    at = f"/proc/self/fd/{source}"
    if path.startswith(("/etc/", "/run/", "/var/run/", "/tmp/", "/root/")):  # noqa: S108
        os.makedirs(path if os.path.isdir(at) else os.path.dirname(path), exist_ok=True)
        if not os.path.isdir(at):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(at.encode(), path, None, _BIND | _REC)


def _sit(*, is_terminal: bool) -> None:
    """Makes the terminal ours, and all else as a program expects it at its start."""
    if is_terminal:
        import fcntl  # noqa: PLC0415 (few commands have one)
        import termios  # noqa: PLC0415

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in range(1, _SIGNALS):
        _LIBC.signal(number, None)
    nothing = (ctypes.c_ulong * 16)()
    _LIBC.sigprocmask(_SET_MASK, nothing, None)
    os.umask(0o022)
    os.chdir("/")


def _leave_powers() -> None:
    """Else a command could go into the lab's own namespaces, or take the address of another pod."""
    for one in range(_CAPABILITIES):
        if one not in _KEPT_CAPABILITIES:
            _LIBC.prctl(_DROP_CAPABILITY, one, 0, 0, 0)  # fails for those that the kernel lacks


def _become(command: list[str], environ: dict[str, str]) -> int:
    name = command[0]
    why, code = "executable file not found in $PATH", _NOT_FOUND
    for path in _places(name, environ.get("PATH", "")):
        try:
            os.execve(path, command, environ)  # noqa: S606 (that is what we are for)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            if "/" in name:  # a name that is looked for may be found elsewhere
                is_there = isinstance(error, PermissionError)
                why, code = _words(error), _NOT_RUN if is_there else _NOT_FOUND
        except OSError as error:
            return _fail(f'exec: "{name}": {_words(error)}', _NOT_RUN)
    return _fail(f'exec: "{name}": {why}', code)


def _words(error: OSError) -> str:
    return (error.strerror or "").lower()


def _places(name: str, path: str) -> list[str]:
    if "/" in name or not name:
        return [name]
    return [f"{folder}/{name}" for folder in path.split(":") if folder]


def _mount(source: bytes, target: str, kind: bytes | None, flags: int, more: bytes = b"") -> None:
    made = _LIBC.mount(source, os.fsencode(target), kind, ctypes.c_ulong(flags), more or None)
    _check(made, f"mount {target}")


def _check(result: int, tried: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), tried)


def _fail(said: str, code: int) -> int:
    os.write(2, f"{said}\n".encode(errors="replace"))
    return code
