"""The other end of a door: this process's own streams become those of a command in a pod.

With a terminal, keys go through as they are pressed, Ctrl-C too, and the size follows the window.
"""

import asyncio
import os
import select
import signal
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import msgspec
from aiohttp import ClientWebSocketResponse, WSMsgType

from kdns.lab.doors import channels
from kdns.lab.errors import Obj

_PIECE = 32 * 1024
_IN: Final = 0
_ENDS = (signal.SIGTERM, signal.SIGHUP)


class LostError(Exception):
    """The connection broke before the command's outcome was known."""


async def call(socket: ClientWebSocketResponse, *, has_input: bool, is_terminal: bool) -> Obj:
    """Carries both ways until the command ends; gives its Status, raises LostError."""
    sending: set[asyncio.Task[None]] = set()
    with ExitStack() as ends:
        if is_terminal:
            ends.enter_context(_raw(_IN))
            ends.enter_context(_sized(socket, sending))
        if has_input:
            reader = asyncio.create_task(_send(socket))
            sending.add(reader)
        try:
            return await _receive(socket)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)


async def _receive(socket: ClientWebSocketResponse) -> Obj:
    status: Obj = {}
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, octets = message.data[0], message.data[1:]
        if channel in {channels.STDOUT, channels.STDERR}:
            _put(channel, octets)
        elif channel == channels.ERROR and octets:
            status = _status(octets)
    if not status:
        raise LostError("the connection ended before the command did")
    return status


def _status(octets: bytes) -> Obj:
    try:
        return msgspec.json.decode(octets, type=dict)
    except msgspec.DecodeError:
        raise LostError("the outcome of the command could not be read") from None


def _put(descriptor: int, octets: bytes) -> None:
    """Writes all of it; a terminal that others share may not block."""
    rest = memoryview(octets)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


# Input


async def _send(socket: ClientWebSocketResponse) -> None:
    """All of stdin, and its end."""
    pieces: asyncio.Queue[bytes] = asyncio.Queue(1)
    loop = asyncio.get_running_loop()

    def read() -> None:
        # A thread of its own: files cannot be waited for, and nobody waits for its end.
        with suppress(OSError, RuntimeError):
            while True:
                octets = os.read(_IN, _PIECE)
                asyncio.run_coroutine_threadsafe(pieces.put(octets), loop).result()
                if not octets:
                    return

    threading.Thread(target=read, daemon=True).start()
    with suppress(ConnectionError):
        while octets := await pieces.get():
            await socket.send_bytes(bytes([channels.STDIN]) + octets)
        if socket.protocol == channels.V5:
            await socket.send_bytes(bytes([channels.CLOSE, channels.STDIN]))


# Terminals


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Every key as it is, until the end; signals that end us leave the terminal as it was."""
    before = termios.tcgetattr(descriptor)
    loop, ours = asyncio.get_running_loop(), asyncio.current_task()
    for number in _ENDS:
        loop.add_signal_handler(number, ours.cancel if ours else loop.stop)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        for number in _ENDS:
            loop.remove_signal_handler(number)


@contextmanager
def _sized(socket: ClientWebSocketResponse, sending: "set[asyncio.Task[None]]") -> Iterator[None]:
    """The size of the window, now and whenever it changes."""

    def tell() -> None:
        task = asyncio.ensure_future(_tell_size(socket))
        sending.add(task)
        task.add_done_callback(sending.discard)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, tell)
    tell()
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


async def _tell_size(socket: ClientWebSocketResponse) -> None:
    with suppress(OSError):  # also of a connection that is gone
        found = os.get_terminal_size(_IN)
        size = channels.Size(found.columns, found.lines)
        await socket.send_bytes(bytes([channels.RESIZE]) + msgspec.json.encode(size))
