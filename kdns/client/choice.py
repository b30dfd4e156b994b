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

    def picks(self) -> Iterator[Peer]:
        """Those that are up, over and over; when all are down, any one of them, once."""
        first = self._first()
        has_begun = not first.is_down
        if has_begun:
            yield first  # perf: bench forwarded; seldom another one is asked
        order = [first, *self._others(first)]
        while True:
            down = 0
            for peer in order:
                if has_begun:
                    has_begun = False
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
