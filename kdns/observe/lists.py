"""Names asked, names that do not exist, clients: the most frequent of each, as of lately.

Fed as an Observer is: with sums of what the answer table gave, and with batches of other answers.
Of a small batch each answer is counted, of a large one some stand for the rest: a busy server pays
a part of a microsecond per query at most, and a hot query nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from kdns.observe.top import Top

SIZE: Final = 256
"""Whoever has more than a 257th of all is found."""
HALF_LIFE_S: Final = 60.0
FEW: Final = 32
"""A batch of no more is counted one by one."""
EVERY: Final = 13
"""Of larger ones, each so many-th. A prime: clients ask in rounds of two, four or six."""
NXDOMAIN: Final = 3


class Asker(Protocol):
    """A client, as far as it is listed."""

    @property
    def address(self) -> bytes:
        """Packed."""


class Told(Protocol):
    """An answered packet, as far as it is listed (plugins.base.Seen)."""

    @property
    def packet(self) -> bytes:
        """As received."""

    @property
    def reply(self) -> bytes | None:
        """As sent."""

    @property
    def client(self) -> Asker:
        """Who asked."""

    @property
    def ended(self) -> float:
        """When it was answered."""


class Sum(Protocol):
    """What the table gave for one packet, as far as it is listed (plugins.base.Hit)."""

    packet: bytes
    rcode: int
    count: int


class Sums(Protocol):
    """What the table gave to several (plugins.base.Hits)."""

    @property
    def hits(self) -> Sequence[Sum]:
        """By packet."""

    @property
    def callers(self) -> Sequence[tuple[bytes, int]]:
        """Some addresses, and how many queries each stands for."""


class TopLists:
    """The three lists; `fade` before they are read."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.names: Top[bytes] = Top(SIZE)
        """Lower-case wire names."""
        self.missing: Top[bytes] = Top(SIZE)
        self.clients: Top[bytes] = Top(SIZE)
        """Packed addresses."""
        self._clock = clock
        self._next = 0
        """Which answer is the next to stand for others."""
        self._faded_at = clock()

    def observe(self, batch: Sequence[Told]) -> None:
        """Counts a batch of answers that were not in the table."""
        weight = 1
        chosen = batch
        if len(batch) > FEW:
            weight = EVERY
            chosen = batch[self._next :: EVERY]
            self._next = (self._next - len(batch)) % EVERY
        for one in chosen:
            name = _asked(one.packet)
            self.names.add(name, weight)
            self.clients.add(one.client.address, weight)
            if one.reply is not None and one.reply[3] & 0xF == NXDOMAIN:
                self.missing.add(name, weight)
        self.fade(batch[-1].ended)

    def observe_hits(self, hits: Sums) -> None:
        """Counts what the table gave."""
        for hit in hits.hits:
            name = _asked(hit.packet)
            self.names.add(name, hit.count)
            if hit.rcode == NXDOMAIN:
                self.missing.add(name, hit.count)
        for address, count in hits.callers:
            self.clients.add(address, count)
        self.fade(self._clock())

    def fade(self, now: float) -> None:
        """Lets what is a minute old count for half, what is two minutes old for a quarter."""
        while now - self._faded_at >= HALF_LIFE_S:
            self._faded_at += HALF_LIFE_S
            for top in (self.names, self.missing, self.clients):
                top.halve()


def _asked(packet: bytes) -> bytes:
    """The name a packet asks for. One that was answered has a whole name."""
    at = 12
    while size := packet[at]:
        at += size + 1
    return packet[12 : at + 1].lower()
