"""An upstream that is asked over one encrypted or HTTP transport, whatever its askers came over.

Until a connection stands, a query waits for that alone; its own time begins with it.
"""

from collections.abc import Callable
from typing import Protocol

from kdns.client.line import Lent, Line, UpstreamError, Waiter
from kdns.client.targets import Target
from kdns.client.upstream import WINDOW_S, Keeping, Upstream, unobserved
from kdns.wire.scan import skip_name

_MOST_OCTETS = 65_535


class DeclinedError(UpstreamError):
    """The transport has no such queries (RFC 9250 §5.7): NOTIMP."""


class Dialer(Protocol):
    """Opens connections of one kind to one server."""

    transport: str
    declined: frozenset[bytes]
    """Types, as two octets each, that must not be asked that way."""

    def dial(self, host: str, port: int, source: str, lent: Lent) -> Line:
        """A connection that is being established; raises UpstreamError."""


class Secured(Upstream):
    """A server at an address, behind its dialer."""

    def __init__(
        self,
        target: Target,
        dialer: Dialer,
        keeping: Keeping,
        observe: Callable[[str, bool, int], None],
        *,
        is_patient: bool = False,
    ) -> None:
        super().__init__(target.host, target.port, keeping, observe)
        self.over = dialer.transport
        self._lines[self.over] = []
        self._dialer = dialer
        has_all_time = is_patient or target.scheme == "quic"
        self._connect_s = WINDOW_S if has_all_time else WINDOW_S / 2
        """How long it may take until a connection stands: half of the window leaves time for
        another attempt, where there may be one (CoreDNS)."""

    def send(
        self,
        packet: bytes,
        _transport: str,
        timeout: float,
        question: bytes | None = None,
        left_s: float = WINDOW_S,
    ) -> Waiter:
        """Sends a query, as Upstream does."""
        if len(packet) > _MOST_OCTETS:
            raise UpstreamError(f"write {self.over} {self.text}: message too long")
        if question is None:
            question = packet[12 : skip_name(packet, 12) + 4]
        if question[-4:-2] in self._dialer.declined:
            raise DeclinedError(f"not over {self.over}")
        lent, line = self._line(self.over)
        if line.is_established:
            return line.ask(packet, question, lent.loop.time() + timeout)
        line.patience = max(line.patience, timeout)
        return line.ask(packet, question, lent.loop.time() + min(self._connect_s, left_s))

    async def probe(self, packet: bytes, within: float) -> None:
        """Sends a query that is not counted; raises UpstreamError when nothing comes back."""
        observe, self._observe = self._observe, unobserved
        try:
            waiter = self.send(packet, self.over, within)
        finally:
            self._observe = observe
        reply = await waiter
        if isinstance(reply, UpstreamError):
            raise reply

    def _dial(self, _transport: str, lent: Lent) -> Line:
        return self._dialer.dial(self.host, self.port, self._keeping.source, lent)
