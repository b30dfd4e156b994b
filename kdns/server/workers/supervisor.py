"""The process that was started, when several serve: keeps them at work and speaks for them.

It answers no DNS and knows no plugin. Signals mean what they mean to a single kdns. A Corefile that
the lead could serve is put to the others: everybody changes over, or nobody.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kdns.observe import logs
from kdns.server import notify
from kdns.server.workers.front import Front
from kdns.server.workers.member import Member
from kdns.server.workers.messages import (
    Decide,
    Offer,
    Order,
    Prepare,
    Propose,
    Setup,
    ToSupervisor,
    Verdict,
    Withdraw,
)
from kdns.server.workers.team import Team

VOTE_S: Final = 60.0
"""How long workers may take to get ready for a Corefile."""
LOOK_S: Final = 0.1
"""How often an order looks for a lead, while none is there."""

log = logging.getLogger("kdns")


def main(setup: Setup) -> int:
    """Serves with several workers; returns the exit code."""
    logs.set_up(setup.log_format)
    try:
        return asyncio.run(Supervisor(setup).run())
    finally:
        _forget(setup.pidfile)


class Supervisor:
    """The process."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._vote: Vote | None = None

    async def run(self) -> int:
        """Returns the exit code when all workers have ended."""
        self._team = team = Team(self._setup, self._hear)
        self._front = Front(team)
        team.left.append(self._left)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listen()
        announcing = asyncio.ensure_future(self._announce())
        team.start()
        code = await team.ended
        announcing.cancel()
        await self._front.stop()
        return code

    async def _announce(self) -> None:
        await self._team.has_started.wait()
        standing = self._team.lead.standing if self._team.lead else None
        served = standing.served if standing else ()
        if not self._setup.is_quiet:
            told = standing.greeting if standing else ()
            logs.announce("\n".join([*served, self._setup.banner, *told]))
        notify.ready(served)
        notify.keep_alive()

    # Signals

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._team.reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGQUIT, self._quit, 0)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            loop.add_signal_handler(number, self._order)
        loop.add_signal_handler(signal.SIGUSR2, logs.warn, logs.NOT_REPLACED)

    def _end(self, number: signal.Signals) -> None:
        """Begins the graceful stop; SIGINT again ends at once."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._quit, 1)
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        if not self._setup.is_quiet:
            log.info(logs.STOPPING, number.name)
        notify.stopping()
        self._team.stop()

    def _quit(self, code: int) -> None:
        """Ends at once."""
        self._team.kill(code)
        _forget(self._setup.pidfile)
        os._exit(code)

    def _order(self) -> None:
        if self._setup.corefile == "stdin":
            logs.warn(logs.FROM_STDIN)
        elif self._team.lead is not None:
            self._team.lead.say(Order())
        elif not self._team.is_stopping:
            asyncio.get_running_loop().call_later(LOOK_S, self._order)

    # What workers say

    def _hear(self, member: Member, message: ToSupervisor) -> None:
        match message:
            case Offer():
                task = asyncio.get_running_loop().create_task(self._front.open(member, message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Withdraw():
                self._front.close(message)
            case Propose():
                self._propose(message)
            case Verdict() if self._vote is not None:
                self._vote.take(member, message)

    def _left(self, member: Member) -> None:
        if self._vote is not None:
            if member.number == 0:
                self._vote.give_up("the worker that read it has ended")
            else:
                self._vote.leave(member)

    def _propose(self, message: Propose) -> None:
        """Puts a Corefile to all workers that serve; those about to will begin with it."""
        notify.reloading()
        others = [one for one in self._team.serving if one.number]
        self._vote = Vote(message, others, self._decide)

    def _decide(self, vote: "Vote") -> None:
        self._vote = None
        decision = Decide(tuple(vote.errors))
        if not vote.errors:
            self._team.replace(vote.proposal)
        for one in vote.asked:
            one.say(decision)
        if self._team.lead is not None:
            self._team.lead.say(decision)
        else:  # who would say it is gone
            log.error("the Corefile is not taken over: %s", "; ".join(vote.errors))
        notify.ready()


class Vote:
    """A Corefile that workers are getting ready for."""

    def __init__(
        self, proposal: Propose, asked: list[Member], decide: Callable[["Vote"], None]
    ) -> None:
        self.proposal = proposal
        self.asked = asked
        self.errors: list[str] = []
        self._waiting = set(asked)
        self._decide = decide
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(VOTE_S, self.give_up, "a worker does not answer")
        for one in asked:
            one.say(Prepare(proposal.text, proposal.path, proposal.version))
        if not asked:
            loop.call_soon(self._look)

    def take(self, member: Member, verdict: Verdict) -> None:
        """Takes what a worker found."""
        if verdict.version == self.proposal.version:
            self.errors += [one for one in verdict.errors if one not in self.errors]
            self.leave(member)

    def leave(self, member: Member) -> None:
        """Waits no more for a worker."""
        self._waiting.discard(member)
        self._look()

    def give_up(self, why: str) -> None:
        """Nobody changes over."""
        self.errors.append(why)
        self._waiting.clear()
        self._look()

    def _look(self) -> None:
        if not self._waiting and not self._timer.cancelled():
            self._timer.cancel()
            self._decide(self)


def _forget(pidfile: str) -> None:
    if pidfile:
        Path(pidfile).unlink(missing_ok=True)
