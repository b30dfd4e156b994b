"""UDP behind a proxy: datagrams with PROXY headers become queries of the clients they name.

This is no fast path: packets are read one by one, and each is given to the pipeline as its client's
own. The reply goes back to the proxy, which knows whose it is. A header may count for the later
datagrams of its sender, too (udp_session_tracking).
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from msgspec import Struct

from kdns.plugins.base import Client
from kdns.plugins.proxyproto import Trust
from kdns.server.asking import ask
from kdns.server.peers import (
    Ancillary,
    Bound,
    Peer,
    address_of,
    ask_for_local_addresses,
    from_local,
    local_in,
)
from kdns.server.pipeline import Pipeline
from kdns.server.sockets import turn_away
from kdns.server.streams.named import peer_at
from kdns.server.terms import Terms
from kdns.wire import proxied
from kdns.wire.proxied import Header, Malformed

BATCH: Final = 64
"""Packets a wake-up may read before others get their turn."""
MAX_PACKET: Final = 65535
MAX_UNDERWAY: Final = 10_000


class Session(Struct):
    """What a proxy last said of a socket of his."""

    header: Header
    until: float


class Sessions:
    """The headers that still count, by who sent them; the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Peer, Session] = OrderedDict()

    def keep(self, peer: Peer, header: Header, now: float, trust: Trust) -> None:
        """Remembers a header for the next datagrams."""
        self._kept.pop(peer, None)
        while len(self._kept) >= trust.max_sessions:
            self._kept.popitem(last=False)
        self._kept[peer] = Session(header, now + trust.session_s)

    def find(self, peer: Peer, now: float, trust: Trust) -> Header:
        """The header that counts for a datagram without one; each use makes it last longer."""
        session = self._kept.get(peer)
        if session is None or not trust.session_s:
            return proxied.NONE
        if now >= session.until:
            del self._kept[peer]
            return proxied.NONE
        session.until = now + trust.session_s
        self._kept.move_to_end(peer)
        return session.header


def stripped(
    packet: bytes, peer: Peer, now: float, trust: Trust, sessions: Sessions
) -> tuple[Header, bytes] | None:
    """Whose a datagram is, and what he sent; None where it is not to be answered."""
    policy = trust.policy(address_of(peer))
    if policy != "skip" and packet.startswith(proxied.TEXT):
        return None  # version 1 is for streams alone
    if policy == "skip" or not packet.startswith(proxied.SIGNATURE):
        return (sessions.find(peer, now, trust) if policy == "use" else proxied.NONE), packet
    try:
        header = proxied.read(packet)
    except Malformed:
        return None
    if header is None or policy == "reject" or header.kind == proxied.STREAM:
        return None
    rest = packet[header.size :]
    if policy == "ignore":
        return proxied.NONE, rest
    if trust.session_s and header.source is not None:
        sessions.keep(peer, header, now, trust)
    return header, rest


class ProxiedUdpListener:
    """One bound UDP socket and the pipeline behind it."""

    def __init__(
        self, sock: socket.socket, pipeline: Pipeline, clock: Callable[[], float], terms: Terms
    ) -> None:
        self.sock = sock
        self.terms = terms
        self.heard_at = float("-inf")
        """When packets were last read."""
        self.underway = 0
        self._is_reading = False
        self._is_over = False
        self._pipeline = pipeline
        self._clock = clock
        self._sessions = Sessions()
        self._bound = Bound.of(sock)
        self._loop = asyncio.get_running_loop()
        if self._bound.is_wildcard:
            ask_for_local_addresses(sock)

    async def start(self) -> None:
        """Begins to read."""
        self._is_reading = True
        self._loop.add_reader(self.sock, self._wake)

    async def stop(self, grace_s: float) -> None:
        """Answers what is in the queue and under way, closes the socket."""
        turn_away(self.sock)
        self._is_over = True
        self._loop.remove_reader(self.sock)
        await asyncio.sleep(0)
        self._wake()
        deadline = self._loop.time() + grace_s
        while self.underway and self._loop.time() < deadline:  # noqa: ASYNC110 - seldom
            await asyncio.sleep(0.01)
        self.sock.close()

    def _wake(self) -> None:
        self.heard_at = now = self._clock()
        for _ in range(BATCH):
            if self.underway >= MAX_UNDERWAY:
                self._loop.remove_reader(self.sock)
                self._is_reading = False
                break
            try:
                packet, ancillary, _, peer = self.sock.recvmsg(MAX_PACKET, 64)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # what an earlier reply met with
            self._take(packet, ancillary, peer, now)

    def _take(self, packet: bytes, ancillary: Ancillary, peer: Peer, now: float) -> None:
        trust = self.terms.trust
        assert trust is not None
        found = stripped(packet, peer, now, trust, self._sessions)
        if found is None:
            self._pipeline.counters.add("kdns_proxy_headers_refused_total", self.terms.label)
            return
        header, rest = found
        if header.source is not None and header.target is not None:
            seen = peer_at(header.source)
            client = Client(*header.source, "udp", *header.target, header.tlvs)
        else:
            seen = peer
            local = local_in(ancillary) or self._bound.address
            client = Client(address_of(peer), peer[1], "udp", local, self._bound.port)
        self.underway += 1
        ask(self._pipeline, rest, client, seen, partial(self._send, ancillary, peer))

    def _send(self, ancillary: Ancillary, peer: Peer, reply: bytes | None) -> None:
        self.underway -= 1
        if not self._is_reading and not self._is_over and self.underway < MAX_UNDERWAY:
            self._is_reading = True
            self._loop.add_reader(self.sock, self._wake)
        if reply is None:
            return
        with suppress(OSError):  # a full buffer, or a proxy that is gone: the client asks again
            self.sock.sendmsg([reply], from_local(ancillary), 0, peer)
