"""Runs an Assembly behind sockets until told to stop; a reload puts another in its place.

Order matters: plugins have their data before a socket opens, and sockets have answered everything
they accepted before plugins stop. A reload does all that can fail beside what serves, then changes
over in one step that neither fails nor waits, then ends what nobody asks for any more.
"""

import asyncio
import gc
import logging
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final

from kdns.plugins.base import Endpoint
from kdns.server.assembly import Assembly, Services
from kdns.server.crew import Crew, Runners
from kdns.server.greeting import greeting
from kdns.server.http import Address, Offer
from kdns.server.listener import Listener, new_pipeline
from kdns.server.pipeline import Pipeline
from kdns.server.places import Place
from kdns.server.router import Router
from kdns.server.sockets import StartError

if TYPE_CHECKING:
    from kdns.server.siblings import Door

GRACE_S = 5.0
"""How long queries under way may take at stop (CoreDNS: 5 s)."""
HTTP_GRACE_S = 1.0
"""How long HTTP replies under way may take at stop."""
COLLECT: Final = (10_000, 4, 10)
"""When to look for garbage in cycles. perf: bench forward; nothing on the way of a query makes
any, yet a hundred queries under way look like it to Python's own (700, 10, 10). A walk over as many
new objects takes 0.2 ms, one over four times that 2 ms."""

log = logging.getLogger("kdns.server")


class Stopping(Exception):
    """A start or reload came too late: the server is being stopped."""


