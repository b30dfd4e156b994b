"""One upstream server: keeps sockets to it and sends each query over the best of them.

UDP queries are spread over a few sockets, one drawn at random for each turn of the loop, which are
replaced after some use or time, so that the port stays hard to guess; TCP connections are shared by
pipelined queries until they are busy.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Final

from kdns.client.burst import Burst
from kdns.client.datagrams import Datagrams
from kdns.client.intake import Intake
from kdns.client.line import Lent, Line, UpstreamError, Waiter, address_text
from kdns.client.stream import Stream
from kdns.client.wheel import Wheel
from kdns.wire.scan import skip_name

UDP: Final = "udp"
TCP: Final = "tcp"

WINDOW_S = 5.0
"""No attempt for a query starts later than this after it came (CoreDNS)."""
_SOCKETS = 4
"""UDP sockets kept while they are not busy."""
_MOST_LINES = 64
_MOST_OCTETS = {UDP: 65_507, TCP: 65_535}
"""What a query may have: over IPv6 and TCP more can come than leaves over IPv4."""
_TOGETHER = 64
"""Queries of one turn of the loop that go over the same UDP socket. perf: bench forward; each
system call wakes somebody, who may take the processor from us."""
_MOST_USES = 1000
"""Queries after which a UDP socket gives its port back."""
_MOST_AGE_S = 10.0
"""Seconds after which it does so anyway, at its next query."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long sockets are kept, how many idle ones, and where they are bound; 0 is no limit."""

    expire: float = 10.0
    max_age: float = 0.0
    max_idle: int = 0
    source: str = ""


def unobserved(_transport: str, _is_kept: bool, _count: int) -> None:
    """Counts nothing."""


