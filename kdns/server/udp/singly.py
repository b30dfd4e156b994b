"""UDP packets become replies one by one, with the socket module: where `mmsg` does not fit.

The same rules as in `batches`, and the same replies.
"""

import socket
from collections.abc import Awaitable, Callable
from typing import cast

from kdns.plugins.base import Client
from kdns.server.peers import (
    IP_PKTINFO,
    Ancillary,
    Bound,
    Peer,
    address_of,
    is_over_v6,
    unmapped,
)
from kdns.server.pipeline import Pipeline
from kdns.server.udp.late import Late, busy
from kdns.server.udp.outbox import Outbox
from kdns.server.udp.overload import Overload

Origin = tuple[Peer, Ancillary]
"""Who sent a packet, and which of our addresses he asked."""


class Singly:
    """Reads and answers the packets of one socket, each with two system calls."""

    def __init__(
        self,
        sock: socket.socket,
        pipeline: Pipeline,
        outbox: Outbox,
        overload: Overload,
        clock: Callable[[], float],
        sent: Callable[[], None],
    ) -> None:
        self.late = Late[Origin](self._send, sent)
        self._sock = sock
        self._pipeline = pipeline
        self._outbox = outbox
        self._overload = overload
        self._clock = clock
        self._bound = Bound.of(sock)

    def one(self, now: float) -> bool:
        """Answers the packet that woke us; False when there was none."""
        return self.some(1, now) > 0

    def some(self, most: int, now: float) -> int:
        """Answers what waits, so many packets at most; how many there were."""
        count = hits = 0
        peer: Peer = ()
        while count < most and not self._outbox.waiting:
            try:
                packet, origin = self._receive()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an ICMP error of an earlier reply; the next packet is not to blame
                count += 1
                continue
            count += 1
            peer = origin[0]
            sift = self._overload.sift
            if sift is not None and sift([address_of(peer)]):
                continue
            hits += self._answer(packet, origin, now)
        if hits:
            caller = address_of(peer) if self._pipeline.router.wants_callers else b""
            self._pipeline.served(hits, now, caller)
        self._pipeline.tell_due()
        return count

    def _answer(self, packet: bytes, origin: Origin, now: float) -> bool:
        """Sends the reply to a packet if it is there; True when the table had it."""
        pipeline, peer = self._pipeline, origin[0]
        reply = pipeline.recall(packet, peer, now, is_v6=is_over_v6(peer))
        is_hit = reply is not None
        if reply is None and self.late.underway >= self.late.most:
            pipeline.counters.add("kdns_busy_total", "udp")
            reply = busy(packet, now)
        elif reply is None:
            said = pipeline.reply(packet, self._client(origin), now)
            if said is None or isinstance(said, bytes):
                reply = said
            else:
                waited = cast("Awaitable[bytes | None]", said)  # only a stream is given a Flow
                reply = self.late.wait_for(waited, origin)
        elif pipeline.router.wants_each:
            pipeline.recalled(packet, peer, self._client(origin), reply, now)
        if reply is not None:
            self._outbox.send(reply, *origin)
        return is_hit

    def _send(self, replies: list[tuple[Origin, bytes]]) -> None:
        for origin, reply in replies:
            self._outbox.send(reply, *origin)

    def _receive(self) -> tuple[bytes, Origin]:
        if self._bound.is_wildcard:
            packet, ancillary, _, peer = self._sock.recvmsg(65535, 128)
            return packet, (peer, ancillary)
        packet, peer = self._sock.recvfrom(65535)
        return packet, (peer, [])

    def _client(self, origin: Origin) -> Client:
        (peer, ancillary), local = origin, self._bound.address
        for level, kind, received in ancillary:
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                local = received[:16]
            elif level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                local = received[4:8]
        return Client(address_of(peer), peer[1], "udp", unmapped(local), self._bound.port)
