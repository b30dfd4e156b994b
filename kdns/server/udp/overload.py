"""What comes in becomes what is let through, while one UDP socket is asked more than it can answer.

Without overload nothing of this runs: it begins with reads that stay full while the kernel drops
packets. Then senders are counted, and several times a second a Verdict (server.shares) says who is
held back to his share: by a filter in the kernel where there is one (server.sieve), else here,
before a packet is looked at. A Count holds so many addresses at most; forged ones end a round
early. It ends when for some rounds nobody sent more than his share.
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from random import Random

from kdns.plugins.fair import Fair, Terms
from kdns.server.peers import unmapped
from kdns.server.pipeline import Pipeline
from kdns.server.udp.mmsg import COUNT
from kdns.server.udp.shares import FEW, FREE, Verdict, judge, network
from kdns.server.udp.sieve import Kernel

log = logging.getLogger("kdns.fair")

LOOK_S = 0.005
"""How often it is looked at full reads whether the kernel drops packets."""
WATCH_S = 0.03
"""Packets must be dropped for so long before it is an overload: a burst is none."""
ROUND_S = 0.25
CALM = 8
"""Rounds without anybody above his share that end it."""
MOST_COUNTED = 8192
"""Addresses counted in a round."""
MANY = 4
"""Looks at full reads in a round: then less can be answered than was thought."""
GROWTH, CUT = 1.05, 0.8
"""How what can be answered is thought of anew after a round."""
SLACK = 0.1
"""So much more of the time than clients are to get is too much."""
FADING = 0.7
"""What somebody is still thought to send who sends less than in the round before."""
MOMENT_S = 0.0001
"""How long those who are held back may take of a batch: so long others wait behind them."""
LISTED = 256
"""Networks of which it is remembered how often they were the heaviest."""
LIGHT = 1 / 256
"""A part of what can be answered; who sends less is held back by nobody."""


@dataclass
class Round:
    """What was seen since the last judgement."""

    began: float
    dropped: int
    """By the kernel: until then; from when it ended on, since then."""
    worked: float
    """Seconds of processor time: as above."""
    ended: float = 0.0
    counts: Counter[bytes] = field(default_factory=Counter)
    """Packets that were read, by address as in the sockaddr."""
    thinned: int = 0
    """Of these, dropped here."""
    full: int = 0
    """How often it was found that reads stay full."""


class Overload:
    """Guards one UDP socket."""

    def __init__(
        self, sock: socket.socket, pipeline: Pipeline, clock: Callable[[], float], where: str
    ) -> None:
        self.sift: Callable[[list[bytes]], Sequence[int]] | None = None
        """Set while packets are counted: says which of a batch are to be dropped, by senders."""
        self._pipeline = pipeline
        self._clock = clock
        self._where = where
        self._kernel = Kernel(sock)
        self._chance = Random()
        self._timer: asyncio.Handle | None = None
        self._look_at = float("-inf")
        self._dropped = 0
        self._round = Round(0, 0, 0)
        self._verdict, self._is_in_kernel = FREE, False
        self._is_queued = False
        """There are packets yet in the queue that came before the kernel's filter."""
        self._terms = Terms()
        self._capacity = 0.0
        """Packets a second that can be answered."""
        self._demands: dict[bytes, float] = {}
        """Packets a second of each address."""
        self._calm = 0
        self._began: float | None = None
        self._lost = 0
        self._dropped_then = 0
        """By the kernel, until it was last told."""
        self._heaviest: Counter[bytes] = Counter()
        pipeline.counters.add("kdns_overload", by=0)

    def full(self, now: float) -> None:
        """Reads stay full: there may be more than can be answered."""
        if now < self._look_at:
            return
        is_recent = now - self._look_at < 1
        self._look_at = now + LOOK_S
        dropped = self._kernel.dropped()
        if dropped is None:  # nobody knows: to be full for some time must do
            dropped = self._dropped + is_recent
        is_more, self._dropped = dropped != self._dropped, dropped
        if self._timer is not None:
            self._round.full += 1
        elif is_more and is_recent:
            self._watch(now)

    def close(self) -> None:
        """Lets everything through, and ends."""
        if self._began is not None:
            self._end(self._clock())
        self._rest()

    def _watch(self, now: float) -> None:
        """Begins to count."""
        self._terms = self._said()
        if self._terms.is_on:
            self._renew(now)
            self.sift = self._sift
            self._timer = asyncio.get_running_loop().call_later(WATCH_S, self._judge)

    def _said(self) -> Terms:
        """What `fair` says in the first block of the listener that has one."""
        fair = self._pipeline.router.first(Fair)
        return fair.terms if fair is not None else Terms()

    def _renew(self, now: float) -> None:
        self._round = Round(now, self._kernel.dropped() or 0, time.process_time())

    def _close_round(self) -> None:
        """Counts no more until the next one."""
        round_ = self._round
        if not round_.ended:
            round_.ended = self._clock()
            round_.dropped = max((self._kernel.dropped() or 0) - round_.dropped, 0)
            round_.worked = time.process_time() - round_.worked

    def _sift(self, senders: list[bytes]) -> Sequence[int]:
        round_ = self._round
        if not round_.ended:
            round_.counts.update(senders)
            if len(round_.counts) >= MOST_COUNTED:
                self._close_round()
        if len(senders) < COUNT:
            self._is_queued = False
        if self._verdict is FREE:
            return ()
        if self._is_queued or not self._is_in_kernel:
            thinned = self._thinned(senders)
        else:
            thinned = self._burst(senders)
        round_.thinned += len(thinned)
        return thinned

    def _thinned(self, senders: list[bytes]) -> list[int]:
        """Those that the kernel would have dropped."""
        chance, of = self._chance.random, self._verdict.of
        return [
            at
            for at, one in enumerate(senders)
            if chance() >= of(unmapped(one)) and not self._is_exempt(unmapped(one))
        ]

    def _burst(self, senders: list[bytes]) -> list[int]:
        """Those of the heaviest beyond what takes a moment: others come right behind them.

        The kernel draws packet by packet; who sends in bursts comes in bursts still.
        """
        passes = self._verdict.passes or {}
        if not self._holds_few:
            return []
        widths = self._verdict.widths
        heavy = [at for at, one in enumerate(senders) if network(unmapped(one), widths) in passes]
        return heavy[max(int(self._capacity * MOMENT_S), 1) :]

    def _judge(self) -> None:
        """Says who is held back from now on."""
        now, round_ = self._clock(), self._round
        self._close_round()
        self._terms = self._said()
        span, lost = max(round_.ended - round_.began, 1e-3), round_.dropped
        taken = (round_.counts.total() - round_.thinned) / span
        if self._began is None:
            if not (lost or (self._kernel.is_dumb and round_.full >= MANY)):
                self._rest()
                return
            self._capacity = taken
        else:
            self._reckon(taken, round_.worked / span)
            self._count_dropped()
        self._demands = demands = self._demanded(lost, span)
        capacity = self._capacity
        if self._began is None:
            self._begin(now)
        verdict = judge(self._judged(demands, capacity), capacity, self._terms.share)
        self._note(verdict)
        self._calm = 0 if sum(demands.values()) > capacity else self._calm + 1
        self._apply(verdict)
        if self._calm >= CALM or not self._terms.is_on:
            self._end(now)
            self._rest()
            return
        self._renew(now)
        self._dropped_then = self._round.dropped
        self._timer = asyncio.get_running_loop().call_later(ROUND_S, self._judge)

    def _reckon(self, taken: float, worked: float) -> None:
        """What can be answered: less, where packets pile up or no time is left; more, where it is.

        A batch that is not full costs more for each packet of it, so what was answered in full ones
        says too much.
        """
        if self._holds_few and worked > self._terms.share + SLACK:
            self._capacity = min(self._capacity, taken / worked)
        elif self._round.full >= MANY and self._is_in_kernel:
            self._capacity = max(self._capacity * CUT, taken)
        elif taken > GROWTH * GROWTH * self._capacity * worked:
            self._capacity *= GROWTH

    @property
    def _holds_few(self) -> bool:
        return 0 < len(self._verdict.passes or ()) <= FEW

    def _demanded(self, lost: int, span: float) -> dict[bytes, float]:
        """Packets a second of each address: what came through stands for what did not."""
        of, is_held = self._verdict.of, self._is_in_kernel
        demands: dict[bytes, float] = {}
        for name, count in self._round.counts.items():
            address = unmapped(name)
            demands[address] = count / max(of(address), 1e-4) if is_held else count
        wanted, seen = sum(demands.values()), self._round.counts.total()
        scale = (seen + lost) / wanted / span if wanted else 1.0
        now = {address: demand * scale for address, demand in demands.items()}
        if len(now) < MOST_COUNTED:
            for address, demand in self._demands.items():
                faded = demand * FADING
                if faded >= 1 and faded > now.get(address, 0.0):
                    now[address] = faded
        return now

    def _judged(self, demands: dict[bytes, float], capacity: float) -> dict[bytes, float]:
        """Without those that may send as much as they like."""
        if not self._terms.exempt:
            return demands
        least = capacity * LIGHT
        return {
            address: demand
            for address, demand in demands.items()
            if demand < least or not self._is_exempt(address)
        }

    def _is_exempt(self, address: bytes) -> bool:
        return any(ip_address(address) in net for net in self._terms.exempt)

    def _apply(self, verdict: Verdict) -> None:
        if verdict is FREE:
            self._kernel.detach()
            self._is_in_kernel = False
        else:
            self._is_queued = self._is_queued or not self._is_in_kernel
            self._is_in_kernel = self._kernel.attach(verdict, self._terms.exempt)
        self._verdict = verdict

    def _count_dropped(self) -> None:
        dropped = (self._kernel.dropped() or 0) - self._dropped_then if self._is_in_kernel else 0
        for by, count in (("kernel", dropped), ("server", self._round.thinned)):
            if count > 0:
                self._lost += count
                self._pipeline.counters.add("kdns_fair_dropped_total", "udp", by, by=count)

    def _note(self, verdict: Verdict) -> None:
        """Keeps in mind who was held back most."""
        if verdict.passes:
            self._heaviest[min(verdict.passes, key=verdict.passes.__getitem__)] += 1
            if len(self._heaviest) > LISTED:
                self._heaviest = Counter(dict(self._heaviest.most_common(LISTED // 2)))

    # Beginning and end

    def _begin(self, now: float) -> None:
        demands = self._demands
        self._began, self._lost, self._calm = now, 0, 0
        self._heaviest.clear()
        self._pipeline.counters.add("kdns_overload", by=1)
        whole = sum(demands.values())
        heaviest = max(demands, key=demands.__getitem__, default=b"")
        part = 100 * demands[heaviest] / max(whole, 1) if heaviest else 0
        log.warning(
            "overload begins: %s is asked %d times a second, which is more than it can answer; %s;"
            " clients are held to fair shares (see `fair`)",
            self._where,
            whole,
            f"{ip_address(heaviest)} sends {part:.0f}% of it" if part >= 1 else "many send little",
        )

    def _end(self, now: float) -> None:
        assert self._began is not None
        self._pipeline.counters.add("kdns_overload", by=-1)
        named = self._heaviest.most_common(1)
        log.warning(
            "overload is over: %s dropped %d packets in %.1f s%s",
            self._where,
            self._lost,
            now - self._began,
            f", most of {written(named[0][0])}" if named else "",
        )
        self._began = None

    def _rest(self) -> None:
        """Neither counts nor drops any more."""
        self._apply(FREE)
        self.sift = None
        self._demands = {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def written(key: bytes) -> str:
    """A network as people write it."""
    size = 4 if len(key) <= 4 else 16
    return str(ip_network((key.ljust(size, b"\0"), 8 * len(key)))).removesuffix(f"/{8 * size}")
