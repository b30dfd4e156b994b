"""One of the processes that serve as one: a Service under the orders of the supervisor.

The lead watches and gives what it knows to the others, which take it; apart from that they are
alike. Without its supervisor a worker ends at once.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from kdns.cluster.giving import Giver
from kdns.cluster.link import Link
from kdns.cluster.taking import Taker
from kdns.corefile.tree import ConfigError
from kdns.observe import logs, sums
from kdns.plugins.base import HttpReply, Life
from kdns.server.assembly import Assembly, Services, build, built
from kdns.server.begin import corefile, new_loop
from kdns.server.reload import Reloader
from kdns.server.service import Service, Stopping
from kdns.server.sockets import StartError
from kdns.server.workers.channel import Channel
from kdns.server.workers.kin import Kin, is_ready, standing
from kdns.server.workers.messages import (
    Ask,
    Begin,
    Built,
    Call,
    Decide,
    Feed,
    Numbers,
    Open,
    Opened,
    Order,
    Prepare,
    Reply,
    Setup,
    Stop,
    ToSupervisor,
    Verdict,
    pack,
    to_worker,
)
from kdns.server.workers.output import Quiet, WholeLines
from kdns.server.workers.parent import end_with_parent

PUSH_S: Final = 2.0
"""How often the supervisor is told the numbers unasked: what a worker that is killed may lose."""
LOOK_S: Final = 0.1
PART_S: Final = 0.002
"""How long numbers are read before others have their turn."""

log = logging.getLogger("kdns")


def main(fd: int, furnish: Callable[[Service], None]) -> int:
    """Serves as the supervisor at the other end of `fd` says; returns the exit code.

    `furnish` gives a Service what is made above it.
    """
    end_with_parent()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # the supervisor passes on what they mean
    sys.stdout = WholeLines(1)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_work(socket.socket(fileno=fd), furnish))


async def _work(sock: socket.socket, furnish: Callable[[Service], None]) -> int:
    return await Worker(sock, furnish).run()


class Worker:
    """The process."""

    def __init__(self, sock: socket.socket, furnish: Callable[[Service], None]) -> None:
        self._furnish = furnish
        self._channel = Channel(sock, self._hear, lambda: os._exit(1))
        self._first: asyncio.Future[Begin] = asyncio.get_running_loop().create_future()
        self._services = Services()
        self._service: Service | None = None
        self._reloader: Reloader | None = None
        self._kin: Kin | None = None
        self._early: list[Any] = []  # Any: messages that came before there was a Kin
        self._taking: Channel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._is_ordered = False
        """A reload was ordered before there was a Reloader."""

    async def run(self) -> int:
        """Serves until told to stop; returns the exit code."""
        begin = await self._first
        setup, is_lead = begin.setup, begin.number == 0
        logs.set_up(setup.log_format)
        if not is_lead:
            logs.keep(Quiet())
        giver = Giver(self._services.counters)
        link = Link(giver, Taker(), watches=is_lead, inherits=begin.inherits)
        self._services.life = Life(
            is_lead=is_lead, workers=setup.count, link=link, mark=setup.mark, secret=setup.secret
        )
        self._services.siblings = self._kin = Kin(self._say, setup, is_lead=is_lead)
        for message in self._early:
            self._obey(message)
        try:
            return await self._serve(setup, is_lead=is_lead)
        except (StartError, ConfigError, OSError) as error:
            logs.fatal(str(error))
            return 2 if isinstance(error, ConfigError) else 3
        finally:
            await self._part()

    async def _serve(self, setup: Setup, *, is_lead: bool) -> int:
        services = self._services
        errors: list[ConfigError] = []
        assembly = build(setup.text, setup.path, services, errors, port=setup.port)
        for mistake in errors:
            logs.fatal(str(mistake))
        if errors:
            return 2
        self._say(Built())
        self._service = service = Service(assembly, services)
        self._furnish(service)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.end)
        if is_lead and setup.corefile != "stdin":
            source = partial(corefile, setup.corefile, setup.port)
            self._reloader = Reloader(service, services, source, port=setup.port)
            services.life.corefile = setup.corefile or "Corefile"
            services.life.reload = self._reloader.check
            if self._is_ordered:
                self._reloader.order()
        try:
            if self._is_stopping:
                return 0
            await service.start()
        except Stopping:
            return 0
        if is_lead:
            services.life.link.inherits = False
            self._leave()
        self._begin(self._stand(service))
        self._begin(self._push())
        try:
            await service.wait()
        except Exception:  # it has been logged by whoever saw it first
            return 1
        await service.wind_down()
        await service.stop()
        return 0

    async def _part(self) -> None:
        """Says the last words, and waits until they are out."""
        await self._told()
        for values, shapes in [_all(self._services)]:
            self._say(Numbers(0, values, shapes))
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._channel.room(0)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:  # Any: a coroutine's types
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What the supervisor says

    def _hear(self, octets: bytes) -> None:
        message = to_worker(octets)
        if isinstance(message, Begin):
            self._first.set_result(message)
        elif self._kin is None:
            self._early.append(message)
        else:
            self._obey(message)

    def _obey(self, message: Any) -> None:  # noqa: C901 - one case each; Any: one of ToWorker
        kin = self._kin
        assert kin is not None
        match message:
            case Open():
                kin.permit(message)
            case Opened():
                kin.opened(message)
            case Decide():
                kin.decide(message)
            case Call():
                self._begin(self._answer(message))
            case Ask():
                self._begin(self._tell(message.id))
            case Prepare():
                self._begin(self._prepare(message))
            case Feed():
                sock = socket.socket(fileno=self._channel.fds.popleft())
                (self._give if message.gives else self._take)(sock)
            case Order():
                self._is_ordered = True
                if self._reloader is not None:
                    self._reloader.order()
            case Stop():
                self._is_stopping = True
                if self._service is not None:
                    self._service.end()

    def _say(self, message: ToSupervisor) -> None:
        self._channel.send(pack(message))

    def _give(self, sock: socket.socket) -> None:
        """Gives what is known here to another worker."""
        giver = self._services.life.link.giver
        channel = Channel(
            sock, lambda message: giver.hear(channel, message), lambda: giver.leave(channel)
        )

    def _take(self, sock: socket.socket) -> None:
        """Takes from the worker that watches now or, to begin with, from one that was fed."""
        self._leave()
        taker = self._services.life.link.taker
        self._taking = Channel(sock, taker.hear, lambda: None)
        taker.attach(self._taking)

    def _leave(self) -> None:
        if self._taking is not None:
            self._taking.close()

    # What it does of itself

    async def _answer(self, call: Call) -> None:
        """Serves a request that came to the supervisor over HTTP."""
        endpoint = self._service.endpoint(call.address, call.path) if self._service else None
        try:
            reply = await endpoint.serve(call.query) if endpoint is not None else _failed(404)
        except Exception as error:
            log.error("%s could not be served", call.path, exc_info=error)  # noqa: TRY400 - one line
            reply = _failed(500)
        self._say(Reply(call.id, reply.status, reply.body, reply.type, reply.mark))

    async def _tell(self, id_: int) -> None:
        """Tells the numbers, bit by bit."""
        services = self._services
        await self._told()
        values: sums.Values = []
        shapes: sums.Shapes = []
        clock = services.clock
        end = clock() + PART_S
        for some, more in sums.numbers(services.counters):
            values += some
            shapes += more
            if clock() >= end:
                await asyncio.sleep(0)
                end = clock() + PART_S
        self._say(Numbers(id_, values, shapes))

    async def _told(self) -> None:
        tell = self._services.life.tell
        if tell is not None:
            await tell()

    async def _push(self) -> None:
        while True:
            await asyncio.sleep(PUSH_S)
            await self._tell(0)

    async def _stand(self, service: Service) -> None:
        """Says that it serves, and again once it has all it needs."""
        while True:
            plugins = service.assembly.plugins
            ports = {name: port for (name, said), port in service.ports.items() if not said}
            self._say(standing(service, ports))
            if is_ready(plugins):
                return
            while not is_ready(service.assembly.plugins):  # noqa: ASYNC110 - plugins set no event
                await asyncio.sleep(LOOK_S)

    async def _prepare(self, message: Prepare) -> None:
        """Gets ready for another Corefile; what becomes of it, everybody decides (Kin.agree)."""
        service = self._service
        if service is None:
            self._say(Verdict(message.version, ("a worker is about to start",)))
            return
        try:
            await service.reload(self._built(message))
        except Stopping:
            self._say(Verdict(message.version, ("a worker is being stopped",)))
        except (ConfigError, StartError, OSError) as error:
            self._say(Verdict(message.version, (str(error),)))
        except Exception as error:
            log.error("a plugin could not be made or started", exc_info=error)  # noqa: TRY400 - one line
            self._say(Verdict(message.version, (repr(error),)))

    def _built(self, message: Prepare) -> Assembly:
        port = self._first.result().setup.port
        assembly = built(message.text, message.path, self._services, port=port)
        if assembly.version != message.version:
            raise StartError(f"{message.path}: what it imports is changing just now")
        return assembly


def _all(services: Services) -> tuple[sums.Values, sums.Shapes]:
    parts = list(sums.numbers(services.counters))
    return [one for some, _ in parts for one in some], [one for _, more in parts for one in more]


def _failed(status: int) -> HttpReply:
    return HttpReply(status, f"{status} {HTTPStatus(status).phrase}\n".encode())
