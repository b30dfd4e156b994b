"""File descriptors that do not block, read and written on the event loop."""

import asyncio
import os
from contextlib import suppress

SIZE = 32 * 1024


class Outlet:
    """The end from which we read what somebody writes; a terminal's end is an error there."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._waiting: asyncio.Future[None] | None = None
        self._left: int | None = None
        """How much may still be read, once nobody is waited for."""

    async def read(self) -> bytes:
        """The next octets; b"" at the end."""
        while self._left is None or self._left > 0:
            try:
                octets = os.read(self._descriptor, SIZE)
            except BlockingIOError:
                if self._left is not None:
                    break
                await self._ready()
                continue
            except OSError:  # EIO: nobody has the terminal open any more
                break
            if self._left is not None:
                self._left -= len(octets)
            return octets
        return b""

    def finish(self, most: int) -> None:
        """From now on reads only what has been written already."""
        self._left = most
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        loop.add_reader(self._descriptor, _wake, self._waiting)
        try:
            await self._waiting
        finally:
            loop.remove_reader(self._descriptor)


async def write(descriptor: int, octets: bytes) -> None:
    """Writes all of it; raises BrokenPipeError when nobody reads."""
    loop = asyncio.get_running_loop()
    rest = memoryview(octets)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            writable: asyncio.Future[None] = loop.create_future()
            loop.add_writer(descriptor, _wake, writable)
            try:
                await writable
            finally:
                loop.remove_writer(descriptor)
        except OSError as error:
            raise BrokenPipeError(error.errno, error.strerror) from None


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def close(*descriptors: int) -> None:
    """Closes what is open."""
    for one in set(descriptors):
        with suppress(OSError):
            os.close(one)
