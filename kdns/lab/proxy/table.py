"""Services, slices and nodes by events become the rule of each place, and which places changed.

Pure: the same objects in any order give the same rules. A change costs what it concerns: one
service, of a slice the ports that it has, of nodes the services with node ports. Of two services
that want one place the older has it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from kdns.lab.controllers.bodies import name_of, namespace_of, spec_of
from kdns.lab.errors import Obj
from kdns.lab.proxy.rules import (
    NodeAddress,
    Place,
    Rule,
    addresses_of,
    key_of,
    port_of,
    rules_of,
    service_of,
)
from kdns.lab.proxy.slices import Port, Slices

_PART = 128
"""Ports that are looked at in one go."""


class Claim(NamedTuple):
    """Who wants a place; the least has it."""

    created: str
    service: str
    nth: tuple[int, int]
    """For a service that names one place twice."""


class Table:
    """All rules."""

    def __init__(self) -> None:
        self.services: dict[str, Obj] = {}
        self._slices: defaultdict[str, Slices] = defaultdict(Slices)
        self._homes: dict[tuple[str, str], str] = {}
        self._nodes: dict[str, Obj] = {}
        self._addresses: tuple[NodeAddress, ...] = ()
        self._node_of: dict[str, str] = {}
        self._networks: list[tuple[IPv4Network | IPv6Network, str]] = []
        self._claims: defaultdict[Place, dict[Claim, Rule]] = defaultdict(dict)
        self._claimed: defaultdict[str, dict[Port, list[tuple[Place, Claim]]]] = defaultdict(dict)

    # What happens; each gives the places that may have changed

    def set_service(self, service: Obj) -> set[Place]:
        """A service is new or changed."""
        return set[Place]().union(*self.taking(service))

    def taking(self, service: Obj) -> Iterator[set[Place]]:
        """The same in parts, for there may be thousands of ports."""
        key = key_of(service)
        self.services[key] = service
        ports = self._ports(key)
        for at in range(0, len(ports), _PART):
            yield self._recompute(key, ports[at : at + _PART])

    def drop_service(self, service: Obj) -> set[Place]:
        """A service is gone."""
        self.services.pop(key_of(service), None)
        return self._recompute(key_of(service), self._ports(key_of(service)))

    def set_slice(self, one: Obj) -> set[Place]:
        """A slice is new or changed."""
        key, home = (namespace_of(one), name_of(one)), service_of(one)
        before = self._homes.get(key, "")
        changed = self.drop_slice(one) if before and before != home else set()
        if not home:
            return changed
        self._homes[key] = home
        return changed | self._recompute(home, self._slices[home].put(one))

    def drop_slice(self, one: Obj) -> set[Place]:
        """A slice is gone."""
        key = namespace_of(one), name_of(one)
        home = self._homes.pop(key, "")
        if not home:
            return set()
        concerned = self._slices[home].take(one)
        if not self._slices[home]:
            del self._slices[home]
        return self._recompute(home, concerned)

    def set_node(self, node: Obj) -> set[Place]:
        """A node is new or changed."""
        self._nodes[name_of(node)] = node
        return self._place_nodes()

    def drop_node(self, node: Obj) -> set[Place]:
        """A node is gone."""
        self._nodes.pop(name_of(node), None)
        return self._place_nodes()

    # What holds

    def rule_at(self, place: Place) -> Rule | None:
        """The rule of a place."""
        claims = self._claims.get(place)
        return claims[min(claims)] if claims else None

    def rules(self, service: str) -> list[Rule]:
        """What a service wants, whether it has it or not."""
        found = [
            self._claims[place][claim]
            for of_port in self._claimed.get(service, {}).values()
            for place, claim in of_port
        ]
        return sorted(found, key=lambda rule: rule.nth)

    def places(self) -> Iterator[Place]:
        """All places with rules."""
        return iter(self._claims)

    def slices_of(self, service: str) -> Slices:
        """The slices of a service."""
        return self._slices.get(service) or Slices()

    def node_at(self, address: str) -> str:
        """The node on which a pod or a node's own program has an address; empty for others."""
        if found := self._node_of.get(address):
            return found
        asked = ip_address(address)
        return next((name for network, name in self._networks if asked in network), "")

    # Private

    def _place_nodes(self) -> set[Place]:
        nodes = [self._nodes[name] for name in sorted(self._nodes)]
        self._networks = list(_networks(nodes))
        found = addresses_of(nodes)
        if found == self._addresses:
            return set()
        self._addresses = found
        self._node_of = {one.address: one.node for one in found}
        changed: set[Place] = set()
        for key, service in self.services.items():
            if any(port.get("nodePort") for port in spec_of(service).get("ports") or ()):
                changed |= self._recompute(key, self._ports(key))
        return changed

    def _ports(self, key: str) -> list[Port]:
        """Those of a service, and those that it had."""
        service = self.services.get(key)
        now = spec_of(service).get("ports") or () if service else ()
        return list(dict.fromkeys((*self._claimed.get(key, ()), *map(port_of, now))))

    def _recompute(self, key: str, ports: Collection[Port]) -> set[Place]:
        """Makes the rules of some ports of a service anew."""
        service, claimed = self.services.get(key), self._claimed[key]
        wanted = set(ports)
        made = rules_of(service, self.slices_of(key), self._addresses, wanted) if service else []
        before = {place: self.rule_at(place) for one in ports for place, _ in claimed.get(one, ())}
        before |= {rule.place: self.rule_at(rule.place) for rule in made}
        for one in ports:
            for place, claim in claimed.pop(one, ()):
                del self._claims[place][claim]
        created = str((service or {"metadata": {}})["metadata"].get("creationTimestamp") or "")
        for rule in made:
            claim = Claim(created, key, rule.nth)
            self._claims[rule.place][claim] = rule
            claimed.setdefault((rule.port, rule.place.protocol), []).append((rule.place, claim))
        if not claimed:
            del self._claimed[key]
        for place in before:
            if not self._claims[place]:
                del self._claims[place]
        return {place for place, rule in before.items() if self.rule_at(place) != rule}


def _networks(nodes: Iterable[Obj]) -> Iterator[tuple[IPv4Network | IPv6Network, str]]:
    for node in nodes:
        for text in spec_of(node).get("podCIDRs") or ():
            try:
                yield ip_network(text, strict=False), name_of(node)
            except ValueError:
                continue
