"""Queries over UDP: a connected socket with a port the kernel drew at random."""

import socket
from collections.abc import Iterator

from kdns.client.line import (
    Lent,
    Line,
    MiscasedError,
    UpstreamError,
    Waiter,
    address_text,
    open_socket,
    strerror,
)

_ROOM = 1 << 20
"""For replies to all that may be in flight, or as much of it as the system allows."""
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


class Datagrams(Line):
    """A UDP socket. One ICMP error closes it: what is in flight fails at once."""

    transport = "udp"
    busy = 192

    def __init__(self, host: str, port: int, source: str, lent: Lent) -> None:
        peer = address_text((host, port))
        try:
            sock = open_socket(socket.SOCK_DGRAM, host, source)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
                _report_icmp(sock)
                sock.connect((host, port))
            except OSError:
                sock.close()
                raise
        except OSError as error:
            raise UpstreamError(f"dial udp {peer}: connect: {strerror(error)}") from error
        super().__init__(sock, peer, lent)
        self.socket = sock
        lent.loop.add_reader(sock, self._read)

    def send(self, packet: bytes) -> None:
        """Has one datagram sent with the others of this turn."""
        out = self.out
        if not out:
            self.lent.burst.enlist(self)
        out.append(packet)

    def fail(self, error: OSError) -> None:
        """A full buffer is an error, too, as waiting would be worse."""
        self.close(UpstreamError(f"{self.reading()}: write: {strerror(error)}"))

    def miscased(self, waiter: Waiter, message: bytes) -> None:
        """Trusts no other letter case: it may be a guess that the asker's own check would find."""
        self.finish(waiter, MiscasedError("reply with another letter case"))

    def _read(self) -> None:
        try:
            messages = self.lent.intake.read(self.socket)
        except OSError as error:
            # Also where the loop is uvloop: it stops polling a socket that had an error.
            self.close(UpstreamError(f"{self.reading()}: read: {strerror(error)}"))
            return
        left = iter(messages)
        self._take(left)

    def _take(self, left: Iterator[bytes]) -> None:
        """Hands replies on; what comes of one is not the next one's loss."""
        for message in left:
            try:
                self.take(message)
            except BaseException:
                self._take(left)
                raise


def _report_icmp(sock: socket.socket) -> None:
    """Asks Linux for unreachable hosts and nets too, not for refused ports alone."""
    level, option = _RECVERR[sock.family]
    try:
        sock.setsockopt(level, option, 1)
    except OSError:
        return  # another system; time-outs do the rest
