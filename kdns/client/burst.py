"""Sends what a turn of the loop has for connected UDP sockets, with one system call for each.

perf: bench forward. A datagram alone wakes its receiver, which takes the processor from us; and
then the next one does. Where sendmmsg is not as we know it, they are sent one by one all the same.
"""

import asyncio
import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from collections.abc import Callable
from functools import cache
from typing import Protocol

_COUNT = 64
_SIZE = 4096
"""Room for a query; a longer one is sent alone."""
HEADER = struct.Struct("@P I4x P N P N i4x I4x")
"""struct mmsghdr of 64-bit Linux; musl's int and padding lie where glibc has its size_t."""
VECTOR = struct.Struct("@PN")
_VECTORS = _COUNT * HEADER.size
_DATA = _VECTORS + _COUNT * VECTOR.size
DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0x40)


class Sender(Protocol):
    """A socket with datagrams to be sent."""

    out: list[bytes]
    socket: socket.socket

    def fail(self, error: OSError) -> None:
        """Told when the kernel did not take them all."""


class Burst:
    """The sockets that have something to send, and the memory the kernel reads it from.

    `sent` is called when all of a turn are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sent: Callable[[], None]) -> None:
        self._loop = loop
        self._sent = sent
        self._senders: list[Sender] = []
        self._memory = _Memory() if _fits() else None

    def enlist(self, sender: Sender) -> None:
        """Has what is in the sender's `out` sent at the end of this turn of the loop."""
        if not self._senders:
            self._loop.call_soon(self._send)
        self._senders.append(sender)

    def _send(self) -> None:
        senders, self._senders = self._senders, []
        for sender in senders:
            packets, sender.out = sender.out, []
            try:
                if self._memory is None or len(packets) < 2:
                    for packet in packets:
                        sender.socket.send(packet)
                else:
                    self._memory.send(sender.socket, packets)
            except OSError as error:
                sender.fail(error)
        self._sent()


class _Memory:
    """Headers, vectors and data, laid out once."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _DATA + _COUNT * _SIZE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for at in range(_COUNT):
            vector = _VECTORS + at * VECTOR.size
            HEADER.pack_into(self._memory, at * HEADER.size, 0, 0, base + vector, 1, 0, 0, 0, 0)
            VECTOR.pack_into(self._memory, vector, base + _DATA + at * _SIZE, 0)
        words = memoryview(self._memory).cast("Q")
        self._lengths = words[(_VECTORS + 8) // 8 : _DATA // 8 : VECTOR.size // 8]
        self._base = base
        libc = ctypes.PyDLL(None, use_errno=True)  # keeps the lock: nothing here waits
        self._sendmmsg = libc.sendmmsg

    def send(self, sock: socket.socket, packets: list[bytes]) -> None:
        """Sends them all, in order, or raises OSError."""
        lengths, memory = self._lengths, self._memory
        at = 0
        for packet in packets:
            size = len(packet)
            if size > _SIZE:
                self._flush(sock, at)
                at = 0
                sock.send(packet)
                continue
            start = _DATA + at * _SIZE
            memory[start : start + size] = packet
            lengths[at] = size
            at += 1
            if at == _COUNT:
                self._flush(sock, at)
                at = 0
        self._flush(sock, at)

    def _flush(self, sock: socket.socket, count: int) -> None:
        sent, fd = 0, sock.fileno()
        while sent < count:
            first = ctypes.c_void_p(self._base + sent * HEADER.size)
            done: int = self._sendmmsg(fd, first, count - sent, DONTWAIT)
            if done > 0:
                sent += done
            elif (code := ctypes.get_errno()) != errno.EINTR:
                raise OSError(code, os.strerror(code))


def fits(trial: Callable[[socket.socket, socket.socket], bool]) -> bool:
    """True where the layouts are what the kernel knows, which a trial on two sockets says."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return False
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs, ours:
        theirs.setblocking(False)
        try:
            return trial(theirs, ours)
        except (OSError, AttributeError, ValueError):
            return False


@cache
def _fits() -> bool:
    packets = [bytes([size & 255]) * size for size in (30, 900, 1)]

    def leave(theirs: socket.socket, ours: socket.socket) -> bool:
        _Memory().send(ours, packets)
        return [theirs.recv(_SIZE) for _ in packets] == packets

    return fits(leave)
