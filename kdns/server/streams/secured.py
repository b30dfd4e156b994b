"""TLS between a TCP connection and the protocol behind it: each takes the other for its own kind.

The handshake is made in memory (ssl.MemoryBIO) with the certificate that serves at that moment.
Only then the protocol behind it begins; until then the connection is one that is waited for. A
client who says that he sends no more (close_notify, or a half-closed TCP connection) still gets
what he is owed.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from kdns.server.streams.accepting import StreamListener

CHUNK: Final = 1 << 16
MAX_SHAKING: Final = 512
"""Handshakes under way on a listener; the oldest makes room."""


class Secured(asyncio.Protocol):
    """A protocol to the TCP connection, a transport to the protocol behind it."""

    underway = 0
    is_idle = False

    def __init__(
        self,
        listener: "StreamListener",
        context: ssl.SSLContext,
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        self.listener = listener
        self.waits_since = listener.clock()
        self._context = context
        self._make = make
        self._inner: asyncio.Protocol | None = None
        self._has_begun = False
        self._early = b""
        """What came of a handshake that waits for its turn."""
        self._is_over = False
        """No more is read."""
        self._is_closing = False

    # For the TCP connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.listener.add(self)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        if self._inner is not None:
            self._incoming.write(data)
            self._read()
            return
        is_waiting, self._early = bool(self._early), self._early + data
        if (
            not is_waiting and self.listener.turns.is_over
        ):  # a handshake takes a millisecond or more
            self.transport.pause_reading()
            self.listener.turns.add(self._go_on)
        elif not is_waiting:
            self._go_on()

    def _go_on(self) -> None:
        """Makes a step of the handshake."""
        if self._is_over or self._is_closing or self.transport.is_closing():
            return
        self.transport.resume_reading()
        if not self._has_begun:
            self._begin()
        data, self._early = self._early, b""
        self._incoming.write(data)
        if self._shake():
            self._read()

    def eof_received(self) -> bool:
        if self._inner is None or self._is_over:
            return self._inner is not None
        self._is_over = True
        return bool(self._inner.eof_received())

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self.listener.shaking.pop(self, None)
        if self._inner is not None:
            self._inner.connection_lost(exc)
        else:
            self.listener.drop(self)

    def _begin(self) -> None:
        """Makes what a handshake needs: 45 kB, so not for those who say nothing."""
        self._has_begun = True
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        shaking = self.listener.shaking
        if len(shaking) >= MAX_SHAKING:
            self.listener.pipeline.counters.add("kdns_connections_closed_total", "bound")
            next(iter(shaking)).abort()
        shaking[self] = None

    def _shake(self) -> bool:
        """Goes on with the handshake; true when it is over and the protocol behind has begun."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError:
            self._fail()
            return False
        self._flush()
        self.listener.drop(self)
        self.listener.shaking.pop(self, None)
        self._inner = self._make()
        self._inner.connection_made(cast("asyncio.Transport", self))
        return True

    def _fail(self) -> None:
        self._is_over = True
        self.listener.pipeline.counters.add("kdns_tls_failures_total", self.listener.terms.label)
        self._flush()
        self.listener.shaking.pop(self, None)
        self.transport.close()

    def _read(self) -> None:
        """Hands on what can be read; one call for all of it, as it came in one."""
        assert self._inner is not None
        found = []
        is_over = False
        try:
            while octets := self._tls.read(CHUNK):
                found.append(octets)
            is_over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            is_over = True
        except ssl.SSLError:
            self.abort()
            return
        self._flush()  # of TLS itself: new keys
        if found:
            self._inner.data_received(b"".join(found))
        if is_over and not self._is_over:
            self._is_over = True
            self._inner.eof_received()

    def _flush(self) -> None:
        if self._has_begun and self._outgoing.pending and not self.transport.is_closing():
            self.transport.write(self._outgoing.read())

    # For the protocol behind it

    def write(self, octets: bytes) -> None:
        """Sends."""
        if self._is_closing:
            return
        rest = memoryview(octets)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError:
            self.abort()
            return
        self._flush()

    def settle(self) -> None:
        """It waits for nothing but its client."""

    def close(self) -> None:
        """Says so, and closes when all has left."""
        if self._is_closing:
            return
        self._is_closing = True
        try:
            if self._inner is not None:
                self._tls.unwrap()
        except ssl.SSLError:
            pass  # he has not said that he closes, too: nobody waits for that
        self._flush()
        self.transport.close()

    def abort(self) -> None:
        """Closes at once."""
        self._is_closing = True
        self.listener.shaking.pop(self, None)
        self.transport.abort()

    def is_closing(self) -> bool:
        """True once it closes."""
        return self._is_closing or self.transport.is_closing()

    def can_write_eof(self) -> bool:
        """A client who has said all is still answered."""
        return True

    def pause_reading(self) -> None:
        """Reads no more for now."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        if not self._is_over:
            self.transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Octets that have not left."""
        return self.transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # Any: as asyncio has it
        """What is known of the connection."""
        return self.transport.get_extra_info(name, default)
