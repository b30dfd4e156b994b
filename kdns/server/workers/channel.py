"""Whole messages, and now and then a file descriptor, over one end of a socket pair.

Sending never waits: what the other side does not take yet is queued, and whoever sends much looks
at `waiting` or awaits `room`. Each message is a length and that many octets.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

LENGTH: Final = 4
BITE: Final = 1 << 18
FEW: Final = 1 << 18
"""Octets that may wait while there is room."""
MOST_BUFFERS: Final = 16


class Channel:
    """One end, at work from its making on. `hear` is called for each message, in order."""

    def __init__(
        self, sock: socket.socket, hear: Callable[[bytes], None], gone: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self.fds: deque[int] = deque()
        """File descriptors that came and that nobody has taken yet."""
        self._sock = sock
        self._hear = hear
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._out: deque[tuple[memoryview, int | None]] = deque()
        self._waiting = 0
        self._is_begun = False
        """A part of the first message has left."""
        self._room = asyncio.Event()
        self._in = bytearray()
        self._is_paused = False
        self._is_closed = False
        self._loop.add_reader(sock, self._read)

    @property
    def waiting(self) -> int:
        """Octets that were sent and not taken yet."""
        return self._waiting

    def send(self, message: bytes, fd: int | None = None) -> None:
        """Sends a message; a descriptor goes with it and is closed here, once it has left."""
        if self._is_closed:
            if fd is not None:
                os.close(fd)
            return
        was_empty = not self._out
        frame = len(message).to_bytes(LENGTH, "big") + message
        self._out.append((memoryview(frame), fd))
        self._waiting += len(frame)
        if was_empty:
            self._write()

    def drop(self) -> None:
        """Takes back the messages of which nothing has left yet."""
        kept = [self._out.popleft()] if self._is_begun else []
        for frame, fd in self._out:
            self._waiting -= len(frame)
            if fd is not None:
                os.close(fd)
        self._out = deque(kept)

    async def room(self, most: int = FEW) -> None:
        """Returns when no more than so many octets are waiting."""
        while self._waiting > most and not self._is_closed:
            self._room.clear()
            await self._room.wait()

    def pause(self) -> None:
        """Reads no more for now."""
        if not self._is_paused and not self._is_closed:
            self._is_paused = True
            self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        """Reads on."""
        if self._is_paused and not self._is_closed:
            self._is_paused = False
            self._loop.add_reader(self._sock, self._read)
            self._loop.call_soon(self._parse)

    def read_on(self) -> None:
        """Takes all that has come already."""
        self.resume()
        while not self._is_closed and self._read():
            pass

    def close(self) -> None:
        """Ends it; what has not left yet is lost."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._is_begun = False
        self.drop()
        self._sock.close()
        for fd in self.fds:
            os.close(fd)
        self._room.set()

    def _lose(self) -> None:
        if not self._is_closed:
            self.close()
            self._gone()

    def _read(self) -> bool:
        """Reads some; False when there was nothing."""
        try:
            octets, fds, _, _ = socket.recv_fds(self._sock, BITE, 4)
        except BlockingIOError:
            return False
        except OSError:
            octets, fds = b"", []
        self.fds.extend(fds)
        if not octets:
            self._lose()
            return False
        self._in += octets
        self._parse()
        return True

    def _parse(self) -> None:
        buffer = self._in
        at = 0
        try:
            while not self._is_paused and not self._is_closed and len(buffer) - at >= LENGTH:
                end = at + LENGTH + int.from_bytes(buffer[at : at + LENGTH], "big")
                if end > len(buffer):
                    break
                message = bytes(buffer[at + LENGTH : end])
                at = end
                self._hear(message)
        finally:
            del buffer[:at]  # whatever came of a message, it does not come twice

    def _write(self) -> None:
        try:
            while self._out:
                self._send_some()
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._write)
        except OSError:
            self._loop.remove_writer(self._sock)  # the reader will see the end
            self._is_begun = False
            self.drop()
        else:
            self._loop.remove_writer(self._sock)
        self._room.set()

    def _send_some(self) -> None:
        """Sends some messages at once; one with a descriptor alone."""
        frame, fd = self._out[0]
        if fd is not None:
            sent = socket.send_fds(self._sock, [frame], [fd])
            os.close(fd)
        else:
            some: list[memoryview] = []
            for frame, next_fd in self._out:
                if next_fd is not None or len(some) == MOST_BUFFERS:
                    break
                some.append(frame)
            sent = self._sock.sendmsg(some)
        self._waiting -= sent
        self._is_begun = False
        while sent:
            frame, _ = self._out.popleft()
            if sent < len(frame):
                self._out.appendleft((frame[sent:], None))
                self._is_begun = True
                break
            sent -= len(frame)
