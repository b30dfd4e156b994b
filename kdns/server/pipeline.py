"""A packet becomes a reply: the one function that every transport, `explain` and the tests use.

`recall` gives what the table remembers and never awaits. `respond` is the whole truth: scan, choose
the server block, run the chain, encode, remember. With a table or without one the same bytes leave
(same facts, same rotation); the one-truth test holds us to it.

What an answer depended on is noted in a Ledger from before the block is chosen: the first touch is
the Corefile itself, so a reload that falls into an await is noticed like any other Change. The one
`except Exception` around plugins is here (wire.rare has another, around dnslib): a plugin that
fails costs one SERVFAIL and one log line a second, never the server.
"""

import logging
from collections.abc import Callable, Hashable
from random import Random
from struct import Struct

from kdns.observe.counters import Counters
from kdns.plugins.base import DROP, SKIP, Client, Ledger, Query, Seen, Stamps
from kdns.server.router import NO_NEXT, REFUSED, Block, Router
from kdns.server.table import AnswerTable
from kdns.wire import types
from kdns.wire.encode import cut, encode, turned
from kdns.wire.message import Answer, Question, WireError
from kdns.wire.scan import options, scan

log = logging.getLogger("kdns.server")

COREFILE = "corefile"
"""The fact that every answer depends on: which server blocks there are."""

MAX_DATAGRAM = 65507
"""What IPv4 can carry over UDP, whatever size the asker says."""

BADVERS = Answer(rcode=types.BADVERS)
FAILED = Answer(rcode=types.SERVFAIL)
_FOLD = Struct("!HHHB").pack
_HEAD = Struct("!HHHHH").pack
_ASKED = 0x7800 | types.RD | types.CD | types.AD
_KEPT = 0x7800 | types.RD | types.CD
_SAID = types.AA | types.TC | types.AD


