"""`nc [-z] [-v] [-u] [-n] [-w SECONDS] HOST PORT[-PORT]`: connects, or tries whether one can."""

import os
import selectors
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from kdns.lab.tools import pod as pods
from kdns.lab.tools.fetch import words_of
from kdns.lab.tools.lookup import LookupFailed, find
from kdns.lab.tools.options import Options, UsageError, read
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.told import complain

_PIECE = 1 << 16
_PROBE_S = 1.0
"""How long a closed UDP port has to say so."""


def main(words: Sequence[str]) -> int:
    """Exit code 0 when a connection was made, 1 when none was."""
    try:
        options = read(words, flags="zvun46N", values="wq")
        ports = _ports(options.words[-1] if len(options.words) == 2 else "")
        run = _Run(pods.here(), options, options.number("w"))
    except UsageError as error:
        complain(f"nc: {error}")
        return 1
    reached = [run.reach(options.words[0], port) for port in ports]
    return 0 if any(reached) else 1


def _ports(text: str) -> range:
    if not text:
        raise UsageError("usage: nc [-zvun] [-w SECONDS] HOST PORT (this one does not listen)")
    first, _, last = text.partition("-")
    try:
        found = range(int(first), int(last or first) + 1)
    except ValueError:
        found = range(0)
    if not found or found[0] < 1 or found[-1] > 65535:
        raise UsageError(f"port number invalid: {text}")
    return found


@dataclass(slots=True)
class _Run:
    pod: Pod
    options: Options
    within_s: float

    def reach(self, host: str, port: int) -> bool:
        """Connects to one port of the first address that can be reached, and talks to it."""
        flags = self.options.flags
        try:
            addresses = find(self.pod, host).addresses
        except LookupFailed as error:
            complain(f'nc: getaddrinfo for host "{host}" port {port}: {error}')
            return False
        kind = "udp" if "u" in flags else "tcp"
        for address in addresses:
            try:
                sock = self._connected(address, port)
            except OSError as error:
                if "v" in flags:
                    complain(f"nc: connect to {host} ({address}) port {port} ({kind}) failed: "
                             f"{words_of(error)}")  # fmt: skip
                continue
            with sock:
                if "v" in flags:
                    complain(f"Connection to {host} ({address}) {port} port "
                             f"[{kind}/{_service(port, kind)}] succeeded!")  # fmt: skip
                if "z" not in flags:
                    self._talk(sock)
            return True
        return False

    def _connected(self, address: str, port: int) -> socket.socket:
        place = self.pod.place(address, port)
        is_datagram = "u" in self.options.flags
        sock = self.pod.socket(place, socket.SOCK_DGRAM if is_datagram else socket.SOCK_STREAM)
        try:
            sock.settimeout(self.within_s or None)
            sock.connect(place)
            if is_datagram and "z" in self.options.flags:
                _probe(sock)
        except OSError:
            sock.close()
            raise
        return sock

    def _talk(self, sock: socket.socket) -> None:
        """Standard input to the socket, and back, until the other side ends or all is quiet."""
        with selectors.DefaultSelector() as ready:
            ready.register(sock, selectors.EVENT_READ)
            with suppress(OSError):  # a file is always ready, and cannot be waited for
                ready.register(sys.stdin.fileno(), selectors.EVENT_READ)
            if len(ready.get_map()) == 1:
                sock.sendall(sys.stdin.buffer.read())
                self._end(sock)
            while events := ready.select(self.within_s or None):
                for key, _ in events:
                    if key.fileobj is sock:
                        if not self._print(sock):
                            return
                    elif piece := os.read(sys.stdin.fileno(), _PIECE):
                        sock.sendall(piece)
                    else:
                        ready.unregister(key.fileobj)
                        self._end(sock)

    def _end(self, sock: socket.socket) -> None:
        if "u" not in self.options.flags:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)

    @staticmethod
    def _print(sock: socket.socket) -> bool:
        try:
            piece = sock.recv(_PIECE)
        except OSError:
            return False
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        return bool(piece)


def _probe(sock: socket.socket) -> None:
    """Raises ConnectionRefusedError when a closed port answers a datagram."""
    sock.send(b"X")
    sock.settimeout(_PROBE_S)
    with suppress(TimeoutError):
        sock.recv(1)


def _service(port: int, kind: str) -> str:
    try:
        return socket.getservbyport(port, kind)
    except OSError:
        return "*"
