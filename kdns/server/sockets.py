"""Opens the listening sockets of an address: UDP and TCP on one port, room for bursts."""

import errno
import os
import socket

RECEIVE_BYTES = 4 << 20
BACKLOG = 4096


class StartError(Exception):
    """The server cannot start, and why, with what to do about it."""


def open_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a listening TCP socket on one port; an empty host is every address.

    Port 0 takes any port that is free for both.
    """
    for _ in range(20):
        stream = _bound(host, port, socket.SOCK_STREAM)
        try:
            datagram = _bound(host, stream.getsockname()[1], socket.SOCK_DGRAM)
        except StartError:
            stream.close()
            if port:
                raise
            continue
        stream.listen(BACKLOG)
        return datagram, stream
    raise StartError("found no port that is free for UDP and TCP")


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A bound, non-blocking socket; for every address IPv6 with IPv4 inside, else IPv4 alone."""
    places = [(_family(host), host)] if host else [(socket.AF_INET6, "::"), (socket.AF_INET, "")]
    failure: OSError | None = None
    for family, address in places:
        try:
            return _bind(family, address, port, kind)
        except OSError as error:
            failure = error
            if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                break
    assert failure is not None
    raise StartError(_explained(failure, host, port)) from failure


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _bind(
    family: socket.AddressFamily, host: str, port: int, kind: socket.SocketKind
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        address: tuple[str | int, ...] = (host, port)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            bare, _, scope = host.partition("%")
            index = int(scope) if scope.isdigit() else socket.if_nametoindex(scope) if scope else 0
            address = (bare, port, 0, index)
        sock.bind(address)
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
