"""How many queries may be under way to one upstream, and whose they are.

A client network may have no more under way than is still free. So one that floods gets half of the
budget, two get a third each, and whoever else comes still finds room.
"""

from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kdns.client.line import UpstreamError

T = TypeVar("T")

_NETWORK = {4: 3, 16: 7}
"""Octets of an address that are its network: /24 and /56."""


class OverBudgetError(UpstreamError):
    """There is no room for one more; the upstream was not asked and is not suspect."""


class Budget:
    """The budget towards one upstream."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.spent_now = 0
        self._by_network: Counter[bytes] = Counter()

    def takes(self, network: bytes) -> bool:
        """True when one more may leave for a client of this network."""
        free = self.most - self.spent_now
        return self._by_network.get(network, 0) < free

    @contextmanager
    def spent(self, network: bytes) -> Iterator[None]:
        """While a query is under way; raises OverBudgetError where there is no room."""
        if not self.takes(network):
            raise OverBudgetError(f"over the budget of {self.most} queries under way")
        self.spent_now += 1
        self._by_network[network] += 1
        try:
            yield
        finally:
            self.spent_now -= 1
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]

    async def through(self, network: bytes, work: Coroutine[Any, Any, T]) -> T:
        """Does work as one that is under way; owed before: `takes`."""
        with self.spent(network):
            return await work


def network_of(address: bytes) -> bytes:
    """The network that an address counts for."""
    return address[: _NETWORK.get(len(address), len(address))]
