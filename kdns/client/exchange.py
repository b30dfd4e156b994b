"""One query and its upstreams: asks them in turn until one answers, time or attempts are over."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from kdns.client.budget import OverBudgetError
from kdns.client.choice import Choice
from kdns.client.line import MismatchError, Reply, UpstreamError
from kdns.client.packets import Asked
from kdns.client.peer import Peer
from kdns.client.reading import answered, carried, recased
from kdns.client.secured import DeclinedError
from kdns.client.upstream import TCP, UDP, WINDOW_S
from kdns.wire import types
from kdns.wire.message import Answer, Question
from kdns.wire.names import Key

_PAUSE_S = 0.01
_UNMATCHED = ((types.EDE_OTHER, "an upstream answered something else"),)
_DECLINED = ((types.EDE_NOT_SUPPORTED, ""),)
_UNREACHED = ((types.EDE_NO_REACHABLE, ""),)
"""The addresses of upstreams are nothing that askers need to know."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a directive has its upstreams asked."""

    plugin: str
    clock: Callable[[], float]
    patience_s: float = 2.0
    """How long one attempt waits."""
    attempts: int | None = None
    """Attempts for a query, 0 for no limit; twice the number of upstreams without it."""
    failover: frozenset[int] = frozenset()
    """Codes with which the next upstream is tried."""
    retries_over_tcp: bool = False
    """A truncated reply is asked for again over TCP."""


@dataclass(slots=True)
class Exchange:
    """A query under way."""

    manner: Manner
    choice: Choice
    question: Question
    """As its asker sent it."""
    asked: tuple[Key, int]
    """Name and type as they are asked now."""
    packet: Asked
    plain: bytes
    """The question as it would be without mixed case."""
    network: bytes
    """The asker's, for budgets."""
    transport: str
    began: float
    peer: Peer | None = None
    """The upstream that gave the last reply."""

    async def run(self, first: Peer | None, reply: Reply | None) -> Answer:
        """The answer in the end.

        The first attempt was made already, if there is a reply (or an error) to begin with.
        """
        manner, clock = self.manner, self.manner.clock
        count = len(self.choice.peers)
        deadline = self.began + WINDOW_S
        left = 2 * count if manner.attempts is None else manner.attempts or -1
        passed, began = 0, self.began
        outcome = self._failed("no healthy proxies")
        for peer in self.choice.picks(first):
            try:
                if reply is None:
                    began = clock()
                    if not left or began >= deadline:
                        break
                    reply = await self._send(peer, deadline - began)
                (outcome, code), reply = await self._settled(peer, reply), None
            except MismatchError:
                return Answer(types.FORMERR, ede=_UNMATCHED, plugin=manner.plugin)
            except DeclinedError:
                return Answer(types.NOTIMP, ede=_DECLINED, plugin=manner.plugin)
            except UpstreamError as error:
                reply = None
                left -= 1
                if isinstance(error, OverBudgetError):
                    peer.figures.count_over_budget()
                else:
                    peer.suspect()
                outcome = self._failed(str(error))
                if left < 0:  # without limit: what fails at once must not spin
                    await asyncio.sleep(_PAUSE_S)
                continue
            peer.figures.count_reply(code, clock() - began)
            self.peer = peer
            passed += code in manner.failover
            if code not in manner.failover or passed >= count:
                break
        return outcome

    async def _send(self, peer: Peer, left_s: float) -> Reply:
        patience_s = self.manner.patience_s
        if peer.budget is None:
            return await peer.send(self.packet, self.transport, patience_s, left_s)
        with peer.budget.spent(self.network):
            return await peer.send(self.packet, self.transport, patience_s, left_s)

    async def _settled(self, peer: Peer, reply: Reply) -> tuple[Answer, int]:
        """What the upstream says in the end, with all that does not count as another attempt."""
        patience_s = self.manner.patience_s
        message, transport = await peer.settle(self.packet, self.transport, patience_s, reply)
        found = self._read(message, transport)
        if self.manner.retries_over_tcp and transport == UDP and found[0].flags & types.TC:
            message, transport = await peer.settle(self.packet, TCP, patience_s)
            return self._read(message, transport)
        return found

    def _read(self, reply: bytes, transport: str) -> tuple[Answer, int]:
        """The reply as an Answer, and the code in it."""
        plain, question = self.plain, self.question
        reply = recased(reply, plain)
        key, plugin = self.asked[0], self.manner.plugin
        if key == question.key:
            plainly = carried(reply, 12 + len(plain), key, plugin)
            if plainly is not None:
                return plainly, plainly.rcode
        is_datagram = transport == UDP
        return answered(reply, question, self.asked, plugin, is_datagram=is_datagram)

    def _failed(self, why: str) -> Answer:
        return Answer(types.SERVFAIL, ede=_UNREACHED, plugin=self.manner.plugin, error=why)
