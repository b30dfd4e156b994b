"""Reads the Corefile again and puts it behind the running server, or says why it does not.

What is compared is the Corefile as parsed, with everything it imports and the environment it reads:
a file that a ConfigMap swapped for an equal one changes nothing. A Corefile that was refused is not
tried again until it differs.
"""

import asyncio
import logging
import os
from collections.abc import Callable

from kdns.corefile.parser import parse
from kdns.corefile.tree import ConfigError
from kdns.observe import logs
from kdns.server.assembly import Services, build, hidden_glob, read_text
from kdns.server.service import Service, Stopping
from kdns.server.sockets import StartError
from kdns.server.version import version

log = logging.getLogger("kdns")

Source = Callable[[], tuple[str, str]]
"""Gives the Corefile's text and path; raises ConfigError."""


class Reloader:
    """One per process: the only one that replaces what serves."""

    def __init__(self, service: Service, services: Services, source: Source, *, port: int) -> None:
        self.begun: Callable[[], None] = lambda: None
        self.over: Callable[[], None] = lambda: None
        """Called around each try to put a Corefile in place."""
        self._service = service
        self._services = services
        self._source = source
        self._port = port
        self._tried = ""
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[bool]] = set()
        self._is_ordered = False
        """An order waits for its turn; another one would find nothing else."""

    async def check(self) -> bool:
        """Reloads if the Corefile differs from the one that serves and from the last one tried."""
        return await asyncio.shield(self._begin(is_ordered=False))

    def order(self) -> None:
        """Reloads, whether it differs or not."""
        if not self._is_ordered:
            self._is_ordered = True
            self._begin(is_ordered=True)

    def _begin(self, *, is_ordered: bool) -> asyncio.Task[bool]:
        """Works in a task of its own: who asks is often a plugin that the reload will stop."""
        task = asyncio.get_running_loop().create_task(self._reload(is_ordered=is_ordered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _reload(self, *, is_ordered: bool) -> bool:
        async with self._turn:
            if is_ordered:
                self._is_ordered = False
            text, path, found, mistake = await asyncio.to_thread(self._read)
            is_known = found in {self._tried, self._services.life.version}
            self._tried = found
            if is_known and not is_ordered:
                return False
            log.info("Reloading")
            self.begun()
            errors = [mistake] if mistake else await self._replace(text, path)
            self.over()
            if errors is None:
                return False
            if errors:
                self._services.counters.add("coredns_reload_failed_total")
                for error in errors:
                    log.error("%s", error)
                log.error("the Corefile is not taken over; what served before serves on")
                return False
            log.info("Reloading complete")
            return True

    def _read(self) -> tuple[str, str, str, ConfigError | None]:
        """Text, path and version of the Corefile as it is now, or what is wrong with it."""
        try:
            text, path = self._source()
        except ConfigError as error:
            return "", "", str(error), error
        try:
            return text, path, version_of(text, path), None
        except ConfigError as error:
            return text, path, str(error) + text, error

    async def _replace(self, text: str, path: str) -> list[Exception] | None:
        """Builds and changes over; what was wrong, or None when the server is stopping."""
        errors: list[ConfigError] = []
        try:
            assembly = build(text, path, self._services, errors, port=self._port, warn=logs.warn)
            if errors:
                return list(errors)
            await self._service.reload(assembly)
        except Stopping:
            return None
        except (ConfigError, StartError, OSError) as error:
            return [error]
        except Exception as error:
            log.error("a plugin could not be made or started", exc_info=error)  # noqa: TRY400 - one line
            return [error]
        return []


def version_of(text: str, path: str) -> str:
    """The version of a Corefile as it is now; raises ConfigError, also for an empty one."""
    blocks = parse(text, path, environ=os.environ, read=read_text, glob=hidden_glob)
    if not blocks:
        # At the start it means the default, as in CoreDNS; here it would end what is served.
        raise ConfigError(path, 0, "the Corefile has no server block", "is it being written?")
    return version(blocks)
