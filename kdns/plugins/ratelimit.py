"""ratelimit: bounds the replies that forged questions over UDP can bring upon a network.

Counted are replies by client network and kind, as buckets that fill again by the second. What is
over the rate is dropped, or cut short, so that whoever really asks comes by TCP. A client with a
cookie of ours is who he says, and is not counted.
"""

from functools import partial
from ipaddress import ip_address
from typing import Final, Protocol

from kdns.corefile.options import Settings, Shape, Syntax, integer, network
from kdns.plugins.base import SILENCE, Client, Gate, Seal, Site
from kdns.wire import types
from kdns.wire.scan import skip_name

ANSWERS, DENIALS, ERRORS = "answers", "denials", "errors"
RATES: Final = {ANSWERS: 200, DENIALS: 50, ERRORS: 20}
"""Replies a second."""
WINDOW_S: Final = 5
"""A network that was quiet may have the replies of so many seconds at once."""
KEPT: Final = 16_384
"""Networks that are remembered; twice as many at most."""
WIDTHS: Final = (24, 56)
SLIP: Final = 2


class Knowing(Protocol):
    """Who can tell an address that is not forged (`cookies`)."""

    def knows(self, packet: bytes, client: Client) -> bool:
        """True for a packet whose sender's address is his own."""


class Buckets:
    """What networks may still be sent, for one kind of reply; memory is bounded.

    Those of the last two generations are known; who was not seen for so long begins anew.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._most = float(rate * WINDOW_S)
        self._young: dict[bytes, tuple[float, float]] = {}
        """By network: what was left, and when."""
        self._old: dict[bytes, tuple[float, float]] = {}

    def takes(self, network_: bytes, now: float) -> bool:
        """True when one more reply may go there."""
        found = self._young.get(network_) or self._old.get(network_)
        left, then = found if found is not None else (self._most, now)
        left = min(left + (now - then) * self._rate, self._most)
        is_room = left >= 1
        if len(self._young) >= KEPT and network_ not in self._young:
            self._young, self._old = {}, self._young
        self._young[network_] = (left - is_room, now)
        return is_room

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Ratelimit(Gate):
    """`ratelimit { answers|denials|errors N, networks V4 V6, slip N, exempt …, log_only }`."""

    name = "ratelimit"
    syntax = Syntax(
        options={
            ANSWERS: Shape((integer(1, 1_000_000),)),
            DENIALS: Shape((integer(1, 1_000_000),)),
            ERRORS: Shape((integer(1, 1_000_000),)),
            "networks": Shape((integer(8, 32), integer(16, 128))),
            "slip": Shape((integer(0, 10),)),
            "exempt": Shape(rest=network, at_least=1, repeats=True),
            "log_only": Shape(),
        }
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._buckets = {kind: Buckets(settings.get(kind, rate)) for kind, rate in RATES.items()}
        lines = settings.all("networks")
        self._widths: tuple[int, int] = lines[-1].values if lines else WIDTHS
        self._slip: int = settings.get("slip", SLIP)
        self._exempt = settings.values("exempt")
        self._is_quiet = settings.has("log_only")
        self._slips = 0
        self._networks: dict[bytes, bytes] = {}
        """Of addresses that are known; empty for those that are exempt."""

    def admit(self, packet: bytes, client: Client, now: float) -> bytes | Seal | None:
        """Weighs the replies to whoever's address may be forged."""
        if client.transport != "udp":
            return None
        network_ = self._networks.get(client.address)
        if network_ is None:
            network_ = self._network(client.address)
        if not network_:
            return None
        cookies: Knowing | None = self.site.beside.get("cookies")
        if cookies is not None and cookies.knows(packet, client):
            return None
        return partial(self._weigh, network_, now)

    def _network(self, address: bytes) -> bytes:
        if any(ip_address(address) in net for net in self._exempt):
            found = b""
        else:
            spare = 8 * len(address) - self._widths[len(address) == 16]
            cut = int.from_bytes(address, "big") >> spare << spare
            found = cut.to_bytes(len(address), "big")
        if len(self._networks) >= KEPT:
            self._networks.clear()
        self._networks[address] = found
        return found

    def _weigh(self, network_: bytes, now: float, reply: bytes) -> bytes:
        """The reply, a short one in its place, or none."""
        kind = kind_of(reply)
        if self._buckets[kind].takes(network_, now):
            return reply
        if self._is_quiet:
            self._count(kind, "logged")
            return reply
        self._slips += 1
        if self._slip and not self._slips % self._slip:
            self._count(kind, "cut")
            return shortened(reply)
        self._count(kind, "dropped")
        return SILENCE

    def _count(self, kind: str, what: str) -> None:
        self.site.counters.add("kdns_ratelimit_total", self.site.label, kind, what)


def kind_of(reply: bytes) -> str:
    """What a reply is counted as."""
    rcode = reply[3] & 0xF
    if rcode == types.NOERROR:
        return ANSWERS if reply[6] or reply[7] else DENIALS
    return DENIALS if rcode == types.NXDOMAIN else ERRORS


def shortened(reply: bytes) -> bytes:
    """The header and question of a reply, marked as cut: asked by TCP, all of it is said."""
    count = reply[5]
    end = skip_name(reply, 12) + 4 if count else 12
    head = reply[:2] + bytes((reply[2] | types.TC >> 8, reply[3])) + bytes((0, count)) + bytes(6)
    return head + reply[12:end]
