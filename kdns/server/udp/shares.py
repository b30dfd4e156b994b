"""What clients send becomes what each may: max-min fair shares of what can be answered.

Who sends less than the fair level is served in full; who sends more is served up to it. Those who
are held back are few and named; where they are too many (addresses of one block, forged ones), they
are judged by wider networks, and at last all that is not named is thinned alike. Where a handful
want nearly all, they get so little that the others need not wait for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WIDTHS: Final = ((32, 128), (24, 56))
"""Bits of a client network, IPv4 and IPv6: an address, and what is judged where they are many."""
MOST_NAMED: Final = 64
"""Networks that are held back by name: more would make the kernel's filter slow."""

FEW: Final = 8
"""So many cause an overload at most; where more do, it is simply too much that is asked."""
FULL: Final = 0.95
"""The part of what can be answered that clients get together: with more, a queue never ends."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is let through of whose packets."""

    widths: tuple[int, int] = WIDTHS[0]
    passes: Mapping[bytes, float] | None = None
    """By network, as `network` cuts it: the part that is let through."""
    rest: float = 1.0
    """The part of all others that is."""

    def of(self, address: bytes) -> float:
        """What is let through of the packets of an address."""
        if self.passes is None:
            return self.rest
        return self.passes.get(network(address, self.widths), self.rest)


FREE: Final = Verdict()
"""Everything is let through."""


def network(address: bytes, widths: tuple[int, int]) -> bytes:
    """The part of a packed address that says the network; its length tells IPv4 from IPv6."""
    return address[: widths[0] // 8] if len(address) == 4 else address[: widths[1] // 8]


def judge(demands: Mapping[bytes, float], capacity: float, share: float) -> Verdict:
    """Shares what can be answered among addresses, by what each sends in the same span of time.

    All of it, nearly; or `share` of it, where the surplus is that of a few.
    """
    verdict = _judged(demands, capacity * FULL)
    if verdict.passes and len(verdict.passes) <= FEW:
        return _judged(demands, capacity * share)
    return verdict


def _judged(demands: Mapping[bytes, float], room: float) -> Verdict:
    verdict = FREE
    for widths in WIDTHS:
        wanted: dict[bytes, float] = {}
        for address, demand in demands.items():
            key = network(address, widths)
            wanted[key] = wanted.get(key, 0.0) + demand
        if len(wanted) < 2:
            break  # nobody to protect
        fair = level(list(wanted.values()), room)
        heavy = [key for key, demand in wanted.items() if demand > fair]
        if verdict is FREE or len(heavy) <= MOST_NAMED:
            verdict = _named(wanted, heavy, fair, room, widths)
        if len(heavy) <= MOST_NAMED:
            break
    return verdict


def level(demands: list[float], room: float) -> float:
    """The most that one may have, so that all together have no more than `room`."""
    left, count = room, len(demands)
    for demand in sorted(demands):
        if demand * count > left:
            return left / count
        left -= demand
        count -= 1
    return float("inf")


def _named(
    wanted: Mapping[bytes, float],
    heavy: list[bytes],
    fair: float,
    room: float,
    widths: tuple[int, int],
) -> Verdict:
    """Holds the heaviest to the fair level; thins the others if that is not enough."""
    if not heavy:
        return FREE
    named = sorted(heavy, key=wanted.__getitem__, reverse=True)[:MOST_NAMED]
    passes = {key: fair / wanted[key] for key in named}
    left = sum(wanted.values()) - sum([wanted[key] for key in named])
    rest = (room - fair * len(named)) / left if len(heavy) > MOST_NAMED and left else 1.0
    return Verdict(widths, passes, min(max(rest, 0.0), 1.0))
