"""Address blocks as one set: whether a packed address is in one of them, remembered for a while."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

_KEPT = 4096
"""Addresses whose answer is remembered."""


class Nets:
    """Some address blocks."""

    def __init__(self, nets: Iterable[IPv4Network | IPv6Network]) -> None:
        self._ranges = [
            (net.max_prefixlen // 8, int(net.network_address), int(net.broadcast_address))
            for net in nets
        ]
        self._known: dict[bytes, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __contains__(self, address: bytes) -> bool:
        found = self._known.get(address)
        if found is None:
            size, value = len(address), int.from_bytes(address, "big")
            found = any(size == wide and low <= value <= high for wide, low, high in self._ranges)
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[address] = found
        return found
