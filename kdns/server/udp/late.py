"""Answers that had to be waited for become replies, all those of a turn of the loop together.

Where too many are waited for, packets that the table knows nothing of are turned away (`busy`): the
socket is read on, so that what it does know still goes out.

perf: forward. A reply that leaves alone wakes its asker, who takes the processor from us, and then
the next one does; together they cost one system call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from kdns.server.drive import drive
from kdns.server.replies import KEPT
from kdns.wire import types
from kdns.wire.encode import encode
from kdns.wire.message import Answer, WireError
from kdns.wire.scan import scan

MAX_UNDERWAY = 10_000
"""Packets of a socket whose answers may be waited for at once."""
BUSY = Answer(types.SERVFAIL, ede=((types.EDE_OTHER, "too many questions wait for answers"),))

Origin = TypeVar("Origin")
"""What a way of sending needs to know of a packet to answer it later."""


class Late(Generic[Origin]):
    """The packets of one socket whose answers are waited for."""

    def __init__(
        self, send: Callable[[list[tuple[Origin, bytes]]], None], sent: Callable[[], None]
    ) -> None:
        self.underway = 0
        """Packets without their reply; one whose reply waits for the end of the turn is."""
        self.most = MAX_UNDERWAY
        self._send_all = send
        self._sent = sent
        self._loop = asyncio.get_running_loop()
        self._come: list[_Asked[Origin]] = []

    def wait_for(self, waited: Awaitable[bytes | None], origin: Origin) -> bytes | None:
        """The reply if it is there at once; None when it comes later, and is sent then."""
        asked = _Asked(origin)
        drive(waited, asked.take)
        if asked.has_come:
            return asked.reply
        asked.late = self
        self.underway += 1
        return None

    def take(self, asked: "_Asked[Origin]") -> None:
        """Has a reply sent at the end of this turn of the loop."""
        if not self._come:
            self._loop.call_soon(self._send)
        self._come.append(asked)

    def _send(self) -> None:
        come, self._come = self._come, []
        self.underway -= len(come)
        try:
            self._send_all([(one.origin, one.reply) for one in come if one.reply is not None])
        finally:
            self._sent()


class _Asked(Generic[Origin]):
    """A packet whose answer is waited for."""

    __slots__ = ("has_come", "late", "origin", "reply")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.reply: bytes | None = None
        self.has_come = False
        self.late: Late[Origin] | None = None

    def take(self, reply: bytes | None) -> None:
        """Takes the reply, None for silence."""
        self.reply = reply
        self.has_come = True
        if self.late is not None:
            self.late.take(self)


def busy(packet: bytes, now: float) -> bytes | None:
    """What is said to a packet for whose answer there is no room to wait."""
    try:
        question = scan(packet)
    except WireError:
        return None
    flags = types.QR | question.flags & KEPT
    return encode(question, BUSY, flags, now=now, turn=0.0).wire
