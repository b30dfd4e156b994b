"""Pod addresses out of the ranges of nodes: in order.

An address that comes back at once to another pod hides mistakes of whoever remembered it; it does
where no other is left.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

REST_S = 60.0


class Addresses:
    """Which addresses are taken, and which were lately."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._taken: Counter[str] = Counter()
        self._freed: dict[str, float] = {}
        self._last: dict[str, int] = {}

    def take(self, address: str) -> None:
        """Notes that an address is in use."""
        self._taken[str(ip_address(address))] += 1

    def free(self, address: str) -> None:
        """Notes that one who had it is gone; two pods may have been given the same."""
        text = str(ip_address(address))
        self._taken[text] -= 1
        if self._taken[text] <= 0:
            del self._taken[text]
            self._freed[text] = self._now()

    def next_of(self, ranges: Sequence[str]) -> list[str]:
        """Takes an address of each range; raises ValueError when one has none left."""
        return [self._next(text) for text in ranges]

    def _next(self, text: str) -> str:
        network = ip_network(text)
        size = min(network.num_addresses, 1 << 16)
        last = self._last.get(text, 1)  # the first is the node's bridge
        for step in range(1, size):
            at = (last + step) % size
            address = str(network[at])
            if 1 < at < size - 1 and address not in self._taken and not self._rests(address):
                self._last[text] = at
                self._taken[address] += 1
                return address
        for address in self._freed:  # those that have rested the longest come first
            if ip_address(address) in network and address not in self._taken:
                del self._freed[address]
                self._taken[address] += 1
                return address
        raise ValueError(f"no address of {text} is free")

    def _rests(self, address: str) -> bool:
        freed = self._freed.get(address)
        if freed is None:
            return False
        if self._now() - freed < REST_S:
            return True
        del self._freed[address]
        return False
