"""TCP bytes become replies: length-prefixed messages, pipelined, answered as they are ready.

RFC 7766: a connection carries many queries, and replies may overtake each other. With TLS before
it (server.secured) it is DNS over TLS (RFC 7858). Bounds: queries under way, octets of replies at
once; connections and time are the listener's to bound (server.accepting).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import cast

from kdns.plugins.base import Client
from kdns.plugins.tls import DOT
from kdns.server.drive import drive
from kdns.server.peers import Peer, address_of
from kdns.server.pipeline import Pipeline
from kdns.server.replies import Flow, Reply
from kdns.server.streams import accepting
from kdns.server.streams.accepting import StreamListener
from kdns.server.terms import Terms
from kdns.zone.transfers import Superseded

MAX_UNDERWAY = 128
"""Queries under way on one connection; beyond it, its bytes stay in the kernel."""
BATCH = 256
"""Messages of one connection answered before others get their turn."""
REPLIES_BYTES = 1 << 16
"""Octets of replies after which they get it, too."""
POUR_S = 0.005
"""How often it is looked whether he does again."""


class Connection(asyncio.Protocol):
    """One client's connection, with or without TLS: it knows its bytes, not what carries them."""

    __slots__ = (
        "_buffer",
        "_client",
        "_is_full",
        "_is_in_batch",
        "_is_paused",
        "_replies",
        "allowance",
        "is_closing",
        "is_idle",
        "is_v6",
        "listener",
        "peer",
        "pipeline",
        "transport",
        "turns",
        "underway",
        "waits_since",
    )

    def __init__(self, listener: StreamListener) -> None:
        self.listener = listener
        self.pipeline = listener.pipeline
        self.turns = listener.turns
        self.underway = 0
        self.allowance = listener.terms.max_queries
        """How many more queries it may ask."""
        self.waits_since = listener.clock()
        """When the message that is being waited for began, or the connection fell idle."""
        self.is_idle = False
        self.is_closing = False
        self.is_v6 = False
        """The client came over IPv6."""
        self.peer: Peer | None = None
        self._client: Client | None = None
        self._buffer = b""
        self._is_full = False
        self._is_paused = False
        """Reading is held; there may be whole messages in the buffer."""
        self._is_in_batch = False
        self._replies: list[bytes] = []
        """Those of the batch so far, each behind its length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.listener.is_wide or self.listener.terms.trust is not None:
            peer: Peer = transport.get_extra_info("peername") or ()
            self.is_v6 = bool(peer) and len(address_of(peer)) == 16
        self.listener.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closing = True
        self.listener.drop(self)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self.turns.is_over:
            self._hold()
            self.turns.add(self._go_on)
            return
        self._read()

    def eof_received(self) -> bool:
        """The client says no more; what was asked is still answered (RFC 7766 §6.2.4)."""
        self.is_closing = True
        self.settle()
        return self.transport.can_write_eof()  # TLS knows no half-closed connection

    def pause_writing(self) -> None:
        self._is_full = True
        self._hold()

    def resume_writing(self) -> None:
        self._is_full = False
        # Not at once: a transport that is closed from within this call is lost twice.
        asyncio.get_running_loop().call_soon(self.settle)

    def close(self) -> None:
        """Takes no more queries; closes when all that were taken are answered."""
        self.is_closing = True
        self.settle()

    def _read(self) -> None:
        """Answers the whole messages in the buffer, a batch at most; replies leave in one write."""
        listener, pipeline = self.listener, self.pipeline
        now = listener.clock()
        self._is_in_batch = True
        read, is_over = self._answer(now)
        self._is_in_batch = False
        if read or self.is_idle:
            self.waits_since = now
            listener.renew(self)
        self.is_idle = not self._buffer
        if read:
            listener.heard_at = now
        pipeline.tell_due()
        if not self.allowance:
            self._buffer = b""
            self._hold()
            self.close()
        elif self._is_full or self.underway >= MAX_UNDERWAY or self in listener.held:
            self._hold()
        elif not is_over:
            self._hold()
            self.turns.add(self._go_on)

    def _answer(self, now: float) -> tuple[int, bool]:
        """Octets of messages that were read, and whether no whole message is left for now."""
        # perf: bench tcp; what is hot is answered here, without a call
        pipeline, buffer, is_v6 = self.pipeline, self._buffer, self.is_v6
        table, stamps = pipeline.table, pipeline.stamps
        wants_all = pipeline.router.wants_each or pipeline.is_gated
        views = table.views if table is not None and not wants_all else {}
        pending = table.pending if table is not None else []
        generation = stamps.generation
        at, size, hits = 0, len(buffer), 0
        begun = left = self._room()
        room = REPLIES_BYTES
        replies = self._replies
        while left and room > 0 and size - at >= 2:
            end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
            if end > size:
                break
            left -= 1
            view = views.get(buffer[at + 4 : end])
            if (
                view is not None
                and view.gen == generation
                and now < view.until
                and not view.rotating
            ):
                count = view.hits
                view.hits = count + 1
                if not count:
                    pending.append(view)
                if is_v6:
                    view.hits_v6 += 1
                hits += 1
                head = view.head
                count = len(head) + 2
                replies += (count.to_bytes(2, "big"), buffer[at + 2 : at + 4], head)
                room -= count
            else:
                before = len(replies)
                hits += self._ask(buffer[at + 2 : end], now)
                room -= sum(map(len, replies[before:]))
                generation = stamps.generation
                if self._is_full or self.underway >= MAX_UNDERWAY:
                    at = end
                    break
                room *= not self.turns.is_over
            at = end
        self.allowance -= begun - left
        self._buffer = buffer[at:]
        if hits:
            wants = pipeline.router.wants_callers
            client = (self._client or self._introduced()) if wants else None
            pipeline.served(hits, now, client.address if client else b"")
        if replies:
            if not self.transport.is_closing():
                self.transport.write(b"".join(replies))
            replies.clear()
        return at, (left > 0 and room > 0) or size - at < 2

    def _room(self) -> int:
        """How many messages may be answered now."""
        if self.listener.underway >= accepting.MAX_UNDERWAY:
            self.listener.held[self] = None
            return 0
        is_held = self._is_full or self.underway >= MAX_UNDERWAY
        return 0 if is_held else min(BATCH, self.allowance)

    def _ask(self, packet: bytes, now: float) -> bool:
        """Has a packet answered, now or later; true when the table had the reply."""
        pipeline = self.pipeline
        client = self._client or self._introduced()
        if client is None:
            return False
        reply = pipeline.recall(packet, self.peer, now, is_v6=self.is_v6)
        if reply is not None:
            if pipeline.router.wants_each:
                pipeline.recalled(packet, self.peer, client, reply, now)
            self._replies += (len(reply).to_bytes(2, "big"), reply)
            return True
        self.underway += 1
        self.listener.underway += 1
        answer = pipeline.reply(packet, client, now)
        if answer is None or type(answer) is bytes:
            self._answered(answer)
        else:
            drive(cast("Awaitable[Reply]", answer), self._answered)
        return False

    def _introduced(self) -> Client | None:
        """Who asks, found out at need; None when he reset the connection before we came to it."""
        self.peer = self.transport.get_extra_info("peername")
        local: Peer = self.transport.get_extra_info("sockname")
        if not self.peer or not local:
            self.transport.abort()
            return None
        here = address_of(local)
        name, tlvs = self.listener.transport, self.transport.get_extra_info("tlvs", b"")
        self._client = Client(address_of(self.peer), self.peer[1], name, here, local[1], tlvs)
        return self._client

    def _answered(self, reply: Reply) -> None:
        if isinstance(reply, Flow):
            work = asyncio.get_running_loop().create_task(self._pour(reply))
            self.listener.pouring.add(work)
            work.add_done_callback(self.listener.pouring.discard)
            return
        self.underway -= 1
        self.listener.answered()
        if self._is_in_batch:
            if reply is not None:
                self._replies += (len(reply).to_bytes(2, "big"), reply)
            return
        if reply is not None and not self.transport.is_closing():
            self.transport.write(len(reply).to_bytes(2, "big") + reply)
        if self._is_paused or self.is_closing:
            self.settle()
        elif self.underway == 0:
            self.waits_since = self.listener.clock()
            self.listener.renew(self)
            self.pipeline.tell_due()

    async def _pour(self, flow: Flow) -> None:
        """Sends a reply of many messages, as fast as the client takes them."""
        try:
            for message in flow.messages:
                took = asyncio.get_running_loop().time() + self.listener.terms.write_s
                while self._is_full and not self.transport.is_closing():
                    if asyncio.get_running_loop().time() > took:
                        self.listener.pipeline.counters.add("kdns_connections_closed_total", "time")
                        self.transport.abort()
                    await asyncio.sleep(POUR_S)
                if self.transport.is_closing():
                    return
                self.transport.write(len(message).to_bytes(2, "big") + message)
                await asyncio.sleep(0)
        except Superseded:
            self.transport.abort()  # what came is not whole: the client asks again
        finally:
            self._answered(None)

    def _hold(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """What waited for another turn alone is read as if it had not waited."""
        self.settle(MAX_UNDERWAY)

    def settle(self, most: int = MAX_UNDERWAY // 2) -> None:
        """Goes on where there is room again; closes when nothing is left to say."""
        is_held = self._is_paused and self.allowance
        has_room = not self._is_full and self.underway < most
        has_room = has_room and self not in self.listener.held
        if is_held and has_room and not self.transport.is_closing():
            self._is_paused = False
            self._read()
            if not self._is_paused and not self.transport.is_closing():
                self.transport.resume_reading()
        if self.is_closing and not (self.underway or (self._is_paused and self.allowance)):
            self.pipeline.tell_due()
            self.transport.close()


class TcpListener(StreamListener):
    """One listening socket for DNS over TCP, or over TLS where its terms say so."""

    def __init__(
        self,
        sock: socket.socket,
        pipeline: Pipeline,
        clock: Callable[[], float],
        *,
        transport: str = "tcp",
        terms: Terms | None = None,
    ) -> None:
        super().__init__(
            sock, pipeline, clock, Connection, transport=transport, offers=DOT, terms=terms
        )
