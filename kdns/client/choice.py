"""Which upstream is asked next: the order of a policy, and who is up."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from kdns.client.peer import Peer

POLICIES = ("random", "round_robin", "sequential")


class Choice:
    """The upstreams of one directive."""

    def __init__(
        self,
        peers: Sequence[Peer],
        policy: str,
        chance: Random,
        *,
        fails_fast: bool,
        when_all_are_down: Callable[[], None],
    ) -> None:
        self.peers = peers
        self._policy = policy if len(peers) > 1 else "sequential"
        self._chance = chance
        self._fails_fast = fails_fast
        self._when_all_are_down = when_all_are_down
        self._turn = 0
        self._only = peers[0] if len(peers) == 1 else None

    def first(self) -> Peer | None:
        """The one to ask first; None where that one is down, and all must be looked at."""
        first = self._only or self._first()
        return None if first.fails and first.is_down else first

    def picks(self, first: Peer | None) -> Iterator[Peer]:
        """Those that are up, over and over; when all are down, any one of them, once.

        The first one has been picked already, unless it is None.
        """
        begin = first or self._first()
        order = [begin, *self._others(begin)]
        if first is not None:
            yield first
        while True:
            down = 0
            for peer in order:
                if peer is first:
                    first = None
                    continue
                if not peer.is_down:
                    yield peer
                    continue
                down += 1
                if down == len(order):
                    self._when_all_are_down()
                    if not self._fails_fast:
                        yield self._chance.choice(self.peers)
                    return

    def _first(self) -> Peer:
        if self._policy == "sequential":
            return self.peers[0]
        if self._policy == "random":
            return self.peers[int(self._chance.random() * len(self.peers))]
        self._turn = (self._turn + 1) % len(self.peers)
        return self.peers[self._turn]

    def _others(self, first: Peer) -> list[Peer]:
        others = [peer for peer in self.peers if peer is not first]
        if self._policy == "random":
            self._chance.shuffle(others)
        return others
