"""A container's command, run for real in the place of its pod: only for pods the admin wrote.

Its output is the container's log; its exit code says how the container has ended.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from kdns.lab.ground.base import Entry
from kdns.lab.inside.environ import expand
from kdns.lab.kubelet.console import Console, Consoles
from kdns.lab.kubelet.programs.base import Exit, Role
from kdns.lab.kubelet.programs.images import command_of
from kdns.lab.stage import Insides

NOT_FOUND, NOT_ALLOWED = 127, 126
_KILLED = 128 + signal.SIGKILL


class Shell:
    """The command of one container."""

    def __init__(self, role: Role, insides: Insides, consoles: Consoles) -> None:
        self._role = role
        self._insides = insides
        self._consoles = consoles
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, ended: Callable[[Exit], None]) -> None:
        """Begins; raises LookupError for an environment that cannot be made."""
        role = self._role
        container = role.container
        image = str(container.get("image", ""))
        words = command_of(image, container.get("command") or [], container.get("args") or [])
        entry = self._insides.entry(role.pod(), container["name"], words)
        entry = replace(entry, command=tuple(expand(one, entry.environ) for one in entry.command))
        if container.get("tty"):
            entry = replace(entry, environ={"TERM": "xterm", **entry.environ})
        console = Console(container, role.record)
        self._consoles.add(role.uid, container["name"], console)
        self._task = asyncio.get_running_loop().create_task(self._run(entry, console, ended))
        self._task.add_done_callback(lambda _: console.close(_KILLED))  # it may never have begun

    def terminate(self) -> None:
        """Asks it to end."""
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ends it at once."""
        self._signal(signal.SIGKILL)
        if self._task:
            self._task.cancel()

    async def _run(self, entry: Entry, console: Console, ended: Callable[[Exit], None]) -> None:
        try:
            try:
                self._process = await self._role.ground.enter(
                    self._role.uid, entry, console.streams
                )
            finally:
                console.begin()
            code = await self._process.wait()
        except (OSError, LookupError) as error:
            said = str(error) or type(error).__name__
            code = NOT_ALLOWED if isinstance(error, PermissionError) else NOT_FOUND
            self._role.record.write(said)
            console.close(code)
            ended(Exit(code, "StartError", said))
            return
        except asyncio.CancelledError:
            self._signal(signal.SIGKILL)
            console.close(_KILLED)
            raise
        code = code if code >= 0 else 128 - code
        await console.end(code)
        ended(Exit(code))

    def _signal(self, number: int) -> None:
        process = self._process
        if process and process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
