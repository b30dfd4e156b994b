"""A TCP connection to an upstream, plain or TLS, that is kept; on it, pipelined DNS queries.

Queries asked before it is established are sent as soon as it is (RFC 7766 §6.2.1, RFC 7858).
"""

import errno
import socket

from kdns.client.line import (
    Lent,
    Line,
    StaleError,
    UpstreamError,
    Waiter,
    address_text,
    open_socket,
    strerror,
)
from kdns.client.security import Secure

_CHUNK = 65536


class Stream(Line):
    """A TCP connection that carries messages behind their lengths, as DNS over TCP and TLS."""

    transport = "tcp"
    busy = 32

    def __init__(
        self, host: str, port: int, source: str, lent: Lent, secure: Secure | None = None
    ) -> None:
        peer = address_text((host, port))
        try:
            sock = open_socket(socket.SOCK_STREAM, host, source)
        except OSError as error:
            raise UpstreamError(f"dial tcp {peer}: {strerror(error)}") from error
        super().__init__(sock, peer, lent)
        self._open = sock
        self._secure = secure
        self._in = bytearray()
        self._early: list[bytes] = []
        """What waits for the end of the handshake. Each leaves in a record of its own: some servers
        (dnsdist 1.7) wait for the socket while they hold a query from the same record."""
        self._plain: list[bytes] = []
        """What leaves at the end of this turn of the loop."""
        self._out = bytearray()
        self._is_connected = False
        self.is_established = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex((host, port))
        if code not in (0, errno.EINPROGRESS):
            failed = UpstreamError(f"dial tcp {peer}: connect: {strerror(OSError(code, ''))}")
            self.close(failed)
            raise failed
        lent.loop.add_writer(sock, self._write)

    def send(self, packet: bytes) -> None:
        """Queues a query behind its length."""
        self.write(len(packet).to_bytes(2, "big") + packet)

    def write(self, plain: bytes) -> None:
        """Queues octets."""
        secure = self._secure
        if secure is None:
            self._queue(plain)
        elif not secure.is_ready:
            self._early.append(plain)
        else:
            if not self._plain:
                self.lent.loop.call_soon(self._encrypt)
            self._plain.append(plain)

    def pour(self, plain: bytes) -> None:
        """Sends octets at once, in as few records as they fit in."""
        if self._secure is not None and not self._secure.is_ready:
            self._early.append(plain)
        elif self._secure is not None:
            self._plain.append(plain)
            self._encrypt()
        else:
            self._out += plain
            self._flush()

    def _encrypt(self) -> None:
        """Sends what this turn of the loop has: one record for each, as of `_early`."""
        plain, self._plain = self._plain, []
        secure = self._secure
        if secure is None or self.is_closed:
            return
        try:
            for octets in plain:
                secure.send(octets)
        except UpstreamError as error:
            self.break_off(str(error))
            return
        self._out += secure.out()
        self._write()

    def expire(self, waiter: Waiter) -> None:
        """Gives a query up; where nothing connected in time, the connection too."""
        if self.is_established:
            super().expire(waiter)
        else:
            what = "dial tcp" if not self._is_connected else "tls handshake with"
            self.close(UpstreamError(f"{what} {self.peer}: i/o timeout"))

    def ready(self) -> None:
        """The connection stands."""
        if self._secure is None:
            self.is_established = True
        else:
            self.established()

    def received(self, plain: bytes) -> None:
        """Takes every whole message out of what has come in."""
        held = self._in
        held += plain
        at = 0
        while len(held) - at >= 2:
            end = at + 2 + (held[at] << 8 | held[at + 1])
            if end > len(held):
                break
            self.take(bytes(held[at + 2 : end]))
            at = end
        del held[:at]

    def _queue(self, octets: bytes) -> None:
        is_first = not self._out
        self._out += octets
        if is_first and self._is_connected and octets:
            # perf: what is asked in one turn of the loop leaves with one system call
            self.lent.loop.call_soon(self._flush)

    def _flush(self) -> None:
        if not self.is_closed:
            self._write()

    def _connect(self) -> bool:
        code = self._open.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            reason = strerror(OSError(code, ""))
            self.close(UpstreamError(f"dial tcp {self.peer}: connect: {reason}"))
            return False
        self._is_connected = True
        self.lent.loop.add_reader(self._open, self._read)
        if self._secure is None:
            self.ready()
        else:
            self._secure.begin()
            self._out += self._secure.out()
        return True

    def _write(self) -> None:
        if not self._is_connected and not self._connect():
            return
        try:
            sent = self._open.send(self._out) if self._out else 0
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self.break_off(f"{self.reading()}: write: {strerror(error)}")
            return
        del self._out[:sent]
        if self._out:
            self.lent.loop.add_writer(self._open, self._write)
        else:
            self.lent.loop.remove_writer(self._open)

    def _read(self) -> None:
        try:
            chunk = self._open.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.break_off(f"{self.reading()}: read: {strerror(error)}")
            return
        if not chunk:
            self.break_off("EOF")
            return
        try:
            if self._secure is None:
                self.received(chunk)
            else:
                self._decrypt(self._secure, chunk)
        except UpstreamError as error:
            self.break_off(str(error))

    def _decrypt(self, secure: Secure, chunk: bytes) -> None:
        plain = secure.receive(chunk)
        if secure.is_ready and not self.is_established:
            self.ready()
            for early in self._early:
                secure.send(early)
            self._early.clear()
        if not self.is_closed:
            self._queue(secure.out())
        if plain:
            self.received(plain)
        if secure.is_over and not self.is_closed:
            self.break_off("EOF")

    def break_off(self, why: str) -> None:
        """The peer is gone. A connection that has served before was merely kept too long."""
        self.close(StaleError(why) if self.answered else UpstreamError(why))
