"""DNS over HTTP/2 connections, and HTTP/1.1 ones: what DoH and gRPC have in common.

A Dialect makes a request of a query and a message of a response; ids stay here, for both send 0.
"""

from typing import Protocol

from kdns.client.line import Lent, UpstreamError, Waiter
from kdns.client.security import Secure
from kdns.client.stream import Stream
from kdns.client.web.http1 import Http1
from kdns.client.web.http2 import Headers, Http2, Outcome, Response


class Dialect(Protocol):
    """How queries and replies are written in HTTP."""

    transport: str

    def request(self, packet: bytes) -> tuple[Headers, bytes]:
        """Headers and body for a query."""

    def message(self, response: Response) -> bytes:
        """The reply in a response; raises UpstreamError."""


class Web(Stream):
    """An HTTP connection with requests under way."""

    busy = Http2.busy

    def __init__(
        self,
        address: tuple[str, int],
        source: str,
        lent: Lent,
        dialect: Dialect,
        secure: Secure | None = None,
    ) -> None:
        self.transport = dialect.transport
        self._dialect = dialect
        self._codec: Http1 | Http2 | None = None
        self._queued: list[bytes] = []
        self._heard = lent.loop.time()
        self._is_due = False
        super().__init__(*address, source, lent, secure)

    def ready(self) -> None:
        """The connection stands: what was agreed on says which HTTP it is."""
        self.established()
        is_old = self._secure is not None and self._secure.protocol != "h2"
        self._codec = Http1() if is_old else Http2()
        self.busy = self._codec.busy
        queued, self._queued = self._queued, []
        for packet in queued:
            if packet[0] << 8 | packet[1] in self.pending:
                self.send(packet)
        self._drain()

    def send(self, packet: bytes) -> None:
        """Makes a request of a query."""
        codec = self._codec
        if codec is None:
            self._queued.append(packet)
            return
        try:
            codec.ask(packet[0] << 8 | packet[1], *self._dialect.request(b"\0\0" + packet[2:]))
        except UpstreamError as error:
            self.is_retired = True
            self.lent.loop.call_soon(self.break_off, str(error))
        self._drain()

    def received(self, plain: bytes) -> None:
        """Takes the responses that have come in."""
        self._heard = self.lent.loop.time()
        codec = self._codec
        if codec is None:
            return
        come = codec.receive(plain)
        self.is_retired |= codec.is_over
        self._drain()
        for number, outcome in come:
            waiter = self.pending.get(number)
            if waiter is not None:
                self._answer(waiter, outcome)
        if codec.is_over and not self.is_closed and not self.pending:
            self.lent.rest(self)

    def expire(self, waiter: Waiter) -> None:
        """Gives one request up, and the connection where nothing at all came meanwhile."""
        codec = self._codec
        if codec is None:
            super().expire(waiter)
            return
        codec.cancel(waiter.id)
        self._drain()
        is_silent = self.lent.loop.time() - self._heard > self.patience
        self.is_retired |= is_silent or isinstance(codec, Http1)
        self.finish(waiter, UpstreamError(f"{self.reading()}: i/o timeout"))

    def _drain(self) -> None:
        """Has what is to be said leave at the end of this turn of the loop."""
        if not self._is_due:
            self._is_due = True
            self.lent.loop.call_soon(self._pour)

    def _pour(self) -> None:
        self._is_due = False
        codec = self._codec
        if codec is not None and not self.is_closed and (out := codec.out()):
            self.pour(out)

    def _answer(self, waiter: Waiter, outcome: Outcome) -> None:
        if isinstance(outcome, UpstreamError):
            self.finish(waiter, outcome)
            return
        try:
            message = self._dialect.message(outcome)
        except UpstreamError as error:
            self.finish(waiter, error)
            return
        if len(message) < 12:
            self.finish(waiter, UpstreamError("bad reply: short message"))
            return
        self.take(waiter.id.to_bytes(2, "big") + message[2:])
