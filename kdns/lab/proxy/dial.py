"""Sockets to endpoints, that bear the address of who asks; what is not of the lab is unreachable.

Nothing leaves the lab: an endpoint like 1.1.1.1 is refused here at once, as by a network that has
no way there, also where the ground stands on the machine's own network.
"""

import asyncio
import errno
import os
import socket
from ipaddress import IPv4Address, ip_address

from kdns.lab.ground.base import Ground
from kdns.lab.proxy.slices import Endpoint

CONNECT_S = 3.0
"""A SYN that is lost is sent again after one second, and after two more."""


class Dial:
    """Makes connections on one ground."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    def is_inside(self, address: str) -> bool:
        """True for an address that belongs to the lab."""
        ranges, asked = self.ground.ranges, ip_address(self.ground.ranges.moved(address))
        if isinstance(asked, IPv4Address):
            nets = (ranges.services, ranges.pods, ranges.nodes, ranges.outside)
            return any(asked in net for net in nets)
        return any(net is not None and asked in net for net in (ranges.services6, ranges.pods6))

    async def connect(self, endpoint: Endpoint, source: str = "") -> socket.socket:
        """A connection to an endpoint, as if `source` had made it; raises OSError."""
        loop = asyncio.get_running_loop()
        self.require_inside(endpoint.address)
        made = self.ground.outgoing(endpoint.address, "TCP", source=self._borne(source))
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.sock_connect(made, self.ground.target(*endpoint.place))
        except BaseException:
            made.close()
            raise
        return made

    def flow(self, endpoint: Endpoint, source: str) -> socket.socket:
        """A UDP socket that talks to an endpoint; raises OSError."""
        self.require_inside(endpoint.address)
        made = self.ground.outgoing(endpoint.address, "UDP", source=self._borne(source))
        try:
            made.connect(self.ground.target(*endpoint.place))
        except BaseException:
            made.close()
            raise
        return made

    def _borne(self, source: str) -> str:
        """The address that a connection bears: who is on the host network seems to ask from the
        very address that it asks, which is a service's; then it is a node's."""
        ranges, asker = self.ground.ranges, ip_address(source or "::")
        nets = (ranges.services, ranges.services6, ranges.outside)
        return "" if any(asker in net for net in nets) else source

    def require_inside(self, address: str) -> None:
        """Raises for an address that the lab's network has no way to."""
        if not self.is_inside(address):
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
