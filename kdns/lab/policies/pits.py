"""A listener is closed to some addresses where its user may put no filter on it.

Linux 6.18 keeps socket filters of TCP from users without CAP_NET_ADMIN, but not the programs that
share connections among listeners of one port. So a second listener takes those that are to be
dropped; its queue is full, so that the kernel answers none of them, as with a firewall.
"""

import socket
from contextlib import suppress

from kdns.lab.ground.base import Listener
from kdns.lab.policies.filters import load, program

_ATTACH_REUSEPORT = 51
"""SO_ATTACH_REUSEPORT_CBPF: asm-generic/socket.h."""
_FIRST, _PIT = 0, 1
"""Listeners of a port are numbered in the order in which they began to listen."""
_BACKLOG = 1024


def attach(listener: Listener, dropped: frozenset[str]) -> None:
    """Closes it to these addresses instead of those before; raises OSError."""
    if not listener.beside:
        if not dropped:
            return
        listener.beside.extend(_dug(listener.socket))
    load(listener.socket, _ATTACH_REUSEPORT, program(dropped, _FIRST, _PIT))


def _dug(first: socket.socket) -> tuple[socket.socket, socket.socket]:
    """The listener whose queue is full, and the connection that fills it."""
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if not first.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        first.listen(_BACKLOG)
    pit, filling = (socket.socket(first.family, socket.SOCK_STREAM) for _ in range(2))
    try:
        pit.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        pit.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # beside connections that it had
        pit.bind(first.getsockname())
        pit.listen(0)
        filling.setblocking(False)
        filling.bind((first.getsockname()[0], 0))
        load(first, _ATTACH_REUSEPORT, program(frozenset({first.getsockname()[0]}), _FIRST, _PIT))
        with suppress(BlockingIOError):
            filling.connect(first.getsockname())
    except OSError:
        pit.close()
        filling.close()
        raise
    return pit, filling
