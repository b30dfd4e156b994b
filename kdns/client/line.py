"""One socket to an upstream with the queries in flight on it, each found again by its id.

A reply is taken only if its id, its question and the letter case of that question are those of a
query in flight; what has another id is skipped, as an attacker's guesses are (RFC 5452 §9.1).
"""

import asyncio
import os
import socket
import sys
from dataclasses import dataclass, field
from itertools import chain
from struct import Struct
from typing import TYPE_CHECKING

from kdns.client.burst import Burst
from kdns.client.intake import Intake
from kdns.client.wheel import Item, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ID = Struct("!H").pack
_IDS = Struct("!1024H").unpack


class UpstreamError(Exception):
    """An attempt that brought no reply."""

    is_stale = False
    """True when a kept connection turned out closed: not the upstream's fault, ask again."""


class StaleError(UpstreamError):
    """A kept connection was closed before it answered."""

    is_stale = True


class MiscasedError(UpstreamError):
    """A datagram with another letter case than was asked: a guess, or a server that folds."""


class MismatchError(UpstreamError):
    """A reply with our id but another question."""

    def __init__(self, reply: bytes) -> None:
        super().__init__("reply to another question")
        self.reply = reply


Reply = bytes | UpstreamError


class Ids:
    """Message ids nobody can foresee."""

    __slots__ = ("next",)

    def __init__(self) -> None:
        self.next: Callable[[], int] = chain.from_iterable(_drawn()).__next__
        """16 random bits."""


def _drawn() -> "Iterator[tuple[int, ...]]":
    while True:
        yield _IDS(os.urandom(2048))


@dataclass(frozen=True, slots=True)
class Lent:
    """What an upstream lends its lines."""

    loop: asyncio.AbstractEventLoop
    wheel: Wheel
    burst: Burst
    intake: Intake
    rest: "Callable[[Line], None]"
    """Told when a line has nothing in flight any more, where somebody must know."""
    most_idle: int = 0
    """Lines kept while idle; 0 is no limit, and then only retired ones are told of."""
    ids: Ids = field(default_factory=Ids)


class Waiter(asyncio.Future[Reply]):
    """A query in flight, to be awaited. Who sets `resume` is called back at once instead.

    perf: bench forward; a turn of the loop between reply and answer costs 1 µs.
    """

    __slots__ = ("id", "line", "question", "resume", "slot")

    line: "Line"
    id: int
    question: bytes
    """The octets of the question as sent, which the reply must repeat."""
    slot: set[Item] | None
    resume: "Callable[[], None] | None"

    def expire(self) -> None:
        """Gives the query up."""
        self.line.expire(self)


class Line:
    """A connected socket. Subclasses send and receive; this keeps the books."""

    transport = ""
    busy = 1
    """Queries in flight from which another line is worth its price."""
    is_established = True
    """False while a handshake has to end before queries leave."""

    def __init__(self, sock: socket.socket, peer: str, lent: "Lent") -> None:
        self.lent = lent
        self.peer = peer
        self.pending: dict[int, Waiter] = {}
        self.out: list[bytes] = []
        """Datagrams for the end of this turn of the loop."""
        self.uses = 0
        self.answered = 0
        self.born = self.used = lent.loop.time()
        self.is_retired = False
        self.ends = float("inf")
        self.most_uses = sys.maxsize
        self.patience = 0.0
        """How long a query may wait once the line is established, where that takes time."""
        self._sock: socket.socket | None = sock

    def ask(self, packet: bytes, question: bytes, until: float) -> Waiter:
        """Sends a query under an id of our own; the future brings the reply or an error."""
        lent, pending = self.lent, self.pending
        id_ = lent.ids.next()
        while id_ in pending:
            id_ = lent.ids.next()
        waiter = pending[id_] = Waiter(loop=lent.loop)
        waiter.line = self
        waiter.id = id_
        waiter.question = question
        waiter.resume = None
        self.uses += 1
        lent.wheel.add(waiter, until)
        self.send(_ID(id_) + packet[2:])
        return waiter

    def send(self, packet: bytes) -> None:
        """Puts a query on the wire."""
        raise NotImplementedError

    def take(self, message: bytes) -> None:
        """Hands a message to the query it answers."""
        if len(message) < 12:
            return
        waiter = self.pending.get(message[0] << 8 | message[1])
        if waiter is None:
            return
        question = waiter.question
        self.answered += 1
        if message[2] & 0x80 and message[4:6] == b"\0\1":
            if message.startswith(question, 12):
                self.finish(waiter, message)
                return
            asked = message[12 : 12 + len(question)]
            if asked.lower() == question.lower() and asked[-4:] == question[-4:]:
                self.miscased(waiter, message)
                return
        self.is_retired = True
        self.finish(waiter, MismatchError(message))

    def miscased(self, waiter: Waiter, message: bytes) -> None:
        """Decides about a reply whose question has another letter case."""
        self.finish(waiter, message)

    def expire(self, waiter: Waiter) -> None:
        """No reply came in time. Nothing new is asked here: a late reply may still come."""
        self.is_retired = True
        self.finish(waiter, UpstreamError(f"{self.reading()}: i/o timeout"))

    def established(self) -> None:
        """Queries can leave from now on: what waited for that has all its time again."""
        self.is_established = True
        wheel, until = self.lent.wheel, self.lent.loop.time() + self.patience
        for waiter in self.pending.values():
            wheel.drop(waiter)
            wheel.add(waiter, until)

    def reading(self) -> str:
        """What this line does, in the words of CoreDNS's errors."""
        local = address_text(self._sock.getsockname()) if self._sock else "?"
        return f"read {self.transport} {local}->{self.peer}"

    def close(self, error: UpstreamError) -> None:
        """Closes the socket; every query in flight ends with the error."""
        self.is_retired = True
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self.lent.loop.remove_reader(sock)
        self.lent.loop.remove_writer(sock)
        sock.close()
        for waiter in tuple(self.pending.values()):
            self.finish(waiter, error)
        self.lent.rest(self)

    @property
    def is_closed(self) -> bool:
        """True once the socket is gone."""
        return self._sock is None

    def finish(self, waiter: Waiter, reply: Reply) -> None:
        """Ends a query in flight with its reply or an error, and goes on with what waits for it."""
        lent, pending = self.lent, self.pending
        del pending[waiter.id]
        slot = waiter.slot
        if slot is not None:  # perf: bench forward; what `Wheel.drop` does
            slot.discard(waiter)
            waiter.slot = None
        if not pending:
            self.used = lent.loop.time()
            if self.is_retired or lent.most_idle:
                lent.rest(self)
        if waiter.done():
            return  # given up by who asked
        waiter.set_result(reply)
        if waiter.resume is not None:
            waiter.resume()


def strerror(error: OSError) -> str:
    """An operating system error in the words Go uses."""
    if error.errno is None or error.errno <= 0:  # a name that was not found: no errno of the system
        return (error.strerror or str(error)).lower()
    return os.strerror(error.errno).lower()


def address_text(name: tuple[str, int]) -> str:
    """`host:port`, IPv6 hosts in brackets."""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_socket(kind: socket.SocketKind, host: str, source: str) -> socket.socket:
    """A non-blocking socket of the host's family, bound to the source address if there is one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if source:
            sock.bind((source, 0))
    except OSError:
        sock.close()
        raise
    return sock
