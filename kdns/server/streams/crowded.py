"""Which connections are given up where there is no room for more: those of who has most.

It is found for several at once: looking at all of them for each that comes would be dear just then.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any, Final, Protocol, TypeVar

from kdns.server.peers import address_of
from kdns.server.udp.shares import network

WIDTHS: Final = (32, 64)
"""An address, or what one host has of IPv6."""


class Held(Protocol):
    """What is looked at of a connection."""

    transport: Any  # Any: asyncio's, of any protocol
    underway: int


H = TypeVar("H", bound=Held)


def surplus(connections: Iterable[H], count: int) -> list[H]:
    """The `count` connections to give up first, in that order.

    Each is one of the client with most connections then: the one that was longest waited for,
    those that are owed an answer last. They are given in the order of how long they are waited for.
    """
    free: dict[bytes, list[H]] = {}
    owed: dict[bytes, list[H]] = {}
    places: dict[bytes, int] = {}
    for place, one in enumerate(connections):
        client = _client(one)
        places.setdefault(client, place)
        (owed if one.underway else free).setdefault(client, []).append(one)
    rows = {client: free.get(client, []) + owed.get(client, []) for client in places}
    heap = [(-len(row), places[client], client) for client, row in rows.items()]
    heapify(heap)
    taken: dict[bytes, int] = {}
    found: list[H] = []
    while heap and len(found) < count:
        held, place, client = heappop(heap)
        at = taken.get(client, 0)
        found.append(rows[client][at])
        taken[client] = at + 1
        if held < -1:
            heappush(heap, (held + 1, place, client))
    return found


def _client(connection: Held) -> bytes:
    peer = connection.transport.get_extra_info("peername")
    return network(address_of(peer), WIDTHS) if peer else b""
