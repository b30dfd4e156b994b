"""Looks a name up with c-ares: `python -m kdns.conformance.cares HOST:PORT TYPE NAME`.

Prints what it finds, a line each; ends with 1 and c-ares's own words when it finds nothing. The
library is called as it is, so that curl's and Node's resolver is what is tried.
"""

import ctypes
import select
import socket
import sys
from collections.abc import Sequence
from ctypes.util import find_library
from typing import Any

_FOUND = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_MOST_SOCKETS = 16
"""ARES_GETSOCK_MAXNUM."""
_WAIT_S = 0.1


class _Hostent(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("aliases", ctypes.POINTER(ctypes.c_char_p)),
        ("family", ctypes.c_int),
        ("length", ctypes.c_int),
        ("addresses", ctypes.POINTER(ctypes.c_void_p)),
    )


def library() -> str | None:
    """The shared library, where it is installed."""
    return find_library("cares")


def main(server: str, type_: str, name: str) -> int:
    """Prints what is found; gives the exit code."""
    cares = ctypes.CDLL(library())
    cares.ares_strerror.restype = ctypes.c_char_p
    lines: list[str] = []
    codes: list[int] = []

    def found(_: object, status: int, __: int, host: int | None) -> None:
        codes.append(status)
        if not status and host:
            entry = ctypes.cast(host, ctypes.POINTER(_Hostent)).contents
            lines.extend([(entry.name or b"").decode(), *_addresses(entry)])

    told = _FOUND(found)
    channel = ctypes.c_void_p()
    cares.ares_library_init(1)
    cares.ares_init(ctypes.byref(channel))
    cares.ares_set_servers_ports_csv(channel, server.encode())
    if type_ == "PTR":
        packed = socket.inet_aton(name)
        cares.ares_gethostbyaddr(channel, packed, len(packed), socket.AF_INET, told, None)
    else:
        cares.ares_gethostbyname(channel, name.encode(), socket.AF_INET, told, None)
    while not codes:
        _turn(cares, channel)
    cares.ares_destroy(channel)
    lines += [cares.ares_strerror(code).decode() for code in codes if code]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if any(codes) else 0


def _addresses(entry: _Hostent) -> Sequence[str]:
    found, at = [], 0
    while address := entry.addresses[at]:
        found.append(socket.inet_ntop(entry.family, ctypes.string_at(address, entry.length)))
        at += 1
    return found


def _turn(cares: Any, channel: ctypes.c_void_p) -> None:  # Any: a library without types
    """Waits for its sockets, and lets it read, write and time out."""
    sockets = (ctypes.c_int * _MOST_SOCKETS)()
    bits = cares.ares_getsock(channel, sockets, _MOST_SOCKETS)
    reading = [sockets[at] for at in range(_MOST_SOCKETS) if bits >> at & 1]
    writing = [sockets[at] for at in range(_MOST_SOCKETS) if bits >> at & 1 << _MOST_SOCKETS]
    readable, writable, _ = select.select(reading, writing, [], _WAIT_S)
    for one in readable:
        cares.ares_process_fd(channel, one, -1)
    for one in writable:
        cares.ares_process_fd(channel, -1, one)
    if not readable and not writable:
        cares.ares_process_fd(channel, -1, -1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
