"""A packet becomes a reply: the one function that every transport, `explain` and the tests use.

`recall` gives what the table remembers and never awaits. `respond` is the whole truth: scan, choose
the server block, run the chain, encode, remember. With a table or without one the same bytes leave
(same facts, same rotation); the one-truth test holds us to it.

What an answer depended on is noted in a Ledger from before the block is chosen: the first touch is
the Corefile itself, so a reload that falls into an await is noticed like any other Change. The one
`except Exception` around plugins is here: a plugin that fails costs one SERVFAIL and one log line a
second, never the server.
"""

import logging
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from random import Random
from struct import Struct
from typing import Any

from kdns.observe.counters import Counters
from kdns.plugins.base import (
    DROP,
    SKIP,
    Client,
    Ledger,
    Query,
    Result,
    Seen,
    Stamps,
)
from kdns.server.chain import REFUSED
from kdns.server.items import Entry
from kdns.server.replies import (
    KEPT,
    MAX_DATAGRAM,
    SAID,
    Ask,
    Flow,
    Reply,
    Soonest,
    admitted,
    fitted,
    flow,
    limited,
    poured,
    rejected,
)
from kdns.server.router import NO_NEXT, Block, Router
from kdns.server.table import AnswerTable
from kdns.server.telling import Telling
from kdns.wire import types
from kdns.wire.encode import encode
from kdns.wire.message import Answer, Question, Transfer, WireError
from kdns.wire.scan import scan

log = logging.getLogger("kdns.server")

COREFILE = "corefile"
"""The fact that every answer depends on: which server blocks there are."""

