"""A command in a pod, and our ends of its pipes or of its terminal.

What it has written before its end is read to the last octet. What it leaves running may hold the
pipes open: such a one is listened to for LINGER_S, and then lives on without us.
"""

import asyncio
import fcntl
import os
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from kdns.lab.doors.channels import STDERR, STDIN, STDOUT
from kdns.lab.doors.descriptors import Outlet, close, write
from kdns.lab.ground.base import Entry, Ground, Streams

LINGER_S = 0.5
GRACE_S = 1.0
"""From SIGHUP to SIGKILL, for those whose client has gone."""
_REST = 1 << 20
"""The most that is read of one stream after the end: more than any pipe holds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams somebody is connected to."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    is_terminal: bool = False
    size: tuple[int, int] = (24, 80)
    """Rows and columns of the terminal when the command begins."""


class Command:
    """One that runs."""

    def __init__(
        self, process: asyncio.subprocess.Process, ends: dict[int, int], *, is_terminal: bool
    ) -> None:
        self._process = process
        self._ends = ends
        self._is_terminal = is_terminal
        self._outlets = {at: Outlet(ends[at]) for at in (STDOUT, STDERR) if at in ends}
        self._ended = asyncio.create_task(self._watch())

    @classmethod
    async def start(cls, ground: Ground, uid: str, entry: Entry, wanted: Wanted) -> Self:
        """Runs it; raises OSError, and LookupError for a pod without a place."""
        ends, streams = _terminal(wanted) if wanted.is_terminal else _pipes(wanted)
        try:
            process = await ground.enter(uid, entry, streams)
        except BaseException:
            close(*ends.values())
            raise
        finally:
            close(streams.stdin, streams.stdout, streams.stderr)
        return cls(process, ends, is_terminal=wanted.is_terminal)

    def outputs(self) -> Sequence[AsyncIterator[tuple[int, bytes]]]:
        """What it writes, by channel."""
        return [self._output(channel, outlet) for channel, outlet in self._outlets.items()]

    async def _output(self, channel: int, outlet: Outlet) -> AsyncIterator[tuple[int, bytes]]:
        while octets := await outlet.read():
            yield channel, octets

    async def write(self, octets: bytes) -> None:
        """Gives it input; raises BrokenPipeError when it takes none."""
        if STDIN not in self._ends:
            raise BrokenPipeError
        await write(self._ends[STDIN], octets)

    def end_input(self) -> None:
        """No more input: a terminal gets the character that means it."""
        if STDIN not in self._ends:
            return
        if self._is_terminal:
            with suppress(OSError):
                os.write(self._ends[STDIN], b"\x04")
        else:
            close(self._ends.pop(STDIN))

    def resize(self, rows: int, columns: int) -> None:
        """A new size of the terminal, of which the command is told by SIGWINCH."""
        if self._is_terminal:
            _resize(self._ends[STDOUT], rows, columns)

    async def ended(self) -> int:
        """Its exit code as a shell has it."""
        return await asyncio.shield(self._ended)

    def hang_up(self, then: Callable[[], None]) -> None:
        """Ends it, as if its terminal had been taken away: first asks, then insists."""
        self._signal(signal.SIGHUP)
        loop = asyncio.get_running_loop()

        def insist() -> None:
            self.kill()
            then()

        loop.call_later(GRACE_S, insist)

    def kill(self) -> None:
        """Ends all of its process group at once."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Lets go of our ends; nobody reads or writes any more."""
        close(*self._ends.values())
        self._ends.clear()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _watch(self) -> int:
        code = await self._process.wait()
        asyncio.get_running_loop().call_later(LINGER_S, self._finish)
        return code if code >= 0 else 128 - code

    def _finish(self) -> None:
        for outlet in self._outlets.values():
            outlet.finish(_REST)


def _terminal(wanted: Wanted) -> tuple[dict[int, int], Streams]:
    ours, theirs = os.openpty()
    _resize(ours, *wanted.size)
    return {STDIN: ours, STDOUT: ours}, Streams(theirs, theirs, theirs, is_terminal=True)


def _resize(terminal: int, rows: int, columns: int) -> None:
    with suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _pipes(wanted: Wanted) -> tuple[dict[int, int], Streams]:
    ends: dict[int, int] = {}
    given: dict[int, int] = {}
    wishes = {STDIN: wanted.stdin, STDOUT: wanted.stdout, STDERR: wanted.stderr}
    try:
        for channel, is_wanted in wishes.items():
            if not is_wanted:
                given[channel] = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                continue
            source, sink = os.pipe()
            is_input = channel == STDIN
            given[channel], ends[channel] = (source, sink) if is_input else (sink, source)
            os.set_blocking(ends[channel], False)
    except OSError:
        close(*ends.values(), *given.values())
        raise
    return ends, Streams(given[STDIN], given[STDOUT], given[STDERR])
