"""DNS over QUIC (RFC 9250) and DNS over HTTP/3, with aioquic: there only with the extra kdns[quic].

A stream is a query and its reply. Bounds: connections, streams at once, queries under way of all
connections, octets and seconds of what is not whole. An address must be shown to be the sender's
own (Retry) once half of the connections are taken.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    ProtocolNegotiated,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aioquic.quic.retry import QuicRetryTokenHandler
from aioquic.tls import load_pem_private_key, load_pem_x509_certificates

from kdns.plugins.base import Client
from kdns.server.asking import ask
from kdns.server.peers import Peer, address_of
from kdns.server.pipeline import Pipeline
from kdns.server.streams.named import peer_at
from kdns.server.terms import Terms
from kdns.server.udp.proxies import Sessions, stripped
from kdns.wire import proxied
from kdns.wire.proxied import Header

if TYPE_CHECKING:
    from kdns.plugins.tls import Files

NO_ERROR, INTERNAL, PROTOCOL, CANCELLED, LOAD = range(5)
"""RFC 9250 §4.3."""
MAX_STREAM: Final = 2 + 65535
MAX_UNREAD: Final = 1 << 18
"""Octets of queries, on one connection, that are not whole."""
SPARE: Final = 64
"""Connections beyond the bound that are still told so."""


class Full(Exception):
    """There is no room for another connection."""


@dataclass(slots=True)
class Coming:
    """A query that is not whole."""

    since: float
    octets: bytes = b""


class QuicListener:
    """One UDP socket and its connections."""

    def __init__(
        self, sock: socket.socket, pipeline: Pipeline, clock: Callable[[], float], terms: Terms
    ) -> None:
        self.sock = sock
        self.pipeline = pipeline
        self.clock = clock
        self.terms = terms
        self.transport = terms.label.partition(":")[0]
        """quic or https3, as Client has it."""
        self.heard_at = float("-inf")
        """When a query was last read."""
        self.connections: dict[Exchange, None] = {}
        self.underway = 0
        self.is_closing = False
        self._waiting: deque[tuple[bytes, Client, Peer, Callable[[bytes | None], None]]] = deque()
        self._server: Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begins to read."""
        loop = asyncio.get_running_loop()
        _, self._server = await loop.create_datagram_endpoint(partial(Server, self), sock=self.sock)
        self._sweeper = loop.call_later(1, self._sweep)

    async def stop(self, grace_s: float) -> None:
        """Takes no more connections, answers what is under way, closes."""
        self.is_closing = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        while (self.underway or self._waiting) and loop.time() < deadline:  # noqa: ASYNC110 - seldom
            await asyncio.sleep(0.01)
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
            await asyncio.sleep(0)

    def ask(
        self, packet: bytes, client: Client, peer: Peer, done: Callable[[bytes | None], None]
    ) -> None:
        """Has a query answered; beyond the pool it waits for another to be done."""
        self.heard_at = self.clock()
        if self.underway >= self.terms.pool:
            self._waiting.append((packet, client, peer, done))
            return
        self.underway += 1
        ask(self.pipeline, packet, client, peer, partial(self._answered, done))

    def _answered(self, done: Callable[[bytes | None], None], reply: bytes | None) -> None:
        self.underway -= 1
        done(reply)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._ask_next)

    def _ask_next(self) -> None:
        while self._waiting and self.underway < self.terms.pool:
            self.ask(*self._waiting.popleft())

    def _sweep(self) -> None:
        now = self.clock()
        for connection in list(self.connections):
            connection.sweep(now - self.terms.read_s)
        self._sweeper = asyncio.get_running_loop().call_later(1, self._sweep)


