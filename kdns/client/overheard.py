"""An upstream that others are told of: what it was asked, and what it said, for `dnstap`."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple

from kdns.client.line import Reply
from kdns.client.upstream import WINDOW_S, Upstream


class Heard(NamedTuple):
    """One attempt."""

    asked: bytes
    reply: bytes | None
    """None where nothing came that could be used."""
    transport: str
    upstream: tuple[bytes, int]
    """Its packed address, and its port."""
    started: float
    ended: float
    """By the clock of queries."""


Tell = Callable[[Heard], None]


class Overheard:
    """Does what the upstream does, and tells of what is sent."""

    def __init__(
        self,
        upstream: Upstream,
        scheme: str,
        tell: Sequence[Tell],
        clock: Callable[[], float],
    ) -> None:
        self._upstream = upstream
        self._end = (ip_address(upstream.host.partition("%")[0]).packed, upstream.port)
        self._transport = "" if scheme == "dns" else scheme
        self._tell = tell
        self._clock = clock

    def __getattr__(self, name: str) -> Any:  # Any: whatever an Upstream has
        return getattr(self._upstream, name)

    async def send(
        self,
        packet: bytes,
        transport: str,
        timeout: float,  # noqa: ASYNC109 - an Upstream's own
        question: bytes | None = None,
        left_s: float = WINDOW_S,
    ) -> Reply:
        """The same as an Upstream's."""
        began, reply = self._clock(), None
        try:
            reply = await self._upstream.send(packet, transport, timeout, question, left_s)
        finally:
            came = reply if isinstance(reply, bytes) else None
            how = self._transport or transport
            heard = Heard(packet, came, how, self._end, began, self._clock())
            for tell in self._tell:
                tell(heard)
        return reply
