"""PROXY headers on streams: a proxy's connection becomes that of the client it names.

The protocol behind begins when the header has been read, and sees the client's addresses. Which
proxies are believed is for `proxyproto` to say.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from kdns.plugins.proxyproto import Trust
from kdns.server.peers import Peer, address_of
from kdns.wire import proxied
from kdns.wire.proxied import Header, Malformed, Place

if TYPE_CHECKING:
    from kdns.server.streams.accepting import StreamListener


def peer_at(place: Place) -> Peer:
    """An address and port as the socket module has them."""
    address, port = place
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address), port
    return socket.inet_ntop(socket.AF_INET6, address), port, 0, 0


class Prefaced(asyncio.Protocol):
    """Reads the header of a connection, if it has one, and gives way."""

    underway = 0
    is_idle = False

    def __init__(
        self, listener: "StreamListener", trust: Trust, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self.listener = listener
        self.waits_since = listener.clock()
        self._trust = trust
        self._make = make
        self._policy = "use"
        self._buffer = b""
        self._has_given_way = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer: Peer | None = transport.get_extra_info("peername")
        if not peer:
            self.transport.abort()
            return
        self._policy = self._trust.policy(address_of(peer))
        if self._policy == "skip":
            self._give_way(proxied.NONE)
        else:
            self.listener.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            header = proxied.read(self._buffer)
        except Malformed:
            header = None
            self._refuse()
        if header is None:
            return
        if header.size and self._policy == "reject":
            self._refuse()
            return
        self.listener.drop(self)
        self._give_way(header)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.drop(self)

    def close(self) -> None:
        """Closes: nothing was asked yet."""
        self.transport.close()

    def settle(self) -> None:
        """It waits for nothing but its client."""

    def _refuse(self) -> None:
        self.listener.pipeline.counters.add(
            "kdns_proxy_headers_refused_total", self.listener.terms.label
        )
        self.transport.abort()

    def _give_way(self, header: Header) -> None:
        inner = self._make()
        transport: Any = self.transport  # Any: a Named is a transport to those behind it
        if header.source is not None and header.target is not None and self._policy == "use":
            transport = Named(transport, header)
        self.transport.set_protocol(inner)
        inner.connection_made(transport)
        rest = self._buffer[header.size :]
        if rest and not transport.is_closing():
            inner.data_received(rest)


class Named:
    """A transport with the addresses that a header says."""

    def __init__(self, transport: asyncio.Transport, header: Header) -> None:
        assert header.source is not None
        assert header.target is not None
        self._transport = transport
        self._known: dict[str, object] = {
            "peername": peer_at(header.source),
            "sockname": peer_at(header.target),
            "tlvs": header.tlvs,
        }
        self.write = transport.write
        self.is_closing = transport.is_closing

    def get_extra_info(self, name: str, default: object = None) -> object:
        """What is known of the connection."""
        if name in self._known:
            return self._known[name]
        return self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:  # Any: whatever the transport has
        return getattr(self._transport, name)
