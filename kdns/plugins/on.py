"""on: runs a command when the server starts, takes over another Corefile, or stops."""

import asyncio
import logging
import shlex
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.corefile.tree import nearest
from kdns.plugins.base import Monitor, Site

log = logging.getLogger("kdns.on")

EVENTS = ("startup", "shutdown", "certrenew")
PATIENCE_S = 1.0
"""For a command that is to end."""


class On(Monitor):
    """One event and its command. Of several workers, the lead alone runs it."""

    name = "on"
    syntax = Syntax(args=Shape(words=(text, text), rest=text), repeats=True)

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        event, *words = settings.args
        self.event = event.lower()
        if self.event not in EVENTS:
            hint = nearest(self.event, EVENTS) or f"it can be {', '.join(EVENTS)}"
            raise settings.fail(f"on: unknown event {event!r}", hint)
        self.waits = words[-1] != "&" or len(words) == 1
        try:
            # CoreDNS: the words are joined and taken apart again as a shell does
            self.command = shlex.split(" ".join(words if self.waits else words[:-1]))
        except ValueError as error:
            raise settings.fail(f"on: {str(error).lower()} in the command") from error

    async def start(self) -> None:
        """Runs what is to be run at the start; a reload starts anew."""
        if self.event == "certrenew":
            log.warning("certrenew never comes: kdns does not renew certificates by itself")
        if self.event == "startup" and self.waits:
            await self._run()

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Runs what nobody waits for."""
        return (self._run(),) if self.event == "startup" and not self.waits else ()

    async def wind_down(self) -> None:
        """Runs what is to be run at the end."""
        if self.event == "shutdown":
            await self._run()

    async def _run(self) -> None:
        if not (self.site.life.is_lead and self.command):
            return
        shown = shlex.join(self.command)
        log.info("running %s", shown)
        making = asyncio.ensure_future(
            asyncio.create_subprocess_exec(*self.command, stdin=asyncio.subprocess.DEVNULL)
        )
        try:
            process = await asyncio.shield(making)  # it may run before we are told so
            code = await process.wait()
        except OSError as error:
            log.error("cannot run %s: %s", shown, error.strerror)  # noqa: TRY400 - foreseeable
            return
        except asyncio.CancelledError:
            with suppress(OSError):
                await _end(await making)
            raise
        if code:
            log.error("%s ended with %d", shown, code)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a command, and sees that it is gone."""
    process.terminate()
    waiting = asyncio.ensure_future(process.wait())
    # Not asyncio.timeout: where it is a cancelled task that waits, Python 3.11.2 counts wrong.
    _, left = await asyncio.wait({waiting}, timeout=PATIENCE_S)
    if left:
        process.kill()
    await waiting
