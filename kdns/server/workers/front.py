"""What the workers serve over HTTP, at addresses that are open as long as the supervisor runs.

A request is put to every worker that serves. The worst status is the answer; where all is well the
bodies that differ come one after the other. Numbers are added up instead, those of workers that
are gone too. While the first worker has yet to serve, nobody is ready. A path may say that the lead
alone is asked, or that JSON is added up.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from kdns.observe import exposition, process, sums
from kdns.observe.counters import Counters
from kdns.plugins.base import Endpoint, Guard, HttpReply
from kdns.server.http import Address, HttpListener, Offer
from kdns.server.sockets import StartError
from kdns.server.workers import adding, messages
from kdns.server.workers.member import Member
from kdns.server.workers.messages import Opened, Withdraw
from kdns.server.workers.team import Team

METRICS: Final = "/metrics"
READY: Final = "/ready"
STARTING: Final = HttpReply(503, b"multisocket")
"""As `ready` names a plugin that has yet to be."""
GONE: Final = HttpReply(503, b"no worker serves\n")
GRACE_S: Final = 1.0


class Front:
    """The HTTP addresses of all workers."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._doors: dict[Address, HttpListener] = {}
        self._own = Counters()
        self._turn = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        process.publish(self._own, runtime=False)

    async def open(self, lead: Member, offer: messages.Offer) -> None:
        """Opens an address, or puts other paths behind one that is open."""
        address = offer.address
        said = offer.guard
        guard = Guard(said.policy, said.token, said.open) if said is not None else None
        routes = {
            one.path: Endpoint(
                *address,
                one.path,
                partial(self._serve, address, one),
                offer.web,
                guard=guard,
                follows_s=one.follows_s,
            )
            for one in offer.paths
        }
        door = self._doors.get(address)
        try:
            if door is None:
                ours = {one.port for one in self._doors.values()}
                door = HttpListener(address, Offer(offer.directive, routes), ours)
                self._doors[address] = door
                await door.start()
        except StartError as error:
            lead.say(Opened(offer.id, error=str(error)))
            return
        door.routes = routes
        lead.say(Opened(offer.id, door.port))

    def close(self, message: Withdraw) -> None:
        """Serves at an address no more, if another Corefile does not ask for it."""
        door = self._doors.pop(message.address, None)
        if door is not None:
            task = asyncio.get_running_loop().create_task(door.stop(GRACE_S))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Closes every address."""
        closing = [door.stop(GRACE_S) for door in self._doors.values()]
        await asyncio.gather(*closing, *self._closing)

    async def _serve(
        self, address: Address, of: messages.Path, query: Mapping[str, str]
    ) -> HttpReply:
        path = of.path
        if path == METRICS:
            async with self._turn:
                return HttpReply(200, await self._page(), exposition.TYPE)
        if path == READY and not self._team.has_started.is_set():
            return STARTING
        members = sorted(self._team.serving, key=lambda one: one.number)
        asked = [
            one.call(address, path, dict(query)) for one in members[: 1 if of.is_lead else None]
        ]
        replies = [one for one in await asyncio.gather(*asked) if one is not None]
        if not replies:
            return GONE
        lead = replies[0]
        if of.adds and all(one.status == 200 for one in replies):
            body = adding.added([one.body for one in replies])
            return HttpReply(200, body, lead.content_type, lead.mark)
        worst = max(replies, key=lambda one: one.status)
        bodies = [worst.body]
        if worst.status == 200:
            bodies = list(dict.fromkeys(one.body for one in replies))
        return HttpReply(worst.status, b"".join(bodies), worst.content_type, lead.mark)

    async def _page(self) -> bytes:
        """The numbers of all that are and all that were."""
        team = self._team
        total = Counters()
        told = await asyncio.gather(*(one.count() for one in team.serving))
        published = {key[0] for one in told for key, _ in one.values} | {
            key[0] for key in team.past.values
        }
        for values, shapes in sums.numbers(self._own):
            sums.add(total, [one for one in values if one[0][0] in published], shapes)
        for one in told:
            sums.add(total, one.values, one.histograms)
        for values, shapes in sums.numbers(team.past):
            sums.add(total, values, shapes)
        total.set("kdns_workers", to=len(team.serving))
        return await exposition.render(total, asyncio.get_running_loop().time)
