"""Opens the listening sockets of an address: UDP and TCP on one port, room for bursts.

A port that is free is taken as everyone takes it, and then marked as one that may be shared
(SO_REUSEPORT): the next process of ours that starts on it joins, says so, and serves beside this
one until this one has stopped. Whoever shares nothing still finds the port taken, and so do we.
"""

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Collection

log = logging.getLogger("kdns.server")

RECEIVE_BYTES = 4 << 20
BACKLOG = 4096


class StartError(Exception):
    """The server cannot start, and why, with what to do about it."""


def open_pair(
    host: str, port: int, ours: Collection[int] = ()
) -> tuple[socket.socket, socket.socket]:
    """A UDP and a listening TCP socket on one port; an empty host is every address.

    Port 0 takes any port that is free for both. Ports in `ours` are shared without a word.
    """
    for _ in range(20):
        stream, is_shared = _bound(host, port, socket.SOCK_STREAM)
        try:
            datagram, is_joined = _bound(host, stream.getsockname()[1], socket.SOCK_DGRAM)
        except StartError:
            stream.close()
            if port:
                raise
            continue
        if is_joined and not port:  # free for TCP alone: UDP there is another process of ours
            stream.close()
            datagram.close()
            continue
        stream.listen(BACKLOG)
        if (is_shared or is_joined) and port not in ours:
            _say_shared(host, port)
        return datagram, stream
    raise StartError("found no port that is free for UDP and TCP")


def open_stream(host: str, port: int, ours: Collection[int] = ()) -> socket.socket:
    """A listening TCP socket."""
    stream, is_shared = _bound(host, port, socket.SOCK_STREAM)
    stream.listen(BACKLOG)
    if is_shared and port not in ours:
        _say_shared(host, port)
    return stream


def open_datagram(host: str, port: int, ours: Collection[int] = ()) -> socket.socket:
    """A UDP socket."""
    datagram, is_shared = _bound(host, port, socket.SOCK_DGRAM)
    if is_shared and port not in ours:
        _say_shared(host, port)
    return datagram


def turn_away(sock: socket.socket) -> None:
    """Makes the kernel give new packets to the other sockets on a port, if there are any.

    A socket that is connected to a peer gets packets of that peer alone, and here nobody is that
    peer. What is in its queue can still be read and answered.
    """
    nowhere = ("::1", 9) if sock.family == socket.AF_INET6 else ("127.0.0.1", 9)
    host, _, *scope = sock.getsockname()
    if any(socket.inet_pton(sock.family, host.partition("%")[0])):
        nowhere = (host, 9, *scope)
    with contextlib.suppress(OSError):  # a socket that cannot be connected is read until it closes
        sock.connect(nowhere)


def _say_shared(host: str, port: int) -> None:
    where = f"{host or 'every address'}, port {port}"
    log.warning(
        "%s is shared with another process: each gets a part of what is sent there until one"
        " stops; if that is not a rolling restart, stop one",
        where,
    )


def _bound(host: str, port: int, kind: socket.SocketKind) -> tuple[socket.socket, bool]:
    """A bound, non-blocking socket, and whether its port is shared.

    For every address it is IPv6 with IPv4 inside, else IPv4 alone.
    """
    places = [(_family(host), host)] if host else [(socket.AF_INET6, "::"), (socket.AF_INET, "")]
    failure: OSError | None = None
    for family, address in places:
        for is_shared in (False, True):
            try:
                return _bind(family, address, port, kind, is_shared=is_shared), is_shared
            except OSError as error:
                failure = error
                if error.errno != errno.EADDRINUSE:
                    break
        assert failure is not None
        if failure.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            break
    assert failure is not None
    raise StartError(_explained(failure, host, port)) from failure


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _bind(
    family: socket.AddressFamily,
    host: str,
    port: int,
    kind: socket.SocketKind,
    *,
    is_shared: bool,
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        address: tuple[str | int, ...] = (host, port)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            bare, _, scope = host.partition("%")
            index = int(scope) if scope.isdigit() else socket.if_nametoindex(scope) if scope else 0
            address = (bare, port, 0, index)
        sock.bind(address)
        # Only now: bound with it, a port would be shared by mistake and nobody would know.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _explained(error: OSError, host: str, port: int) -> str:
    where = f"{host or 'every address'}, port {port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken: stop what listens there, or serve another port"
    if error.errno == errno.EACCES:
        return (
            f"may not bind {where}: ports below 1024 need CAP_NET_BIND_SERVICE; "
            "or serve another port (-dns.port, or the keys of the Corefile)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: see `bind` in the Corefile"
    return f"cannot listen on {where}: {os.strerror(error.errno or 0)}"