class Service:
    """One running server."""

    def __init__(self, assembly: Assembly, services: Services) -> None:
        self.assembly = assembly
        """What serves."""
        self.services = services
        self._listeners: dict[Place, Listener] = {}
        self._http: dict[Address, Door] = {}
        self._pipelines: list[Pipeline] = []
        """Those without sockets."""
        self._runners = Runners(self._failed)
        self._crew = Crew(assembly, self._runners, self._failed)
        self._ended: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        """One start, reload or stop at a time."""

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, real ports."""
        return [(listener.host, listener.port) for listener in self._listeners.values()]

    @property
    def ports(self) -> dict[Address, int]:
        """The real port of each address of the Corefile; hosts as Place.name has them."""
        return {(place.name, place.port): one.port for place, one in self._listeners.items()}

    @property
    def greeting(self) -> list[str]:
        """What it says of itself when it has started."""
        open_ = [(place, one.port) for place, one in self._listeners.items()]
        web = {address: (door.port, door.routes) for address, door in self._http.items()}
        return greeting(self.assembly.plugins, open_, web)

    def endpoint(self, address: Address, path: str) -> Endpoint | None:
        """What serves a path at an HTTP address."""
        door = self._http.get(address)
        return door.routes.get(path) if door is not None else None

    @property
    def pipelines(self) -> list[Pipeline]:
        """All of them, for UDP and for TCP."""
        behind = [one for listener in self._listeners.values() for one in listener.pipelines]
        return behind + self._pipelines

    async def start(self, *, listen: bool = True) -> None:
        """Returns when every socket is open; raises ConfigError, StartError or Stopping."""
        self._ended = asyncio.get_running_loop().create_future()
        self.services.shared = self.assembly.shared
        gc.freeze()  # what imports made; walking over it takes 12 ms while data comes in
        gc.set_threshold(*COLLECT)
        try:
            async with self._turn:
                await self._in_time(self._crew.start())
                gc.collect()
                gc.freeze()  # at the start only: later it would keep what old plugins leave
                if listen:
                    await self._in_time(self.services.siblings.may_open(self.assembly.plugins))
                    await self._open(self._crew)
                self._introduce(self.assembly)
        except BaseException:
            await self.stop()
            raise

    async def reload(self, assembly: Assembly) -> None:
        """Serves `assembly` from now on; raises what start would, with nothing changed."""
        async with self._turn:
            crew = Crew(assembly, self._runners, self._failed)
            before = set(self._listeners), set(self._http)
            try:
                await self._in_time(crew.start())
                if self._listeners:
                    await self._open(crew)
                await self._in_time(self.services.siblings.agree(assembly))
            except BaseException:
                await self._close(set(self._listeners) - before[0], set(self._http) - before[1])
                await crew.stop()
                await self._runners.keep(self.assembly.shared)
                raise
            old = self._crew
            self._change_over(crew)
            await self._retire(old)
            await self._runners.keep(self.assembly.shared)

    async def _in_time(self, work: Coroutine[Any, Any, None]) -> None:  # Any: a coroutine's types
        """Does what may take seconds, as where plugins wait for data, unless the stop is first."""
        assert self._ended is not None
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait({working, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        if self._ended.done():
            self._ended.result()  # raises what ended a background task
        if self.services.life.is_stopping:
            raise Stopping
        await working

    async def wait(self) -> None:
        """Returns when `end` was called; raises what ended a background task."""
        assert self._ended is not None
        await self._ended

    def end(self) -> None:
        """Makes `wait` return; from now on the server is stopping."""
        self.services.life.is_stopping = True
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def wind_down(self) -> None:
        """Lets plugins prepare for the stop while everything is still served."""
        await self._crew.wind_down()

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Answers what was accepted, then stops everything."""
        self.services.life.is_stopping = True
        async with self._turn:
            await self._close(set(self._listeners), (), grace_s)
            await self._crew.stop()
            await self._runners.keep({})
            await self._close((), set(self._http))
            for pipeline in self._pipelines:
                await pipeline.end()

    def pipeline(self, router: Router, *, whole: bool) -> Pipeline:
        """A pipeline that no socket is in front of."""
        pipeline = new_pipeline(router, self.services, whole=whole)
        self._pipelines.append(pipeline)
        return pipeline

    async def _open(self, crew: Crew) -> None:
        """Opens what a crew needs and is not open yet, and begins to serve there."""
        dns = {one.port for place, one in self._listeners.items() if place.is_stream}
        web = {http.port for http in self._http.values()}
        siblings, places = self.services.siblings, crew.assembly.routers
        real = {place: siblings.port_of((place.name, place.port)) for place in places}
        ours = {one.port for one in self._listeners.values()} | web | siblings.shared(real.values())
        said = {place.port for place in places if place.is_stream}
        for address, offer in crew.offers.items():
            _check_free(address, offer, dns | said)
            _check_same(address, offer, self._crew.offers.get(address, offer))
        for place, router in places.items():
            terms = crew.assembly.terms[place]
            terms.check()
            if place not in self._listeners:
                where = place._replace(port=real[place])
                self._listeners[place] = Listener(where, router, self.services, terms, ours)
                ours.add(self._listeners[place].port)
        for address, offer in crew.offers.items():
            if address not in self._http:
                self._http[address] = await siblings.open(address, offer, ours)
                ours.add(self._http[address].port)
        for http in self._http.values():
            await http.start()
        for one in self._listeners.values():
            await one.start()

    def _change_over(self, crew: Crew) -> None:
        """Puts the plugins of a crew behind the sockets."""
        self._crew, self.assembly = crew, crew.assembly
        for place, listener in self._listeners.items():
            if place in crew.assembly.routers:
                listener.serve(crew.assembly.routers[place], crew.assembly.terms[place])
        for address, http in self._http.items():
            if address in crew.offers:
                http.routes = crew.offers[address].routes
        self.services.shared = crew.assembly.shared
        self._introduce(crew.assembly)

    def _introduce(self, assembly: Assembly) -> None:
        """Tells plugins who serves now."""
        assembly.kept.clear()
        life = self.services.life
        life.plugins, life.version = tuple(assembly.plugins), assembly.version
        life.blocks = assembly.blocks
        life.heard_at, life.tell = self._heard_at, self._tell

    def _heard_at(self) -> float:
        return max((one.heard_at for one in self._listeners.values()), default=float("-inf"))

    async def _tell(self) -> None:
        for pipeline in self.pipelines:
            await pipeline.tell_all()

    async def _retire(self, old: Crew) -> None:
        """Ends what the new crew does not need, when the old one's queries are answered."""
        routers, offers = self.assembly.routers, self._crew.offers
        await self._close(
            self._listeners.keys() - routers.keys(), self._http.keys() - offers.keys()
        )
        for pipeline in self.pipelines:
            await pipeline.tidy()
        deadline = asyncio.get_running_loop().time() + GRACE_S
        while any(router.underway for router in old.assembly.routers.values()):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.01)
        await old.stop()

    async def _close(
        self, listeners: Iterable[Place], web: Iterable[Address], grace_s: float = GRACE_S
    ) -> None:
        closing = [self._listeners.pop(address).stop(grace_s) for address in listeners]
        closing += [self._http.pop(address).stop(HTTP_GRACE_S) for address in web]
        await asyncio.gather(*closing)

    def _failed(self, error: BaseException) -> None:
        log.error("a background task failed, the server ends", exc_info=error)
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)


def _check_free(address: Address, offer: Offer, dns: Iterable[int]) -> None:
    """Raises StartError where HTTP would share a port with our own DNS."""
    host, port = address
    if port and port in dns:
        raise StartError(
            f"{offer.directive}: {host or 'every address'}, port {port} is where this server"
            " answers DNS; give one of the two another port"
        )


def _check_same(address: Address, offer: Offer, open_: Offer) -> None:
    """Raises StartError where an address that is open would begin or cease to speak TLS."""
    host, port = address
    if offer.web != open_.web:
        raise StartError(
            f"{offer.directive}: {host or 'every address'}, port {port} is open with another `tls`"
            " file, or none; restart, or give another address"
        )
