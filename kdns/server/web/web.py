"""One client's connection for HTTP: which version is spoken, who asks, and what became of it.

The first octets say the version, with TLS before it or without. Requests become queries here, and
replies go back to whoever speaks the version. Bounds: queries under way, and the listener's time.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final, Protocol, cast

from kdns.plugins.base import Client
from kdns.server.asking import answer, recall
from kdns.server.peers import Peer, address_of
from kdns.server.streams import accepting
from kdns.server.streams.accepting import StreamListener
from kdns.server.web.forwarded import asker
from kdns.server.web.webservices import Refusal, Request, Response, Service
from kdns.wire.http2 import PREFACE

PIECE: Final = 1024
"""Octets that are read between two looks at the time."""
TOGETHER: Final = 1 << 14
"""Octets that wait for no more to be said before they leave."""


class Speaker(Protocol):
    """A version of HTTP."""

    @property
    def is_idle(self) -> bool:
        """Nothing has begun that is to be over soon."""

    @property
    def is_over(self) -> bool:
        """Nothing is owed to the client, nor asked by him."""

    def receive(self, octets: bytes) -> None:
        """Reads."""

    def close(self) -> None:
        """Takes no more requests."""

    def end(self) -> None:
        """Says that the connection ends."""


class Web(asyncio.Protocol):
    """A connection, from its first octet to its last."""

    def __init__(self, listener: StreamListener, service: Service) -> None:
        self.listener = listener
        self.service = service
        self.underway = 0
        self.waits_since = listener.clock()
        self.is_closing = False
        self.is_full = False
        """The client does not read what is written."""
        self._speaker: Speaker | None = None
        self._early = b""
        self._unread = b""
        """What came and waits for its turn."""
        self._at = 0
        """How much of it is read."""
        self._has_ended = False
        """The client says no more, though not all is read."""
        self._out: list[bytes] = []
        self._waiting = 0
        """Octets in it."""
        self._turns = listener.turns
        self._peer: Peer = ()
        self._local: Peer = ()
        self._asker: tuple[Client, Peer] | None = None
        """Who asks where nobody else is named."""
        self._is_held = False
        self._is_paused = False

    @property
    def is_idle(self) -> bool:
        """Nothing has begun that is to be over soon."""
        return self._speaker is not None and self._speaker.is_idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._peer = transport.get_extra_info("peername") or ()
        self._local = transport.get_extra_info("sockname") or ()
        if not self._peer or not self._local:
            self.transport.abort()
            return
        self.listener.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closing = True
        self.listener.drop(self)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._speaker is None:
            self._early += data
            if PREFACE.startswith(self._early) and len(self._early) < len(PREFACE):
                return
            data, self._early = self._early, b""
            self._speaker = self._begun(data)
        self._unread, self._at = self._unread[self._at :] + data, 0
        self._read()

    def _read(self) -> None:
        """Reads what came, as far as there is time in this turn of the loop."""
        while self._at < len(self._unread) and not self._is_held:
            if self._turns.is_over:
                self._pause()
                self._turns.add(self._read_on)
                return
            self._read_piece()
        self._rest()

    def _read_on(self) -> None:
        """Reads a piece in any case: it has waited for that."""
        if self._at < len(self._unread) and not self._is_held:
            self._read_piece()
            if self._at < len(self._unread):
                self._turns.add(self._read_on)
                return
        self._rest()

    def _read_piece(self) -> None:
        assert self._speaker is not None
        octets = self._unread[self._at : self._at + PIECE]
        self._at += len(octets)
        if self.transport.is_closing():
            self._at = len(self._unread)
            return
        self._speaker.receive(octets)
        self.settle()

    def _rest(self) -> None:
        """Reads again when all that came is read."""
        if self._at < len(self._unread):
            return
        self._unread, self._at = b"", 0
        if self._is_paused and not self._is_held and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()
        if self._has_ended:
            self.close()

    def _pause(self) -> None:
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def _begun(self, data: bytes) -> Speaker:
        if data.startswith(PREFACE) or self.service.transport == "grpc":
            from kdns.server.web.http2 import Http2  # noqa: PLC0415 - not loaded where nobody uses it

            return Http2(self)
        from kdns.server.web.http1 import Http1  # noqa: PLC0415 - as above

        return Http1(self)

    def eof_received(self) -> bool:
        """The client says no more; what was asked is still answered."""
        self._has_ended = True
        if self._at >= len(self._unread):
            self.close()
        return self.transport.can_write_eof()

    def pause_writing(self) -> None:
        self.is_full = True
        self.hold()

    def resume_writing(self) -> None:
        self.is_full = False
        asyncio.get_running_loop().call_soon(self.release)

    def close(self) -> None:
        """Takes no more requests; closes when all that were taken are answered."""
        self.is_closing = True
        if self._speaker is not None:
            self._speaker.close()
        self.settle()

    def settle(self) -> None:
        """Closes when nothing is left to say."""
        is_over = self._speaker is None or self._speaker.is_over
        if self.is_closing and is_over and not self.transport.is_closing():
            if self._speaker is not None:
                self._speaker.end()
            self._flush()
            self.transport.close()

    def hold(self) -> None:
        """Reads no more for now."""
        if not self._is_held and not self.transport.is_closing():
            self._is_held = True
            self._pause()

    def release(self) -> None:
        """Reads again, where there is room."""
        if self._is_held and not self.is_full and not self.transport.is_closing():
            self._is_held = False
            if self._speaker is not None:
                self._speaker.receive(b"")
                self.settle()
            self._read()

    def write(self, octets: bytes) -> None:
        """Sends at the end of this turn of the loop: one record, one system call."""
        if not octets:
            return
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(octets)
        self._waiting += len(octets)
        if self._waiting > TOGETHER:
            self._flush()

    def _flush(self) -> None:
        out, self._out, self._waiting = self._out, [], 0
        if out and not self.transport.is_closing():
            self.transport.write(b"".join(out))

    def renew(self) -> None:
        """Notes that what is waited for has come a step nearer."""
        self.waits_since = self.listener.clock()
        self.listener.renew(self)

    def serve(self, request: Request, done: Callable[[Response], None]) -> None:
        """Has a request answered, now or later."""
        listener = self.listener
        pipeline = listener.pipeline
        listener.heard_at = self.waits_since = now = listener.clock()
        listener.renew(self)
        try:
            packet = self.service.query(request)
        except Refusal as refusal:
            self._respond(done, refusal.response)
            return
        client, peer = self._client(request)
        reply = recall(pipeline, packet, client, peer, now)
        if reply is not None:
            self._respond(done, self.service.response(reply))
        elif listener.underway >= accepting.MAX_UNDERWAY:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, done)
        else:
            self.underway += 1
            listener.underway += 1
            answer(pipeline, packet, client, now, partial(self._answered, done))

    def refuse(self, status: int, done: Callable[[Response], None]) -> None:
        """Answers where there is no request to speak of."""
        self._respond(done, self.service.refusal(status))

    def _answered(self, done: Callable[[Response], None], reply: bytes | None) -> None:
        self.underway -= 1
        self.listener.answered()
        self.renew()
        self._respond(done, self.service.response(reply))
        self.settle()

    def _respond(self, done: Callable[[Response], None], response: Response) -> None:
        listener = self.listener
        self.service.count(listener.pipeline.counters, listener.terms.label, response)
        done(response)

    def _client(self, request: Request) -> tuple[Client, Peer]:
        """Who asks: the peer, or whom proxies say that are to be believed."""
        if not request.forwarded and self._asker is not None:
            return self._asker
        address, port, peer = asker(self._peer, request.forwarded, self.listener.terms.forwarded)
        here, tlvs = address_of(self._local), self.transport.get_extra_info("tlvs", b"")
        name = self.listener.transport
        found = Client(address, port, name, here, self._local[1], tlvs), peer
        if not request.forwarded:
            self._asker = found
        return found
