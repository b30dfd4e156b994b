"""Which endpoint a new connection or flow goes to: each in its turn, or the one a client had.

As with kube-proxy, the addresses of one service port share their turns and whom they know: who
came by the ClusterIP has the same endpoint at the node port.
"""

from collections import OrderedDict
from collections.abc import Sequence

from kdns.lab.proxy.slices import Endpoint

MOST_CLIENTS = 10_000


class Turns:
    """Of one port of a service."""

    def __init__(self) -> None:
        self._next = 0
        self._known: OrderedDict[str, tuple[tuple[str, int], float]] = OrderedDict()

    def order(
        self, endpoints: Sequence[Endpoint], client: str, affinity_s: int, now: float
    ) -> list[Endpoint]:
        """The endpoints in the order to try them for a new connection of a client."""
        if not endpoints:
            return []
        at = self._of(endpoints, client, affinity_s, now)
        if at is None:
            at = self._next % len(endpoints)
            self._next = at + 1
        return [*endpoints[at:], *endpoints[:at]]

    def keep(self, client: str, endpoint: Endpoint, affinity_s: int, now: float) -> None:
        """Notes where a client is, for its next connection."""
        if not affinity_s:
            return
        self._known[client] = endpoint.place, now
        self._known.move_to_end(client)
        while len(self._known) > MOST_CLIENTS:
            self._known.popitem(last=False)

    def _of(
        self, endpoints: Sequence[Endpoint], client: str, affinity_s: int, now: float
    ) -> int | None:
        if not affinity_s:
            self._known.clear()
            return None
        known = self._known.get(client)
        if known is None or now - known[1] >= affinity_s:
            return None
        return next((at for at, one in enumerate(endpoints) if one.place == known[0]), None)
