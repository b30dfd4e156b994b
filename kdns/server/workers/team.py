"""Keeps N workers at work: starts them, tells them when to open, replaces those that end.

The lead starts first; the others when it found the Corefile right, so that a mistake is told once.
A worker that ends before all have served once ends the start, unless it was killed. Later it gets a
successor at once; one that ends again and again waits longer each time.
"""

import asyncio
import logging
import signal
import socket
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from kdns.observe import sums
from kdns.observe.counters import Counters
from kdns.server.workers.member import Member
from kdns.server.workers.messages import (
    Built,
    Open,
    Propose,
    Setup,
    Standing,
    Stop,
    ToSupervisor,
)

SETTLED_S: Final = 10.0
"""A worker that lived so long did not end because of how it began."""
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 10.0

log = logging.getLogger("kdns.multisocket")


class Team:
    """The workers, by number."""

    def __init__(self, setup: Setup, hear: Callable[[Member, ToSupervisor], None]) -> None:
        self.setup = setup
        """What the next worker starts with."""
        self.members: dict[int, Member] = {}
        self.has_started = asyncio.Event()
        """All have served once."""
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit code, once nobody is left and nobody is to come."""
        self.past = Counters()
        """What those counted that are gone."""
        self.left: list[Callable[[Member], None]] = []
        """Who is told when one has ended."""
        self._hear = hear
        self._clock = asyncio.get_running_loop().time
        self._failures: defaultdict[int, int] = defaultdict(int)
        """How often a worker of each number ended soon."""
        self._due: set[int] = set()
        """Numbers whose successor has its time set."""
        self._ports: dict[str, int] = {}
        self._has_led = False
        self._code: int | None = None
        """Set when everybody is to end."""

    @property
    def serving(self) -> list[Member]:
        """Those who answer, the lead first."""
        members = [one for _, one in sorted(self.members.items()) if not one.is_leaving]
        return [one for one in members if one.standing.is_serving]

    @property
    def lead(self) -> Member | None:
        """The one that watches."""
        return self.members.get(0)

    @property
    def is_stopping(self) -> bool:
        """True once everybody is to end."""
        return self._code is not None

    def start(self) -> None:
        """Starts the lead; the others follow."""
        self._start(0)

    def stop(self, code: int = 0) -> None:
        """Has everybody answer what came in, and end."""
        if self._code is None:
            self._code = code
            for one in self.members.values():
                one.say(Stop())
            self._look_at_end()

    def kill(self, code: int) -> None:
        """Ends everybody at once."""
        self._code = code
        for one in self.members.values():
            one.process.kill()

    def reap(self) -> None:
        """Looks who has ended."""
        for one in list(self.members.values()):
            code = one.process.poll()
            if code is not None:
                self._end(one, code)

    def replace(self, proposal: Propose) -> None:
        """Puts another Corefile in place; whoever began with the old one begins again."""
        setup = self.setup
        setup.text, setup.path, setup.count = proposal.text, proposal.path, proposal.count
        for number, one in self.members.items():
            if not one.standing.is_serving:
                one.is_outdated = True
                one.process.kill()
            elif number >= setup.count and not one.is_leaving:
                one.is_leaving = True
                one.say(Stop())
        self._start_others()

    def hear(self, member: Member, message: ToSupervisor) -> None:
        """Takes what is the team's, and passes on the rest."""
        match message:
            case Built() if member.number == 0:
                self._start_others()
            case Standing() if message.is_serving:
                self._stands(member, message)
            case _:
                self._hear(member, message)

    def _start_others(self) -> None:
        for number in range(1, self.setup.count):
            if number not in self._due:
                self._start(number)

    def _start(self, number: int) -> None:
        self._due.discard(number)
        if self._code is not None or number in self.members or number >= self.setup.count:
            return
        elders = [one for one in self.serving if one.standing.is_ready] if number == 0 else []
        others = list(self.members.values())
        member = Member(number, self.setup, self._clock(), self.hear, inherits=bool(elders))
        self.members[number] = member
        for elder in elders[:1]:
            _join(elder, member)
        for fed in others if number == 0 else [member]:
            if self.lead is not None:
                _join(self.lead, fed)
        self._permit()

    def _stands(self, member: Member, standing: Standing) -> None:
        if member.number == 0:
            self._has_led = True
            self._ports = standing.ports
        self._permit()
        if not self.has_started.is_set() and len(self.serving) >= self.setup.count:
            self.has_started.set()

    def _permit(self) -> None:
        """Says to those that do not serve when they may: the lead goes first."""
        serving = self.serving
        if self._has_led:
            is_best = not any(one.standing.is_ready for one in serving)
            said = Open(self._ports, may_be_unready=is_best, others=bool(serving))
            for one in self.members.values():
                if not one.standing.is_serving:
                    one.permit(said)
        elif self.lead is not None:
            self.lead.permit(Open({}, may_be_unready=True))

    def _end(self, member: Member, code: int) -> None:
        member.end()
        del self.members[member.number]
        sums.bequeath(self.past, member.numbers.values, member.numbers.histograms)
        for tell in self.left:
            tell(member)
        if self._code is None and not self.has_started.is_set() and code > 0:
            self.stop(code)
        if self._code is None and member.number < self.setup.count:
            self._succeed(member, code)
        self._look_at_end()

    def _succeed(self, member: Member, code: int) -> None:
        """Has another worker take the place of one that ended."""
        number = member.number
        delay_s = 0.0
        if not (member.is_outdated or member.is_leaving):
            if self._clock() - member.began_at > SETTLED_S:
                self._failures[number] = 0
            if self._failures[number]:
                delay_s = min(FIRST_WAIT_S * 2 ** (self._failures[number] - 1), LONGEST_WAIT_S)
            self._failures[number] += 1
            self.past.add("kdns_worker_restarts_total")
            log.warning(
                "worker %d of %d ended (%s); another one takes its place%s",
                number + 1, self.setup.count, _why(code), f" in {delay_s:g} s" if delay_s else "",
            )  # fmt: skip
        self._permit()
        self._due.add(number)
        asyncio.get_running_loop().call_later(delay_s, self._start, number)

    def _look_at_end(self) -> None:
        if self._code is not None and not self.members and not self.ended.done():
            self.ended.set_result(self._code)


def _join(giver: Member, taker: Member) -> None:
    """Lays a way from a worker to one that is fed."""
    for member, end in zip((giver, taker), socket.socketpair(), strict=True):
        with end:
            member.feed(end, gives=member is giver)


def _why(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "SIGKILL: out of memory?"  # who kills a worker by hand knows
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