class Server(QuicServer):
    """Datagrams to connections; the certificate is the one that serves when a connection begins."""

    def __init__(self, listener: QuicListener) -> None:
        self._listener = listener
        self._files: Files | None = None
        self._token_handler = QuicRetryTokenHandler()
        self._header: Header = proxied.NONE
        self._sessions = Sessions()
        super().__init__(configuration=self._made(), create_protocol=self._begun)

    def datagram_received(self, data: bytes | str, addr: Any) -> None:  # Any: as aioquic has it
        """Reads a packet."""
        listener, terms = self._listener, self._listener.terms
        octets = data if isinstance(data, bytes) else data.encode()
        if terms.trust is not None:
            found = stripped(octets, addr, listener.clock(), terms.trust, self._sessions)
            if found is None:
                listener.pipeline.counters.add("kdns_proxy_headers_refused_total", terms.label)
                return
            self._header, octets = found
        if terms.keyring is not None and terms.keyring.files is not self._files:
            self._configuration = self._made()
        is_crowded = len(listener.connections) * 2 >= terms.max_connections
        retry: Any = self._token_handler if is_crowded else None  # Any: aioquic types it wrongly
        self._retry = retry
        with suppress(Full):
            super().datagram_received(octets, addr)

    def _begun(self, quic: QuicConnection, **_: object) -> "Exchange":
        listener = self._listener
        most = listener.terms.max_connections
        if listener.is_closing or len(listener.connections) >= most + SPARE:
            raise Full
        is_excess = len(listener.connections) >= most
        made = DoqExchange if listener.transport == "quic" else _web()
        exchange: Exchange = made(quic, listener, self._header, is_excess=is_excess)
        listener.connections[exchange] = None
        return exchange

    def _made(self) -> QuicConfiguration:
        terms = self._listener.terms
        assert terms.keyring is not None
        self._files = files = terms.keyring.files
        chain = load_pem_x509_certificates(files.certificate)
        return QuicConfiguration(
            is_client=False,
            alpn_protocols=["doq"] if self._listener.transport == "quic" else list(H3_ALPN),
            idle_timeout=terms.idle_s,
            max_stream_data=MAX_STREAM,
            max_data=MAX_UNREAD,
            certificate=chain[0],
            certificate_chain=chain[1:],
            private_key=load_pem_private_key(files.key),
        )


def _web() -> "type[Exchange]":
    from kdns.server.web.http3 import WebExchange  # noqa: PLC0415 - it loads this module

    return WebExchange


