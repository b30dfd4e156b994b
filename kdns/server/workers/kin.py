"""A worker's side of what several of them decide together (server.siblings).

Sockets open when the supervisor says so, and not before everything that answers has its data while
somebody else serves who has. HTTP addresses are opened by the supervisor, which calls back. A
Corefile is changed over to when everybody has got ready for it.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from itertools import count
from typing import TYPE_CHECKING

from kdns.plugins.base import Endpoint, Plugin
from kdns.server import http
from kdns.server.assembly import Assembly
from kdns.server.http import Address
from kdns.server.siblings import Siblings, log, wanted
from kdns.server.sockets import StartError
from kdns.server.workers.messages import (
    Decide,
    Guard,
    Offer,
    Open,
    Opened,
    Path,
    Propose,
    Setup,
    Standing,
    ToSupervisor,
    Verdict,
    Withdraw,
)

if TYPE_CHECKING:
    from kdns.server.service import Service

LOOK_S = 0.01
"""How often a worker that waits looks whether it has all it needs."""

Say = Callable[[ToSupervisor], None]


class Kin(Siblings):
    """The others, as one worker knows them."""

    def __init__(self, say: Say, setup: Setup, *, is_lead: bool) -> None:
        super().__init__(setup.count, is_fixed=setup.is_fixed)
        self._say = say
        self._is_lead = is_lead
        self._open: Open | None = None
        self._joins = True
        """The others are at work on the same ports, or will be."""
        self._may_open = asyncio.Event()
        self._ids = count(1)
        self._asked: dict[int, asyncio.Future[Opened]] = {}
        self._decision: asyncio.Future[Decide] | None = None

    # What the supervisor says

    def permit(self, message: Open) -> None:
        """Sockets may be opened."""
        self._open = message
        self._may_open.set()

    def opened(self, message: Opened) -> None:
        """An HTTP address was opened, or not."""
        asked = self._asked.pop(message.id, None)
        if asked is not None and not asked.done():
            asked.set_result(message)

    def decide(self, message: Decide) -> None:
        """All change over, or none."""
        if self._decision is not None and not self._decision.done():
            self._decision.set_result(message)

    # What the service asks

    async def may_open(self, plugins: Iterable[Plugin]) -> None:
        """Waits for the supervisor's word, and for data as long as others have theirs."""
        all_of_them = tuple(plugins)
        await self._may_open.wait()
        assert self._open is not None
        while not is_ready(all_of_them) and not self._open.may_be_unready:  # noqa: ASYNC110 - plugins set no event
            await asyncio.sleep(LOOK_S)
        self._joins = not self._is_lead or self._open.others

    def port_of(self, address: Address) -> int:
        """The port the others have, where the Corefile leaves it open."""
        host, port = address
        return port or (self._open.ports.get(host, 0) if self._open is not None else 0)

    def shared(self, ports: Iterable[int]) -> set[int]:
        """All ports, but for the worker that opens them first."""
        joins, self._joins = self._joins, not self._is_lead
        return set(ports) if joins else set()

    async def open(self, address: Address, offer: http.Offer, _ours: Collection[int]) -> "Relayed":
        """Has the supervisor open an HTTP address."""
        port = address[1]
        if self._is_lead:
            opened = await self._opened(address, offer)
            if opened.error:
                raise StartError(opened.error)
            port = opened.port
        return Relayed(address, port, offer, self._say if self._is_lead else None)

    async def _opened(self, address: Address, offer: http.Offer) -> Opened:
        id_ = next(self._ids)
        asked: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._asked[id_] = asked
        self._say(_offer(id_, address, offer))
        return await asked

    async def agree(self, assembly: Assembly) -> None:
        """Gets the others ready for a Corefile, or says that this worker is."""
        self._decision = asyncio.get_running_loop().create_future()
        if self._is_lead:
            count = self._count if self._is_fixed else wanted(assembly, log.warning)
            self._say(Propose(assembly.text, assembly.path, assembly.version, count))
        else:
            self._say(Verdict(assembly.version))
        decision = await self._decision
        if decision.errors:
            raise StartError("; ".join(decision.errors))


class Relayed:
    """An HTTP address that the supervisor has open; its requests come as calls."""

    def __init__(self, address: Address, port: int, offer: http.Offer, say: Say | None) -> None:
        self.port = port
        self._routes = offer.routes
        self._directive = offer.directive
        self._address = address
        self._told = _offer(0, address, offer)
        self._say = say

    @property
    def routes(self) -> dict[str, Endpoint]:
        """What is served there."""
        return self._routes

    @routes.setter
    def routes(self, routes: dict[str, Endpoint]) -> None:
        """Serves that instead; the supervisor is told where paths come or go (no answer, id 0)."""
        offer = _offer(0, self._address, http.Offer(self._directive, routes))
        if self._say is not None and offer != self._told:
            self._say(offer)
        self._routes, self._told = routes, offer

    async def start(self) -> None:
        """It is open."""

    async def stop(self, _grace_s: float) -> None:
        """Has the supervisor close it, if it is the lead's to say so."""
        if self._say is not None:
            self._say(Withdraw(self._address))


def _offer(id_: int, address: Address, offer: http.Offer) -> Offer:
    """What the supervisor is told of an HTTP address."""
    said = offer.guard
    guard = Guard(said.policy, said.token, said.open) if said is not None else None
    paths = [Path(one.path, one.is_lead, one.adds, one.follows_s) for one in offer.routes.values()]
    return Offer(id_, address, offer.directive, tuple(paths), offer.web, guard)


def is_ready(plugins: Iterable[Plugin]) -> bool:
    """True when every plugin has usable data."""
    return all(plugin.is_ready for plugin in plugins)


def standing(service: "Service", ports: dict[str, int]) -> Standing:
    """What a worker that serves says of itself."""
    return Standing(
        is_serving=True,
        is_ready=is_ready(service.assembly.plugins),
        ports=ports,
        served=tuple(service.assembly.served),
        greeting=tuple(service.greeting),
    )