BADVERS = Answer(rcode=types.BADVERS)
NOT_ADMITTED = Answer(rcode=types.NOTIMP, ede=((types.EDE_NOT_SUPPORTED, ""),))
FAILED = Answer(rcode=types.SERVFAIL, ede=((types.EDE_OTHER, "internal error"),))
_FOLD = Struct("!HHHH").pack
_ASKED = 0x7800 | types.RD | types.CD | types.AD
_OPCODES = 0x800
"""Below it, the flags of a packet say that it is a query."""
_QR, _RD, _RA = types.QR, types.RD, types.RA


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
        self.stamps = stamps
        self.counters = counters
        self.clock = clock
        self.table = table
        self.whole = whole
        """True on streams: replies up to 65,535 octets."""
        self._chance = chance
        self._replaced: list[AnswerTable] = []
        self._telling = Telling(clock, Client(b"", 0, "tcp" if whole else "udp"))
        self.latency = self._telling.latency
        """What replies from the table took: a transport may count a single one in here itself,
        in place of `served`, when it was one of the shortest."""
        self._logged_at = float("-inf")
        self._bind(router)

    def _bind(self, router: Router) -> None:
        """Serves the blocks of this router."""
        self.router = router
        self._route = router.route
        self._scan = partial(scan, admitted=router.opcodes) if router.opcodes else scan
        self._reads = router.reads
        self.is_gated = bool(router.gates)
        """Every packet is to go to `reply`, what the table has of it, too."""
        self.reply: Ask = admitted(router.gates, self._reply) if router.gates else self._reply
        """The reply to a packet at once, or something to wait for where a plugin must wait."""

    def replace(self, router: Router) -> None:
        """Serves other blocks from now on; answers under way from the old ones are not kept."""
        self.tell()
        self._bind(router)
        self.stamps.bump((COREFILE,))
        if self.table is not None:
            old, self.table = self.table, self.table.fresh()
            self._replaced.append(old)

    async def tidy(self) -> None:
        """Empties replaced tables."""
        while self._replaced:
            await self._telling.empty(self._replaced.pop())

    async def end(self) -> None:
        """Tells everything, and forgets everything."""
        if self.table is not None:
            self._replaced.append(self.table)
        await self.tidy()

    def recall(
        self, packet: bytes, peer: Hashable, now: float, *, is_v6: bool = False
    ) -> bytes | None:
        """What the table remembers for exactly this packet."""
        if self.table is None or self.is_gated:
            return None
        return self.table.recall(packet, peer, now, is_v6=is_v6)

    async def respond(self, packet: bytes, client: Client, now: float) -> bytes | None:
        """The reply to any packet, the first message of many; None is silence."""
        found = self.reply(packet, client, now)
        if found is None or isinstance(found, bytes):
            return found
        reply = await found
        return next(reply.messages) if isinstance(reply, Flow) else reply

    def _reply(  # noqa: C901 - perf: bench once; a call is 0.1 µs
        self, packet: bytes, client: Client, now: float
    ) -> Soonest:
        """The reply to a packet that no gate turns away."""
        try:
            question = self._scan(packet)
        except WireError as error:
            return self._rejected(packet, error)
        key, type_, cls, size = question.key, question.type, question.cls, question.size
        bits = question.has_opt | question.do << 1 | question.version << 2
        asked = question.flags & _ASKED
        fold = key + _FOLD(type_, cls, asked, bits)
        if self._reads:
            fold += self.router.read(question, packet)
        limit = 65535 if self.whole else size if 512 <= size < MAX_DATAGRAM else limited(size)
        if self.is_gated:
            limit -= self.router.room
        table = self.table
        if table is not None and (fold in table.entries or key != question.name):
            entry = table.find(fold, question, client.address, now)
            if entry is not None:
                return self._repeated(entry, packet, question, limit, client, now)
        router = self.router
        ledger = Ledger(self.stamps, self._route, [], [COREFILE], packet)
        chosen = router.only or (None if router.has_views else router.choose(key, type_))
        block = chosen if chosen is not None and chosen.has_handlers else router.stray
        query = Query(question, client, now, ledger, key, type_, cls, block.zone)
        try:
            if router.has_views:
                chosen = router.view(query)
                block = chosen if chosen is not None and chosen.has_handlers else router.stray
                query.zone = block.zone
            is_usual = asked < _OPCODES and cls == types.IN and not question.version
            if is_usual and block is not router.stray:
                answer = block.chain(query)
            else:
                answer = self._barred(question, query, chosen)
            if type(answer) is Answer:
                return self._finished(packet, query, answer, fold, limit, router, block)
            if answer is SKIP:
                return self._finished(packet, query, NO_NEXT, fold, limit, router, block)
        except Exception as error:
            return self._failed(packet, query, error, fold, limit, router, block)
        ledger.settle()
        waited: Any = answer  # Any: a cast costs a call (perf: bench forward)
        return self._waited(packet, query, waited, fold, limit, router, block)

    async def _waited(
        self,
        packet: bytes,
        query: Query,
        waited: Awaitable[Result],
        fold: bytes,
        limit: int,
        router: Router,
        block: Block,
    ) -> Reply:
        """The reply when what must be waited for has come."""
        router.underway += 1
        try:
            answer = await waited
            if answer is SKIP:
                answer = NO_NEXT
            if isinstance(answer, Transfer):
                return self._transferred(packet, query, answer, router, block)
            return self._finished(packet, query, answer, fold, limit, router, block)
        except Exception as error:
            return self._failed(packet, query, error, fold, limit, router, block)
        finally:
            router.underway -= 1

    def _finished(  # noqa: C901 - perf: bench once; a call is 0.1 µs
        self,
        packet: bytes,
        query: Query,
        answer: Answer,
        fold: bytes,
        limit: int,
        router: Router,
        block: Block,
    ) -> bytes | None:
        """The answer as this asker gets it, remembered and told on the way."""
        question, ledger, reply = query.question, query.ledger, None
        if ledger.metadata is not None and block.labels:
            query.tell(block.labels)
        if answer is not DROP:
            flags = _QR | question.flags & KEPT | answer.flags & SAID
            if flags & 0x7800:
                flags &= ~(types.RD | types.CD)  # CoreDNS: a NOTIFY gets neither back
            if router.recurses and question.flags & _RD:
                flags |= _RA
            if answer.forced:
                flags = (flags | answer.forced >> 16) & ~(answer.forced & 0xFFFF)
            finish = ledger.finish
            if finish is not None and not self.whole:
                limit = min(limit, max(finish.size, 512)) - finish.room
            turn = self._chance.random() if answer.rotate else 0.0
            wire = encode(question, answer, flags, now=query.now, turn=turn)
            table = self.table
            if table is not None and ledger.keep and not (answer.error or wire.is_turned):
                if wire.is_case_bound and question.name != question.key:
                    fold += question.name
                if table.admits(fold):
                    address, now = query.client.address, query.now
                    table.remember(fold, question, address, now, answer, wire, ledger, block)
            reply = wire.wire
            if wire.block is not None or len(reply) > limit:
                reply = fitted(wire, turn, limit)
            if finish is not None and finish.seal is not None:
                reply = finish.seal(reply)
        if reply is not None and block.is_tallied and answer.plugin and not answer.error:
            type_, do, is_v6 = question.type, question.do, len(query.client.address) == 16
            size, code = len(reply), reply[3] & 0xF
            tally = (len(packet), size, type_, do, code, answer.plugin, is_v6, False)
            self._telling.tally(block, tally, query.now)
        elif (answer.error or router.is_observed) and block.observers:
            self._see(packet, query, answer, reply, block)
        return reply

    def _transferred(
        self, packet: bytes, query: Query, answer: Transfer, router: Router, block: Block
    ) -> Reply:
        """A transfer as the messages it consists of."""
        found = flow(poured(query, answer)) if self.whole else None
        if found is None:
            return self._finished(packet, query, FAILED, b"", MAX_DATAGRAM, router, block)
        if router.is_observed and block.observers:
            self._see(packet, query, answer, found[0], block)
        return found[1]

    def _see(
        self, packet: bytes, query: Query, answer: Answer, reply: bytes | None, block: Block
    ) -> None:
        question = query.question
        seen = Seen(
            packet,
            query.client,
            reply,
            answer.plugin,
            block.zone,
            query.now,
            self.clock(),
            answer.error,
            query.ledger.told,
            question.type,
            question.do,
        )
        self._telling.see(block, seen)

    def _failed(
        self,
        packet: bytes,
        query: Query,
        error: Exception,
        fold: bytes,
        limit: int,
        router: Router,
        block: Block,
    ) -> bytes | None:
        """SERVFAIL for what a plugin or its answer raised; logs it, at most once a second."""
        query.forget()
        query.ledger.metadata = None
        self.counters.add("coredns_panics_total")
        if query.now - self._logged_at >= 1:
            self._logged_at = query.now
            what = (query.question.type, query.question.name)
            log.error("a plugin failed on type %d of %r", *what, exc_info=error)
        return self._finished(packet, query, FAILED, fold, limit, router, block)

    def _barred(
        self, question: Question, query: Query, block: Block | None
    ) -> Result | Awaitable[Result]:
        """What the server says itself, where class, EDNS version or name go to no block.

        What is no query goes to a block, too, but is not remembered.
        """
        if query.opcode:
            query.forget()
            if block is not None and query.opcode not in (types.NOTIFY, *block.opcodes):
                return NOT_ADMITTED
        is_admitted = block is not None and query.opcode in block.opcodes
        if question.cls != types.IN and not (is_admitted or (block and block.takes(question.cls))):
            return REFUSED
        if question.version:
            query.forget()
            return BADVERS
        if block is None or not block.has_handlers:
            self.counters.add("kdns_refused_total", "no zone" if block is None else "empty block")
            return REFUSED
        is_usual = question.cls in {types.IN, types.ANY} or is_admitted
        return block.chain(query) if is_usual else block.strange(query)

    def _repeated(
        self,
        entry: Entry,
        packet: bytes,
        question: Question,
        limit: int,
        client: Client,
        now: float,
    ) -> bytes:
        """The reply from an answer that the table remembers."""
        assert self.table is not None
        reply = self.table.reply(entry, packet, question, limit, client.address, now)
        block = entry.block
        if block is not None and block.is_tallied and entry.plugin:
            type_, do, is_v6 = question.type, question.do, len(client.address) == 16
            tally = (len(packet), len(reply), type_, do, reply[3] & 0xF, entry.plugin, is_v6, True)
            self._telling.tally(block, tally, now)
        elif self.router.is_observed and block is not None and block.observers:
            self._telling.see(block, self._telling.again(entry, packet, client, reply, now))
        return reply

    def _rejected(self, packet: bytes, error: WireError) -> bytes | None:
        """The bare header for a packet that asks nothing we can scan, or silence (facts C.1)."""
        self.counters.add("kdns_packets_rejected_total", error.cause)
        return rejected(packet, error)

    # Telling the observers

    def stands_at(self, where: Client) -> None:
        """Says which listener this is, as its clients see it."""
        self._telling.where = where

    def recalled(
        self, packet: bytes, peer: Hashable, client: Client, reply: bytes, started: float
    ) -> None:
        """Notes a reply that `recall` gave, for observers who want each."""
        view = self.table.view(packet, peer, started) if self.table is not None else None
        if view is not None and view.entry is not None:
            self._telling.recalled(view.entry, packet, client, reply, started)

    def served(self, count: int, started: float, caller: bytes = b"") -> None:
        """Notes that a batch begun at `started` had this many replies from the table.

        `caller` is the address of one of those who asked, for those who list them.
        """
        self._telling.served(self.table, count, started, caller)

    def tell_due(self) -> None:
        """Tells the observers what was answered, if it is urgent or much; after every batch."""
        if self._telling.is_due:
            self._telling.tell()

    def tell(self) -> None:
        """Tells the observers what was answered since the last call."""
        self._telling.tell()

    async def tell_all(self) -> None:
        """Tells all that was answered up to now, in steps."""
        self._telling.tell()
        if self.table is not None:
            await self._telling.tell_all(self.table)
