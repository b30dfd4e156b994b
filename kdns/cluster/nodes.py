"""The nodes of a Store, and which topology zone an address is in by the nets of their pods.

Two facts stand for all of them, since they seldom change: MACHINES for which are ready and where,
ZONES for which zone an address is in.
"""

from collections.abc import Hashable, Iterator
from typing import Final

from kdns.cluster.objects import Node, Object

MACHINES: Final = "/nodes"
ZONES: Final = "/zones"


class NodeTable:
    """Nodes by name. What it changes is said by the two facts."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._nets: dict[tuple[int, int], dict[int, dict[str, str]]] = {}
        """By octets of an address and bits behind the net, the smallest nets first; then by net:
        the zone that each node with this net is in."""
        self.edition = 0
        """Grows whenever an address may be in another zone."""

    def get(self, _: str, name: str) -> Node | None:
        """The node of this name."""
        return self._nodes.get(name)

    def names(self) -> Iterator[tuple[str, str]]:
        """The name of every node, as a pair; what is named may be taken out."""
        for name in list(self._nodes):
            yield "", name

    def all(self) -> Iterator[list[Object]]:
        """Every node."""
        yield [*self._nodes.values()]

    def ready(self) -> list[Node]:
        """The nodes that are ready, by name."""
        return [node for _, node in sorted(self._nodes.items()) if node.is_ready]

    def zone_of(self, address: bytes) -> str:
        """The zone of the smallest net that holds an address, empty where none is known."""
        value, size = int.from_bytes(address, "big"), len(address)
        for (octets, bits), nets in self._nets.items():
            if octets == size:
                zones = nets.get(value >> bits)
                if zones is not None:
                    first = next(iter(zones.values()))
                    return first if all(zone == first for zone in zones.values()) else ""
        return ""

    def put(self, _: str, name: str, new: Node | None) -> set[Hashable]:
        """Sets or, with None, takes out a node."""
        old = self._nodes.pop(name, None)
        if new is not None:
            self._nodes[name] = new
        moved: set[Hashable] = set()
        if _reached(old) != _reached(new):
            moved.add(MACHINES)
        if _placed(old) != _placed(new):
            moved.add(ZONES)
            self.edition += 1
            for at, net in _nets(old):
                nets = self._nets[at]
                del nets[net][name]
                if not nets[net]:
                    del nets[net]
            for at, net in _nets(new):
                if at not in self._nets:
                    self._nets[at] = {}
                    self._nets = dict(sorted(self._nets.items(), key=lambda one: one[0][1]))
                self._nets[at].setdefault(net, {})[name] = new.zone if new else ""
        return moved


def _nets(node: Node | None) -> list[tuple[tuple[int, int], int]]:
    """The nets of a node in a zone, its own addresses among them: pods may share those."""
    if node is None or not node.zone:
        return []
    whole = ((address, len(address) * 8) for address in node.addresses)
    found = []
    for address, length in dict.fromkeys((*node.nets, *whole)):
        bits = len(address) * 8 - length
        found.append(((len(address), bits), int.from_bytes(address, "big") >> bits))
    return list(dict.fromkeys(found))


def _reached(node: Node | None) -> object:
    return node.addresses if node is not None and node.is_ready else None


def _placed(node: Node | None) -> object:
    return node and node.zone and (node.zone, node.addresses, node.nets)
