"""Queries over TCP: a connection that is kept, with queries pipelined on it (RFC 7766 §6.2.1)."""

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

_CHUNK = 65536


class Stream(Line):
    """A TCP connection. Queries asked before it is established are sent as soon as it is."""

    transport = "tcp"

    def __init__(self, host: str, port: int, source: str, lent: Lent) -> None:
        peer = address_text((host, port))
        try:
            sock = open_socket(socket.SOCK_STREAM, host, source)
        except OSError as error:
            raise UpstreamError(f"dial tcp {peer}: {strerror(error)}") from error
        super().__init__(sock, peer, lent)
        self._open = sock
        self._in = bytearray()
        self._out = bytearray()
        self._is_connected = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex((host, port))
        if code not in (0, errno.EINPROGRESS):
            failed = UpstreamError(f"dial tcp {peer}: connect: {strerror(OSError(code, ''))}")
            self.close(failed)
            raise failed
        lent.loop.add_writer(sock, self._write)

    def send(self, packet: bytes) -> None:
        """Queues a query behind its length."""
        is_first = not self._out
        self._out += len(packet).to_bytes(2, "big") + packet
        if is_first and self._is_connected:
            self._write()

    def expire(self, waiter: Waiter) -> None:
        """Gives a query up; where nothing connected in time, the connection too."""
        if self._is_connected:
            super().expire(waiter)
        else:
            self.close(UpstreamError(f"dial tcp {self.peer}: i/o timeout"))

    def _connect(self) -> bool:
        code = self._open.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            reason = strerror(OSError(code, ""))
            self.close(UpstreamError(f"dial tcp {self.peer}: connect: {reason}"))
            return False
        self._is_connected = True
        self.lent.loop.add_reader(self._open, self._read)
        return True

    def _write(self) -> None:
        if not self._is_connected and not self._connect():
            return
        try:
            sent = self._open.send(self._out) if self._out else 0
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._break(f"{self.reading()}: write: {strerror(error)}")
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
            self._break(f"{self.reading()}: read: {strerror(error)}")
            return
        if not chunk:
            self._break("EOF")
            return
        self._in += chunk
        self._split()

    def _split(self) -> None:
        """Takes every whole message out of what has come in."""
        held = self._in
        at = 0
        while len(held) - at >= 2:
            end = at + 2 + (held[at] << 8 | held[at + 1])
            if end > len(held):
                break
            self.take(bytes(held[at + 2 : end]))
            at = end
        del held[:at]

    def _break(self, why: str) -> None:
        """The peer is gone. A connection that has served before was merely kept too long."""
        self.close(StaleError(why) if self.answered else UpstreamError(why))
