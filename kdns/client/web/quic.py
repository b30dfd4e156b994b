"""DNS over QUIC (RFC 9250): one connection to an upstream, one stream for each query.

aioquic speaks QUIC, without sockets and clocks of its own; both are lent to it here.
"""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.tls import SessionTicket

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

if TYPE_CHECKING:
    import asyncio

_PROTOCOL_ERROR = 2
_CANCELLED = 3
_KEEPALIVE = 11
"""The EDNS option edns-tcp-keepalive, which must not be sent over QUIC (RFC 9250 §5.5.2)."""
_OPT_HEAD = 11


class Quic(Line):
    """A QUIC connection. Queries asked before it is established leave as soon as it is."""

    transport = "quic"
    busy = 1 << 30

    def __init__(
        self,
        address: tuple[str, int],
        source: str,
        lent: Lent,
        configuration: QuicConfiguration,
        keep: Callable[[SessionTicket], None],
    ) -> None:
        peer = address_text(address)
        try:
            sock = open_socket(socket.SOCK_DGRAM, address[0], source)
            try:
                sock.connect(address)
            except OSError:
                sock.close()
                raise
        except OSError as error:
            raise UpstreamError(f"dial quic {peer}: {strerror(error)}") from error
        super().__init__(sock, peer, lent)
        self.socket = sock
        self.is_established = False
        self._address = address
        self._heard = self.born
        self._link = QuicConnection(configuration=configuration, session_ticket_handler=keep)
        self._waiters: dict[int, Waiter] = {}
        self._held: dict[int, bytearray] = {}
        """What has come in, by stream."""
        self._queued: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        lent.loop.add_reader(sock, self._read)
        self._link.connect(address, self.born)
        self._flush()

    def send(self, packet: bytes) -> None:
        """Opens a stream for a query and ends it with it."""
        if not self.is_established:
            self._queued.append(packet)
            return
        waiter = self.pending[packet[0] << 8 | packet[1]]
        message = b"\0\0" + _without_keepalive(packet, 12 + len(waiter.question))[2:]
        stream = self._link.get_next_available_stream_id()
        self._waiters[stream], self._held[stream] = waiter, bytearray()
        framed = len(message).to_bytes(2, "big") + message
        self._link.send_stream_data(stream, framed, end_stream=True)
        self._flush()

    def fail(self, error: OSError) -> None:
        """The kernel did not take what was to be sent."""
        self.close(UpstreamError(f"{self.reading()}: write: {strerror(error)}"))

    def expire(self, waiter: Waiter) -> None:
        """Gives one stream up, and the connection where nothing at all came meanwhile."""
        if not self.is_established:
            self.close(UpstreamError(f"quic handshake with {self.peer}: i/o timeout"))
            return
        for stream, mine in tuple(self._waiters.items()):
            if mine is waiter:
                self._forget(stream)
                self._link.reset_stream(stream, _CANCELLED)
                self._link.stop_stream(stream, _CANCELLED)
        self._flush()
        self.is_retired |= self.lent.loop.time() - self._heard > self.patience
        self.finish(waiter, UpstreamError(f"{self.reading()}: i/o timeout"))

    def close(self, error: UpstreamError) -> None:
        """Says goodbye and closes the socket; every query in flight ends with the error."""
        self._leave(0)
        super().close(error)

    def _leave(self, code: int) -> None:
        """Closes the connection, if it still stands."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.is_closed:
            return
        self._link.close(error_code=code)
        self.out = []  # what waits would come behind the goodbye
        for datagram, _ in self._link.datagrams_to_send(self.lent.loop.time()):
            try:
                self.socket.send(datagram)
            except OSError:
                return

    def _read(self) -> None:
        try:
            datagrams = self.lent.intake.read(self.socket)
        except OSError as error:
            self.close(UpstreamError(f"{self.reading()}: read: {strerror(error)}"))
            return
        now = self._heard = self.lent.loop.time()
        for datagram in datagrams:
            self._link.receive_datagram(datagram, self._address, now)
        self._turn()

    def _turn(self) -> None:
        """Takes what the connection has to say, and has sent what it wants sent."""
        while not self.is_closed and (event := self._link.next_event()) is not None:
            self._take(event)
        if not self.is_closed:
            self._flush()

    def _take(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.HandshakeCompleted):
            self.established()
            queued, self._queued = self._queued, []
            for packet in queued:
                if packet[0] << 8 | packet[1] in self.pending:
                    self.send(packet)
        elif isinstance(event, events.StreamDataReceived):
            held = self._held.get(event.stream_id)
            if held is not None:
                held += event.data
                self._whole(event.stream_id, held, is_end=event.end_stream)
        elif isinstance(event, events.StreamReset):
            waiter = self._forget(event.stream_id)
            if waiter is not None and waiter.id in self.pending:
                why = f"quic: stream reset, code {event.error_code}"
                self.finish(waiter, UpstreamError(why))
        elif isinstance(event, events.ConnectionTerminated):
            why = f"quic: {event.reason_phrase or 'closed'}, code {event.error_code}"
            super().close(StaleError(why) if self.answered else UpstreamError(why))

    def _whole(self, stream: int, held: bytearray, *, is_end: bool) -> None:
        """Hands on a message that is whole; what is none ends the connection (RFC 9250 §4.3.3)."""
        size = 2 + int.from_bytes(held[:2], "big") if len(held) > 1 else 65537
        if not is_end and len(held) <= size:
            return
        waiter = self._forget(stream)
        if len(held) != size or size < 14 or held[2:4] != b"\0\0":
            if waiter is not None and waiter.id in self.pending:
                self.finish(waiter, UpstreamError("quic: bad reply"))
            self._leave(_PROTOCOL_ERROR)
            super().close(StaleError("quic: closed after a bad reply"))
        elif waiter is not None and self.pending.get(waiter.id) is waiter:
            self.take(waiter.id.to_bytes(2, "big") + bytes(held[4:]))

    def _forget(self, stream: int) -> Waiter | None:
        self._held.pop(stream, None)
        return self._waiters.pop(stream, None)

    def _flush(self) -> None:
        now = self.lent.loop.time()
        for datagram, _ in self._link.datagrams_to_send(now):
            if not self.out:
                self.lent.burst.enlist(self)
            self.out.append(datagram)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._link.get_timer()
        if at is not None:
            self._timer = self.lent.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._link.handle_timer(self.lent.loop.time())
        self._turn()


def _without_keepalive(packet: bytes, at: int) -> bytes:
    """A query without the option, whose OPT begins at `at` if it has one."""
    start = at + _OPT_HEAD
    kept, here = b"", start
    while here + 4 <= len(packet):
        end = here + 4 + int.from_bytes(packet[here + 2 : here + 4], "big")
        if int.from_bytes(packet[here : here + 2], "big") != _KEEPALIVE:
            kept += packet[here:end]
        here = end
    if start + len(kept) >= len(packet):
        return packet
    return packet[: start - 2] + len(kept).to_bytes(2, "big") + kept
