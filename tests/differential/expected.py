"""The differences from CoreDNS that we mean: each with its reason, and the cases it explains.

An entry explains fields of a reply, and only in cases where its predicate holds. Every entry must
be seen in a full run; one that is never seen is dead and is reported.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.differential import packets
from tests.differential.compare import Case


@dataclass(frozen=True)
class Expected:
    """A difference we mean."""

    name: str
    reason: str
    covers: frozenset[str]
    """The fields it explains; empty for all."""
    holds: Callable[[Case], bool]


def _flags(case: Case) -> int:
    return int.from_bytes(case.asked.packet[2:4], "big")


def _recursion(case: Case) -> bool:
    """We set RA exactly for RD=1 where the listener forwards the root."""
    wants = bool(_flags(case) & packets.RD) and case.config.has_root_forward
    return bool(case.our_fields.get("RA")) == wants


EXPECTED = (
    Expected(
        "ra",
        "RA tells whether this listener recurses for the asker, on every reply alike: without it "
        "BIND's nslookup warns and goes on to the next server (issue 1)",
        frozenset({"RA"}),
        _recursion,
    ),
)


def explain(case: Case) -> tuple[set[str], list[str]]:
    """The differing fields that nothing explains, and the names of what explained the others."""
    left, names = set(case.differing), []
    for expected in EXPECTED:
        mine = left & (expected.covers or left)
        if mine and expected.holds(case):
            left -= mine
            names.append(expected.name)
    return left, names


def accepts(corefile: str, theirs: bool) -> str:
    """The name of the reason why kdns judges a Corefile otherwise than CoreDNS; empty for none."""
    return ""
