"""An upstream with its health: probed only after an error, until a probe is answered."""

import asyncio
from dataclasses import dataclass
from typing import Any

from kdns.client.ask import ask
from kdns.client.budget import Budget
from kdns.client.figures import Figures
from kdns.client.line import MiscasedError, MismatchError, Reply, UpstreamError, Waiter
from kdns.client.packets import Asked, build, read
from kdns.client.secured import Secured
from kdns.client.upstream import TCP, UDP, WINDOW_S, Upstream
from kdns.wire import types
from kdns.wire.names import ROOT, Key, parse_key

_PATIENCE_S = 1.0
_SHORTEST_S = 0.005
"""Least time between probes, also where the Corefile says 0."""
_MOST_STALE = 32
"""Closed connections a query may run into: as many as queries are pipelined on one."""


@dataclass(frozen=True, slots=True)
class Probing:
    """How upstreams are probed: `<domain> NS`."""

    interval: float = 0.5
    max_fails: int = 2
    """Failed probes in a row that make an upstream down; 0: never down, never probed."""
    recurses: bool = True
    domain: Key = ROOT

    @classmethod
    def of(
        cls,
        words: tuple[Any, ...],  # Any: an interval and plain words
        max_fails: int,
    ) -> "Probing":
        """From the words of `health_check`: an interval, `no_rec`, `domain NAME`."""
        interval, *rest = words
        recurses, domain = True, ROOT
        while rest:
            word = rest.pop(0)
            if word == "no_rec":
                recurses = False
            elif word == "domain" and rest and rest[0]:
                domain = parse_key(rest.pop(0))
            else:
                raise ValueError(f"expected no_rec or domain NAME, found {word!r}")
        return cls(interval, max_fails, recurses, domain)

    def packet(self) -> bytes:
        """The probe."""
        return build(self.domain, types.NS, flags=types.RD if self.recurses else 0)


class Peer:
    """An upstream and what the probes say of it."""

    def __init__(
        self, upstream: Upstream, probing: Probing, figures: Figures, budget: Budget | None = None
    ) -> None:
        self.upstream = upstream
        self.budget = budget
        self.figures = figures
        self.text = upstream.text
        self.fails = 0
        self.keeps_case = True
        """False once it was seen to answer in another letter case than it was asked in."""
        self._probing = probing
        self._suspected = asyncio.Event()

    @property
    def is_down(self) -> bool:
        """True after too many failed probes."""
        most = self._probing.max_fails
        return most > 0 and self.fails >= most

    def format(self) -> str:
        """Its address and port."""
        return self.text

    def suspect(self) -> None:
        """Has the upstream probed after an error."""
        if self._probing.max_fails:
            self._suspected.set()

    def send(
        self, asked: Asked, transport: str, patience_s: float, left_s: float = WINDOW_S
    ) -> Waiter:
        """Asks once; `left_s` is what a connection may take that must be established first."""
        return self.upstream.send(asked[0], transport, patience_s, asked[1], left_s)

    async def settle(
        self, asked: Asked, transport: str, patience_s: float, reply: Reply | None = None
    ) -> tuple[bytes, str]:
        """The reply in the end, and what brought it; begins with one that is there already.

        A kept connection that turns out closed is asked again, and so over TCP is a server that
        answered in another letter case.
        """
        transport = self.upstream.over or transport
        for left in reversed(range(_MOST_STALE)):
            if reply is None:
                reply = await self.send(asked, transport, patience_s)
            if isinstance(reply, bytes):
                return reply, transport
            if isinstance(reply, MiscasedError) and transport == UDP:
                found = await self.settle(asked, TCP, patience_s)
                if not found[0].startswith(asked[1], 12):
                    self.keeps_case = False
                return found
            if isinstance(reply, MismatchError):
                read(reply.reply, is_datagram=False)
            if not reply.is_stale or not left:
                raise reply
            reply = None
        raise AssertionError

    async def watch(self) -> None:
        """Probes whenever there is a suspicion, until one probe is answered; never returns."""
        while True:
            await self._suspected.wait()
            if await self.probe():
                self._suspected.clear()
            else:
                await asyncio.sleep(max(self._probing.interval, _SHORTEST_S))

    async def probe(self) -> bool:
        """Sends one probe; any reply is a sign of life."""
        server = (self.upstream.host, self.upstream.port)
        probe = self._probing.packet()
        try:
            if isinstance(self.upstream, Secured):
                await self.upstream.probe(probe, _PATIENCE_S)
            else:
                await ask(server, probe, UDP, _PATIENCE_S)
        except MismatchError:
            pass
        except UpstreamError:
            self.fails += 1
            self.figures.count_failed_probe()
            return False
        self.fails = 0
        return True
