"""Sockets of the host for a lab in namespaces: asked for inside, opened outside, handed in.

One packet asks (host, port, transport as JSON), one answers with the socket or with the errno. The
outer side opens nothing but loopback addresses, whatever is asked.
"""

import errno
import json
import os
import socket
from contextlib import suppress

from kdns.lab.ground.base import Transport

_ALLOWED = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
_BACKLOG = 128
_MOST = 512


class Outside:
    """The inner side."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def listen(self, host: str, port: int, transport: Transport) -> socket.socket:
        """A socket on an address of the host, not blocking, TCP listening; raises its OSError."""
        self._link.send(json.dumps([host, port, transport]).encode())
        answer, descriptors, _, _ = socket.recv_fds(self._link, _MOST, 1)
        where = f"{host}:{port}"
        if not answer:
            raise ConnectionResetError(f"{where}: the lab's outer process has ended")
        number = json.loads(answer)
        if number:
            raise OSError(number, os.strerror(number), where)
        made = socket.socket(fileno=descriptors[0])
        made.set_inheritable(False)
        made.setblocking(False)  # of Python's part of it
        return made


def serve(link: socket.socket) -> None:
    """The outer side: answers until the inner one has ended."""
    with link, suppress(OSError):
        while asked := link.recv(_MOST):
            host, port, transport = json.loads(asked)
            try:
                with opened(host, port, transport) as made:
                    socket.send_fds(link, [b"0"], [made.fileno()])
            except OSError as error:
                link.send(json.dumps(error.errno).encode())


def opened(host: str, port: int, transport: Transport) -> socket.socket:
    """A socket on a loopback address, not blocking, TCP listening; raises OSError."""
    if host not in _ALLOWED:
        raise PermissionError(errno.EPERM, "not a loopback address")
    made = socket.socket(_ALLOWED[host], _KINDS[transport])
    made.setblocking(False)
    try:
        if transport == "TCP":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        if transport == "TCP":
            made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    return made
