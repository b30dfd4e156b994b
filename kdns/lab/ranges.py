"""The address ranges of a lab: Kubernetes' usual ones, or the same moved into 127.0.0.0/8.

A lab that is played without namespaces of its own listens on loopback addresses, so that what DNS
says can be connected to: 10.96.0.10 is 127.96.0.10 there, 10.244.1.5 is 127.244.1.5.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address


@dataclass(frozen=True, slots=True)
class Ranges:
    """Who has addresses from where."""

    services: IPv4Network
    services6: IPv6Network
    pods: IPv4Network
    pods6: IPv6Network | None
    nodes: IPv4Network
    outside: IPv4Network
    """Of load balancers."""
    number: int = 0
    """Which of the labs on loopback addresses has them."""

    @property
    def api(self) -> str:
        """Where the nodes reach the API."""
        return str(self.nodes[2])

    @property
    def dns(self) -> str:
        """The ClusterIP of the cluster's DNS."""
        return str(self.services[10])

    @property
    def server(self) -> str:
        """The machine on which the DNS server runs: its metrics, health and ready are there."""
        return str(self.nodes[3])

    def pod_ranges(self, node: int) -> list[str]:
        """Of the pods of one node."""
        found = [f"{self.pods.network_address + (node << 8)}/24"]
        if self.pods6:
            found.append(f"{self.pods6.network_address + (node << 64)}/64")
        return found

    @property
    def is_loopback(self) -> bool:
        """True where addresses are those of this machine."""
        return self.services.is_loopback

    def has_end(self, address: IPv4Address | IPv6Address) -> bool:
        """True for addresses that pods, nodes and load balancers have: a connection ends there."""
        return any(address in network for network in (self.pods, self.nodes, self.outside))

    def moved(self, text: str) -> str:
        """An address of the usual ranges as it is here; all others stay as they are."""
        if not self.is_loopback:
            return text
        try:
            address = ip_address(text)
        except ValueError:
            return text
        pairs = zip(_all(USUAL), _all(self), strict=True)
        for usual, here in pairs:
            if isinstance(address, IPv4Address) and address in usual:
                return str(here.network_address + (int(address) - int(usual.network_address)))
        return text


def _all(ranges: Ranges) -> tuple[IPv4Network, ...]:
    return ranges.services, ranges.pods, ranges.nodes, ranges.outside


USUAL = Ranges(
    services=IPv4Network("10.96.0.0/12"),
    services6=IPv6Network("fd00:10:96::/112"),
    pods=IPv4Network("10.244.0.0/16"),
    pods6=IPv6Network("fd00:10:244::/48"),
    nodes=IPv4Network("172.18.0.0/16"),
    outside=IPv4Network("198.51.100.0/24"),
)
MOST_LOOPBACKS = 8
"""Labs that can stand beside each other on the loopback addresses of one machine."""


def loopback(number: int) -> Ranges:
    """The ranges of one of them, from 0; none has an address of another's."""
    return Ranges(
        services=IPv4Network(f"127.{96 + 16 * number}.0.0/12"),
        services6=USUAL.services6,
        pods=IPv4Network(f"127.{244 + number}.0.0/16"),
        pods6=None,
        nodes=IPv4Network(f"127.{18 + number}.0.0/16"),
        outside=IPv4Network(f"127.{51 + number}.100.0/24"),
        number=number,
    )


LOOPBACK = loopback(0)