class Pipeline:
    """Packets in, replies out, for one listener and transport."""

    def __init__(
        self,
        router: Router,
        stamps: Stamps,
        counters: Counters,
        clock: Callable[[], float],
        chance: Random,
        *,
        table: AnswerTable | None,
        whole: bool = False,
    ) -> None:
        self.router = router
        self.stamps = stamps
        self.counters = counters
        self.clock = clock
        self.table = table
        self.whole = whole
        """True on streams: replies up to 65,535 octets."""
        self.reads: frozenset[int] = frozenset()
        """EDNS options that a plugin on this listener reads: they join the folded key."""
        self._chance = chance
        self._seen: dict[Block, list[Seen]] = {}
        self._logged_at = float("-inf")

    def replace(self, router: Router) -> None:
        """Serves other blocks from now on; answers under way from the old ones are not kept."""
        self.router = router
        self.stamps.bump((COREFILE,))

    def recall(self, packet: bytes, peer: Hashable, now: float) -> bytes | None:
        """What the table remembers for exactly this packet."""
        if self.table is None:
            return None
        return self.table.recall(packet, peer, now)

    async def respond(self, packet: bytes, client: Client, now: float) -> bytes | None:
        """The reply to any packet; None is silence."""
        try:
            question = scan(packet)
        except WireError as error:
            return self._rejected(packet, error)
        limit = 65535 if self.whole else min(max(question.size, 512), MAX_DATAGRAM)
        fold = self._fold(question)
        table = self.table
        if table is not None:
            entry = table.find(fold, question, client.address, now)
            if entry is not None:
                reply = table.reply(entry, packet, question, limit, client.address, now)
                if self.router.is_observed:
                    self._see(entry.block, packet, client, reply, now, entry.plugin, entry.metadata)
                return reply
        router = self.router
        router.underway += 1
        try:
            return await self._answered(packet, question, client, now, fold, limit)
        finally:
            router.underway -= 1

    async def _answered(
        self, packet: bytes, question: Question, client: Client, now: float, fold: bytes, limit: int
    ) -> bytes | None:
        router = self.router
        ledger = Ledger(self.stamps, router.route)
        query = Query(question, client, now, ledger)
        query.touch(COREFILE)
        chosen = router.choose(question.key, question.type)
        block = chosen if chosen is not None and chosen.has_handlers else router.stray
        try:
            answer = await self._asked(question, query, chosen)
            reply = self._written(question, query, answer, fold, limit, router, block)
            offered = ledger.metadata
            metadata = {label: value() for label, value in offered.items()} if offered else None
        except Exception as error:
            self._failed(question, query, error)
            answer, metadata = FAILED, None
            reply = self._written(question, query, answer, fold, limit, router, block)
        if answer.error or router.is_observed:
            self._see(block, packet, client, reply, now, answer.plugin, metadata, answer.error)
        return reply

    def _written(
        self,
        question: Question,
        query: Query,
        answer: Answer,
        fold: bytes,
        limit: int,
        router: Router,
        block: Block,
    ) -> bytes | None:
        """The answer as this asker gets it, remembered on the way if it may be."""
        if answer is DROP:
            return None
        if answer.error:
            query.forget()
        flags = types.QR | question.flags & _KEPT | answer.flags & _SAID
        if flags & 0x7800:
            flags &= ~(types.RD | types.CD)  # CoreDNS: a NOTIFY gets neither back
        if router.recurses and question.flags & types.RD:
            flags |= types.RA
        turn = self._chance.random() if answer.rotate else 0.0
        wire = encode(question, answer, flags, now=query.now, turn=turn)
        if self.table is not None:
            address, ledger = query.client.address, query.ledger
            self.table.remember(fold, question, address, query.now, answer, wire, ledger, block)
        reply = wire.wire
        if wire.block is not None:
            reply = turned(reply, wire.block, turn)
        return cut(reply, wire.name_end, wire.opt_at, limit) if len(reply) > limit else reply

    def _failed(self, question: Question, query: Query, error: Exception) -> None:
        """Counts what a plugin or its answer raised; logs it, at most once a second."""
        query.forget()
        self.counters.add("coredns_panics_total")
        if query.now - self._logged_at >= 1:
            self._logged_at = query.now
            what = (question.type, question.name)
            log.error("a plugin failed on type %d of %r", *what, exc_info=error)

    async def _asked(self, question: Question, query: Query, block: Block | None) -> Answer:
        """What the server block says; what the server says where none may."""
        cls = question.cls
        if cls != types.IN and not (block and block.takes(cls)):
            return REFUSED
        if question.version:
            query.forget()
            return BADVERS
        if block is None or not block.has_handlers:
            self.counters.add("kdns_refused_total", "no zone" if block is None else "empty block")
            return REFUSED
        query.zone = block.zone
        answer = await block.chain(query)
        return NO_NEXT if answer is SKIP else answer

    def _fold(self, question: Question) -> bytes:
        bits = question.has_opt | question.do << 1 | (question.version & 0x3F) << 2
        fold = question.key + _FOLD(question.type, question.cls, question.flags & _ASKED, bits)
        if self.reads and question.options:
            for code, value in options(question.options):
                if code in self.reads:
                    fold += b"%d:%b;" % (code, value)
        return fold

    def _rejected(self, packet: bytes, error: WireError) -> bytes | None:
        """The bare header for a packet that asks nothing we can scan, or silence (facts C.1)."""
        self.counters.add("kdns_packets_rejected_total", error.cause)
        if error.rcode is None:
            return None
        flags = types.QR | (packet[2] << 8 | packet[3]) & _KEPT | error.rcode
        counts = 1 if error.question_end else 0
        return packet[:2] + _HEAD(flags, counts, 0, 0, 0) + packet[12 : error.question_end]

    # Telling the observers

    def _see(
        self,
        block: Block | None,
        packet: bytes,
        client: Client,
        reply: bytes | None,
        started: float,
        plugin: str,
        metadata: dict[str, str] | None,
        error: str = "",
    ) -> None:
        if block is None or not block.observers:
            return
        ended = self.clock()
        self._seen.setdefault(block, []).append(
            Seen(packet, client, reply, plugin, block.zone, started, ended, error, metadata)
        )

    def recalled(
        self, packet: bytes, peer: Hashable, client: Client, reply: bytes, started: float
    ) -> None:
        """Notes for the observers a reply that `recall` gave."""
        view = self.table.view(packet, peer, started) if self.table is not None else None
        entry = view.entry if view is not None else None
        if entry is not None:
            self._see(entry.block, packet, client, reply, started, entry.plugin, entry.metadata)

    def tell(self) -> None:
        """Tells the observers what was answered since the last call, batch by batch."""
        if self._seen:
            seen, self._seen = self._seen, {}
            for block, batch in seen.items():
                for observer in block.observers:
                    observer.observe(batch)
