"""What the listeners of the proxy share: the rules of this moment, turns, limits and counts.

`catch_up` reads what the storage has before an endpoint is chosen, so that no connection goes to
one that had left before it began.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from kdns.lab.ground.base import Transport
from kdns.lab.proxy.dial import Dial
from kdns.lab.proxy.rules import Place, Rule
from kdns.lab.proxy.slices import Endpoint
from kdns.lab.proxy.table import Table
from kdns.lab.proxy.turns import Turns

if TYPE_CHECKING:
    from kdns.lab.stage import Policies

log = logging.getLogger("kdns.lab")
SAID_S = 30.0
"""One line for each kind of trouble in that time."""


@dataclass(slots=True)
class Room:
    """How much may be open at once; what is over is refused and told of, once in a while."""

    what: str
    most: int
    taken: int = 0
    _of: Counter[str] = field(default_factory=Counter)
    """By whom."""
    _said: float = float("-inf")

    def take(self, client: str) -> bool:
        """Takes a place; False when there is none, or when the client has half of all."""
        if self.taken >= self.most:
            self.complain(f"{self.most} {self.what} are open, which is the most")
            return False
        if self._of[client] * 2 >= self.most:
            count = self._of[client]
            self.complain(f"{client} has {count} {self.what} open, the most that one client may")
            return False
        self.taken += 1
        self._of[client] += 1
        return True

    def complain(self, why: str) -> None:
        """Says why new ones are refused, unless it has said so just now."""
        now = time.monotonic()
        if now - self._said > SAID_S:
            self._said = now
            log.warning("kube-proxy: %s; new ones have to wait or are refused", why)

    def leave(self, client: str) -> None:
        """Gives it back."""
        self.taken -= 1
        self._of[client] -= 1
        if not self._of[client]:
            del self._of[client]


@dataclass(slots=True)
class Board:
    """All of it."""

    dial: Dial
    policies: "Policies"
    catch_up: Callable[[Place | None], None]
    connections: Room
    held: Room
    flows: Room
    table: Table = field(default_factory=Table)
    connections_of: Counter[str] = field(default_factory=Counter)
    failures_of: Counter[str] = field(default_factory=Counter)
    """Of each service: how often no endpoint could be connected to."""
    _turns: dict[str, dict[tuple[str, str], Turns]] = field(default_factory=dict)

    def candidates(self, rule: Rule, client: str) -> tuple[Endpoint, ...]:
        """Where a client may be sent; none: its packets are dropped."""
        if rule.sources and not _is_among(client, rule.sources):
            return ()
        return rule.reached_from(self.table.node_at(client))

    def order(self, rule: Rule, client: str) -> list[Endpoint]:
        """The same, in the order to try."""
        found = self.candidates(rule, client)
        now = time.monotonic()
        return self.turns(rule.service, rule.port, rule.place.protocol).order(
            found, client, rule.affinity_s, now
        )

    def keep(self, rule: Rule, client: str, endpoint: Endpoint) -> None:
        """Notes where a client is."""
        turns = self.turns(rule.service, rule.port, rule.place.protocol)
        turns.keep(client, endpoint, rule.affinity_s, time.monotonic())

    def turns(self, service: str, port: str, protocol: str) -> Turns:
        """Those of a port of a service."""
        of_service = self._turns.setdefault(service, {})
        return of_service.setdefault((port, protocol), Turns())

    def forget(self, service: str) -> None:
        """A service is gone."""
        self._turns.pop(service, None)
        self.connections_of.pop(service, None)
        self.failures_of.pop(service, None)

    def allows(self, client: str, endpoint: Endpoint, protocol: Transport) -> bool:
        """What policies say."""
        return self.policies.allows(client, endpoint.address, endpoint.port, protocol)

    def rule_at(self, place: Place) -> Rule | None:
        """The rule of a place as the storage has it now."""
        self.catch_up(place)
        return self.table.rule_at(place)


def _is_among(address: str, networks: tuple[str, ...]) -> bool:
    asked = ip_address(address)
    for text in networks:
        try:
            if asked in ip_network(text.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