class Upstream:
    """A server at an address. All methods belong to the running loop's thread."""

    over = ""
    """The one way it is asked, whatever the way its askers came; empty for UDP and TCP."""

    def __init__(
        self,
        host: str,
        port: int,
        keeping: Keeping | None = None,
        observe: Callable[[str, bool, int], None] = unobserved,
    ) -> None:
        self.host = host
        self.port = port
        self.text = address_text((host, port))
        self._keeping = keeping or Keeping()
        self._observe = observe
        self._lines: dict[str, list[Line]] = {UDP: [], TCP: []}
        self._datagrams = self._lines[UDP]
        self._drawn: Line | None = None
        """The socket that queries of this turn of the loop go over."""
        self._kept = 0
        """Queries of this turn that went over a kept one."""
        self._expire = self._keeping.expire
        self._lent: Lent | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._leaving: set[Line] = set()
        """Retired lines with queries in flight."""
        self._is_closed = False

    async def ask(self, packet: bytes, transport: str, within: float) -> bytes:
        """Sends a query and brings the reply's bytes, id as sent by us; raises UpstreamError."""
        reply = await self.send(packet, transport, within)
        if isinstance(reply, UpstreamError):
            raise reply
        return reply

    def send(
        self,
        packet: bytes,
        transport: str,
        timeout: float,
        question: bytes | None = None,
        _left_s: float = WINDOW_S,
    ) -> Waiter:
        """Sends a query; raises UpstreamError when no socket could be opened, or none can carry it.

        The future brings the reply's bytes or an UpstreamError. Who has the octets of the question
        gives them: the reply must repeat them.
        """
        if len(packet) > _MOST_OCTETS[UDP] and len(packet) > _MOST_OCTETS[transport]:
            # The socket would fail, and with it all that others have in flight on it.
            raise UpstreamError(f"write {transport} {self.text}: message too long")
        if question is None:
            question = packet[12 : skip_name(packet, 12) + 4]
        lent = self._lent
        if lent is not None and transport == UDP:
            # perf: bench forward; what `_pick` comes to most of the time
            lines, now = self._datagrams, lent.loop.time()
            if len(lines) >= _SOCKETS:
                line = self._drawn
                if line is None or not 0 < len(line.out) < _TOGETHER:
                    line = self._drawn = lines[lent.ids.next() % len(lines)]
                waiting = len(line.pending)
                if (
                    not line.is_retired
                    and line.uses < _MOST_USES
                    and now < line.ends
                    and (waiting < Datagrams.busy if waiting else now - line.used < self._expire)
                ):
                    self._kept += 1
                    return line.ask(packet, question, now + timeout)
        lent, line = self._line(transport)
        return line.ask(packet, question, lent.loop.time() + timeout)

    def count(self, transport: str) -> int:
        """How many sockets are open."""
        transport = self.over or transport
        leaving = sum(line.transport == transport for line in self._leaving)
        return len(self._lines[transport]) + leaving

    def turn(self, now: float) -> None:
        """Ends what has run out of time at `now`; the timer calls it too."""
        if self._lent is not None:
            self._lent.wheel.turn(now)

    def close(self) -> None:
        """Closes all sockets; queries in flight fail, and so do later ones."""
        self._is_closed = True
        for line in (*chain.from_iterable(self._lines.values()), *self._leaving):
            line.close(UpstreamError("closed"))
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self._lent is not None:
            self._lent.wheel.close()

    def _sent(self) -> None:
        if self._kept:
            self._observe(UDP, True, self._kept)
            self._kept = 0

    def _line(self, transport: str) -> tuple[Lent, Line]:
        """The socket for the next query."""
        if self._is_closed:
            raise UpstreamError("closed")
        lent = self._lent
        if lent is None:
            loop = asyncio.get_running_loop()
            lent = self._lent = Lent(
                loop,
                Wheel(loop),
                Burst(loop, self._sent),
                Intake(),
                self._rest,
                self._keeping.max_idle,
            )
        line = self._pick(transport, lent)
        self._observe(transport, line is not None, 1)
        return lent, line or self._open(transport, lent)

    def _open(self, transport: str, lent: Lent) -> Line:
        keeping = self._keeping
        line = self._dial(transport, lent)
        if keeping.max_age:
            line.ends = line.born + keeping.max_age
        if transport == UDP:
            line.ends = min(line.ends, line.born + _MOST_AGE_S)
            line.most_uses = _MOST_USES
        self._lines[transport].append(line)
        self._arm()
        return line

    def _dial(self, transport: str, lent: Lent) -> Line:
        kind = Datagrams if transport == UDP else Stream
        return kind(self.host, self.port, self._keeping.source, lent)

    def _pick(self, transport: str, lent: Lent) -> Line | None:
        """A kept line, or None where a new one should be opened."""
        now = lent.loop.time()
        lines = self._lines[transport]
        while lines:
            if transport != UDP:
                line = min(lines, key=_load) if len(lines) > 1 else lines[0]
            elif len(lines) < _SOCKETS:
                return None
            else:
                line = lines[lent.ids.next() % len(lines)]
            if self._is_usable(line, now):
                is_busy = len(line.pending) >= line.busy and len(lines) < _MOST_LINES
                return None if is_busy else line
            if line in lines:
                lines.remove(line)
                self._leaving.add(line)
        return None

    def _is_usable(self, line: Line, now: float) -> bool:
        if now >= line.ends or line.uses >= line.most_uses:
            line.is_retired = True
        if line.pending:
            return not line.is_retired
        if line.is_retired or now - line.used >= self._keeping.expire:
            line.is_retired = True
            self._rest(line)
            return False
        return True

    def _rest(self, line: Line) -> None:
        """A line has nothing in flight: keeps it or not."""
        if line in self._leaving:
            self._leaving.remove(line)
            line.close(UpstreamError("closed"))
        lines = self._lines[line.transport]
        most = self._keeping.max_idle
        idle = sum(not other.pending for other in lines) if most else 0
        if line in lines and (line.is_retired or idle > most):
            lines.remove(line)
            line.close(UpstreamError("closed"))

    def _arm(self) -> None:
        if self._sweep is None and self._lent is not None:
            every = max(self._keeping.expire, 0.1)
            self._sweep = self._lent.loop.call_later(every, self._tidy)

    def _tidy(self) -> None:
        """Closes what has been idle too long."""
        self._sweep = None
        if self._lent is None:
            return
        now = self._lent.loop.time()
        for lines in self._lines.values():
            for line in tuple(lines):
                self._is_usable(line, now)
        if any(self._lines.values()):
            self._arm()


def _load(line: Line) -> int:
    return len(line.pending)
