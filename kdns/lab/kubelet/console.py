"""The three streams of a container's process: written to its log, and to whoever is attached.

What is written before the first one attaches is kept for him, so that `kubectl run -it` shows the
prompt. A process that writes without end is read at a pace that leaves the loop to others.
"""

import asyncio
import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

from kdns.lab.errors import Obj
from kdns.lab.ground.base import Streams
from kdns.lab.kubelet.journal import Record

STDOUT, STDERR = 1, 2
_PIECE = 4096
_PACE_S = 0.002
"""Between whole pieces: 2 MB/s at most."""
_KEPT = 64 * 1024
_BEHIND = 256 * 1024
"""What a follower may have unread; then the process waits for him."""
_LAST_S = 0.5
"""For what is still in the pipes when the process has ended."""


class _Follower:
    """One who is attached."""

    def __init__(self, pieces: list[tuple[int, bytes]]) -> None:
        self.pieces = deque(pieces)
        self.size = sum(len(piece) for _, piece in pieces)
        self.news = asyncio.Event()


class Console:
    """The streams of one run; `streams` is what the process is given."""

    def __init__(self, container: Obj, record: Record) -> None:
        self.is_terminal = bool(container.get("tty"))
        self.has_input = bool(container.get("stdin"))
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._kept: deque[tuple[int, bytes]] = deque()
        self._size = 0
        self._followers: set[_Follower] = set()
        self._open: dict[int, int] = {}
        """Which stream is read from which file descriptor."""
        self._input = -1
        self._has_room = asyncio.Event()
        self._drained = asyncio.Event()
        self._code: asyncio.Future[int] = self._loop.create_future()
        given = self.streams = self._terminal() if self.is_terminal else self._pipes()
        self._given = frozenset((given.stdin, given.stdout, given.stderr))

    def _terminal(self) -> Streams:
        master, slave = os.openpty()
        self._open[master] = STDOUT
        self._input = os.dup(master) if self.has_input else -1
        return Streams(slave, slave, slave, is_terminal=True)

    def _pipes(self) -> Streams:
        mine, output = os.pipe()
        other, errors = os.pipe()
        self._open = {mine: STDOUT, other: STDERR}
        if self.has_input:
            source, self._input = os.pipe()
        else:
            source = os.open(os.devnull, os.O_RDONLY)
        return Streams(source, output, errors)

    def begin(self) -> None:
        """The process has its ends: closes them here, and reads."""
        self._give_away()
        for fd in self._open:
            os.set_blocking(fd, False)
            self._loop.add_reader(fd, self._read, fd)
        if self._input >= 0:
            os.set_blocking(self._input, False)

    async def end(self, code: int) -> None:
        """The process has ended: takes what is left of its output."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                while self._open:
                    self._drained.clear()
                    await self._drained.wait()
        self.close(code)

    def _give_away(self) -> None:
        given, self._given = self._given, frozenset()
        for fd in given:
            os.close(fd)

    def close(self, code: int) -> None:
        """Closes all; whoever follows comes to the end."""
        self._give_away()  # of a process that never came to be
        for fd in list(self._open):
            self._shut(fd)
        self.end_input()
        self._record.end()
        if not self._code.done():
            self._code.set_result(code)
        for one in self._followers:
            one.news.set()

    # For whoever attaches

    async def follow(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it writes, with the number of the stream, until it ends."""
        one = _Follower(list(self._kept))
        self._kept.clear()
        self._size = _KEPT  # nothing more is kept
        self._followers.add(one)
        try:
            while True:
                while one.pieces:
                    stream, piece = one.pieces.popleft()
                    one.size -= len(piece)
                    yield stream, piece
                if self._code.done():
                    return
                one.news.clear()
                await one.news.wait()
        finally:
            self._followers.discard(one)

    async def write(self, piece: bytes) -> None:
        """Gives it input; raises BrokenPipeError when it takes none."""
        while piece:
            if self._input < 0:
                raise BrokenPipeError
            try:
                piece = piece[os.write(self._input, piece) :]
            except BlockingIOError:
                await self._writable()
            except OSError:
                raise BrokenPipeError from None

    def end_input(self) -> None:
        """Ends its input; on a terminal that is a character."""
        if self._input < 0:
            return
        if self.is_terminal and not self._code.done():
            with suppress(OSError):
                os.write(self._input, b"\x04")
            return
        self._loop.remove_writer(self._input)
        os.close(self._input)
        self._input = -1
        self._has_room.set()

    def resize(self, rows: int, columns: int) -> None:
        """Tells a terminal its size."""
        for fd in self._open if self.is_terminal else ():
            with suppress(OSError, struct.error):
                fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def ended(self) -> int:
        """The exit code, once it has one."""
        return await asyncio.shield(self._code)

    # Private

    async def _writable(self) -> None:
        self._has_room.clear()
        self._loop.add_writer(self._input, self._has_room.set)
        try:
            await self._has_room.wait()
        finally:
            if self._input >= 0:
                self._loop.remove_writer(self._input)

    def _read(self, fd: int) -> None:
        try:
            piece = os.read(fd, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""  # a terminal that nobody has open any more
        if not piece:
            self._shut(fd)
            return
        self._take(self._open[fd], piece)
        if len(piece) == _PIECE:
            self._loop.remove_reader(fd)
            self._loop.call_later(_PACE_S, self._resume, fd)

    def _resume(self, fd: int) -> None:
        if fd not in self._open:
            return
        if any(one.size > _BEHIND for one in self._followers):
            self._loop.call_later(_PACE_S, self._resume, fd)
            return
        self._loop.add_reader(fd, self._read, fd)

    def _take(self, stream: int, piece: bytes) -> None:
        self._record.feed(piece)
        for one in self._followers:
            one.pieces.append((stream, piece))
            one.size += len(piece)
            one.news.set()
        if self._size < _KEPT and self.has_input:
            self._kept.append((stream, piece))
            self._size += len(piece)

    def _shut(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        del self._open[fd]
        os.close(fd)
        self._drained.set()


class Consoles:
    """The consoles of all containers that have one, by the uid of their pod."""

    def __init__(self) -> None:
        self._consoles: dict[str, dict[str, Console]] = {}

    def add(self, uid: str, container: str, console: Console) -> None:
        """Notes that of a new run, which takes the place of the one before."""
        self._consoles.setdefault(uid, {})[container] = console

    def find(self, uid: str, container: str) -> Console | None:
        """That of a container, of its last run if it has ended."""
        return self._consoles.get(uid, {}).get(container)

    def drop(self, uid: str) -> None:
        """Forgets those of a pod."""
        self._consoles.pop(uid, None)
