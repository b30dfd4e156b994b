"""Plugins at work: those of one Assembly, and the shared objects that outlive an Assembly.

Shared objects that run (`Site.share`, Runner) start before the plugins that wait for their data,
and run on through every reload whose Corefile still asks for them. A background task that ends
with an error is told to `failed`, which ends the server.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from typing import Any

from kdns.plugins.base import Plugin
from kdns.server.assembly import Assembly
from kdns.server.http import Address, Offer, offers

log = logging.getLogger("kdns.server")

Failed = Callable[[BaseException], None]


class Tasks:
    """Background tasks that are watched while they run."""

    def __init__(self, failed: Failed) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begins work in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def cancel(self) -> None:
        """Ends all of it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


class Runners:
    """The shared objects at work, by their key; one for the process."""

    def __init__(self, failed: Failed) -> None:
        self._tasks = Tasks(failed)
        self._running: dict[Hashable, asyncio.Task[None]] = {}

    def begin(self, shared: Mapping[Hashable, Any]) -> None:  # Any: see Site.shared
        """Starts those among `shared` that run and do not run yet."""
        for key, thing in shared.items():
            run = getattr(thing, "run", None)
            if run is not None and key not in self._running:
                self._running[key] = self._tasks.run(run())

    async def keep(self, shared: Mapping[Hashable, Any]) -> None:  # Any: see Site.shared
        """Ends those that are not among `shared`."""
        ending = [self._running.pop(key) for key in set(self._running).difference(shared)]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


class Crew:
    """The plugins of one Assembly, from their start to their stop."""

    def __init__(self, assembly: Assembly, runners: Runners, failed: Failed) -> None:
        self.assembly = assembly
        self._runners = runners
        self._tasks = Tasks(failed)
        self._started: list[Plugin] = []
        self.offers: dict[Address, Offer] = {}
        """What the plugins serve over HTTP, known once they have started."""

    async def start(self) -> None:
        """Returns when every plugin has what it needs; raises what the first failure was."""
        self._runners.begin(self.assembly.shared)
        for plugin in self.assembly.plugins:
            for work in plugin.tasks():
                self._tasks.run(work)
        starts = [asyncio.ensure_future(self._start(one)) for one in self.assembly.plugins]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            raise
        self._runners.begin(self.assembly.shared)
        self.offers = offers(self.assembly.plugins)

    async def _start(self, plugin: Plugin) -> None:
        await plugin.start()
        self._started.append(plugin)

    async def wind_down(self) -> None:
        """Lets every plugin prepare for the stop, all at once."""
        await _all(plugin.wind_down() for plugin in self._started)

    async def stop(self) -> None:
        """Ends the tasks, then stops the plugins that started."""
        await self._tasks.cancel()
        await _all(plugin.stop() for plugin in self._started)


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:  # Any: a coroutine's types
    """Does everything, whatever fails of it: the end of one plugin is not that of the others."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("a plugin failed while it was stopped", exc_info=result)