class Exchange(QuicConnectionProtocol):
    """One client's connection, whatever its streams carry."""

    def __init__(
        self, quic: QuicConnection, listener: QuicListener, header: Header, *, is_excess: bool
    ) -> None:
        super().__init__(quic)
        self.listener = listener
        self.coming: dict[int, Coming] = {}
        self.asked: set[int] = set()
        """Streams that are owed a reply."""
        self.underway = 0
        """Queries that have no reply yet, those of streams included that the client has reset."""
        self._unread = 0
        self._header = header
        self._is_excess = is_excess
        self._peer: Peer = ()
        self._local: Peer = ()
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learns where it is."""
        super().connection_made(transport)
        self._local = transport.get_extra_info("sockname") or ()

    def datagram_received(self, data: bytes | str, addr: Any) -> None:  # Any: as aioquic has it
        """Reads a packet."""
        self._peer = addr
        super().datagram_received(data, addr)

    def quic_event_received(self, event: QuicEvent) -> None:
        """Meets what has happened."""
        if isinstance(event, ConnectionTerminated):
            self._is_over = True
            self.listener.connections.pop(self, None)
        elif isinstance(event, ProtocolNegotiated) and self._is_excess:
            self.end(NO_ERROR)
        elif not self._is_over:
            if isinstance(event, StreamReset | StopSendingReceived):
                self.forget(event.stream_id)
            self.meet(event)

    def meet(self, event: QuicEvent) -> None:
        """Reads what came on a stream."""
        raise NotImplementedError

    def reset(self, stream: int, code: int) -> None:
        """Abandons a stream."""
        raise NotImplementedError

    def sweep(self, before: float) -> None:
        """Abandons what has been waited for since then."""
        late = [stream for stream, coming in self.coming.items() if coming.since < before]
        for stream in late:
            self.forget(stream)
            self.reset(stream, INTERNAL)
        if late:
            self.transmit()

    def client(self) -> tuple[Client, Peer]:
        """Who asks, and the same as a socket would name him."""
        name, header = self.listener.transport, self._header
        if header.source is not None and header.target is not None:
            client = Client(*header.source, name, *header.target, header.tlvs)
            return client, peer_at(header.source)
        here = address_of(self._local) if self._local else b""
        port = self._local[1] if self._local else 0
        return Client(address_of(self._peer), self._peer[1], name, here, port), self._peer

    def gather(self, stream: int, octets: bytes, most: int) -> Coming | None:
        """What has come of a query; None where that is too much, and the stream is abandoned."""
        coming = self.coming.get(stream)
        if coming is None:
            if len(self.coming) + self.underway >= self.listener.terms.max_streams:
                self.reset(stream, LOAD)
                return None
            coming = self.coming[stream] = Coming(self.listener.clock())
        coming.octets += octets
        self._unread += len(octets)
        if self._unread > MAX_UNREAD:
            self.end(LOAD)
            return None
        return coming if len(coming.octets) <= most else None

    def forget(self, stream: int) -> None:
        """Waits for a stream no more, and answers nothing on it."""
        coming = self.coming.pop(stream, None)
        if coming is not None:
            self._unread -= len(coming.octets)
        self.asked.discard(stream)

    def take(self, stream: int) -> None:
        """A query is whole."""
        self.forget(stream)
        self.asked.add(stream)
        self.underway += 1

    def end(self, code: int) -> None:
        """Closes the connection."""
        self._is_over = True
        self.listener.connections.pop(self, None)
        self.close(error_code=code)

    def is_owed(self, stream: int) -> bool:
        """True once for each stream that still waits for its reply; asked once for each taken."""
        self.underway -= 1
        if self._is_over or stream not in self.asked:
            return False
        self.asked.discard(stream)
        return True


class DoqExchange(Exchange):
    """DNS over QUIC: on each stream a message behind its length, and the end."""

    def meet(self, event: QuicEvent) -> None:
        """Reads what came on a stream."""
        if not isinstance(event, StreamDataReceived):
            return
        stream = event.stream_id
        if stream % 4:  # not opened by the client for both ways
            self._fail()
            return
        coming = self.gather(stream, event.data, MAX_STREAM)
        if coming is None or not event.end_stream:
            return
        octets = coming.octets
        size = int.from_bytes(octets[:2], "big")
        if len(octets) != size + 2 or size < 12 or octets[2:4] != b"\0\0":
            self._fail()
            return
        self.take(stream)
        if octets[4] >> 3 & 0xF == 5:  # CoreDNS: no updates over QUIC
            self.is_owed(stream)
            self.reset(stream, PROTOCOL)
            return
        client, peer = self.client()
        self.listener.ask(octets[2:], client, peer, partial(self._answered, stream))

    def _answered(self, stream: int, reply: bytes | None) -> None:
        if not self.is_owed(stream):
            return
        if reply is None:
            self.reset(stream, INTERNAL)
        else:
            self._count(NO_ERROR)
            octets = len(reply).to_bytes(2, "big") + reply
            self._quic.send_stream_data(stream, octets, end_stream=True)
        self._transmit_soon()

    def reset(self, stream: int, code: int) -> None:
        """Abandons a stream."""
        self._count(code)
        self.asked.discard(stream)
        self._quic.reset_stream(stream, code)

    def _fail(self) -> None:
        self._count(PROTOCOL)
        self.end(PROTOCOL)

    def _count(self, code: int) -> None:
        listener = self.listener
        name = "coredns_dns_quic_responses_total"
        listener.pipeline.counters.add(name, listener.terms.label, hex(code))
