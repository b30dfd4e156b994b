"""What the suite is made of: clauses in groups, and how one fails or is skipped.

A module of clauses makes its `Group` and registers each check with `@GROUP.clause(…)`; the groups
stand in their order in `kdns.conformance.catalogue`. A check asks through its Case, and returns
when the clause holds.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from kdns.wire import shown
from kdns.wire.message import WireError
from kdns.wire.parse import parse

if TYPE_CHECKING:
    from kdns.conformance.case import Case

Level = Literal["must", "should"]
Outcome = Literal["passed", "failed", "skipped", "error"]
Check = Callable[["Case"], Awaitable[None]]

LIMIT_S = 5.0
"""How long a clause may take that declares no other limit."""


class Failed(Exception):
    """The server breaks the clause: what was expected, and what came."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}, seen: {seen}")
        self.expected = expected
        self.seen = seen


class Skipped(Exception):
    """The clause cannot be tried here, and why."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule and the check that tries it."""

    id: str
    """Lower case, with its group's prefix: `k8s-srv-named-port`, `rfc6891-badvers`."""
    title: str
    """The rule in one sentence: what a server does that obeys it."""
    source: str
    """`Kubernetes DNS spec 1.1.0 §2.3.1`, `RFC 2181 §5.2`."""
    check: Check
    level: Level = "must"
    needs: frozenset[str] = frozenset()
    """What must be there, else it is skipped; the words of `target.NEEDS`, or `client:dig`."""
    limit_s: float = LIMIT_S


@dataclass(frozen=True, slots=True)
class Group:
    """Clauses that belong together, in the order they were written."""

    title: str
    clauses: list[Clause] = field(default_factory=list)

    def clause(
        self,
        id_: str,
        title: str,
        source: str,
        *,
        level: Level = "must",
        needs: tuple[str, ...] = (),
        limit_s: float = LIMIT_S,
    ) -> Callable[[Check], Check]:
        """Registers the function below as the clause's check."""

        def register(check: Check) -> Check:
            made = Clause(id_, title, source, check, level, frozenset(needs), limit_s)
            self.clauses.append(made)
            return check

        return register


@dataclass(frozen=True, slots=True)
class Evidence:
    """One packet that was sent, and what came back."""

    packet: bytes
    came: bytes | None
    took_s: float
    transport: str

    @property
    def question(self) -> str:
        """As dig would show it."""
        return _shown(self.packet)

    @property
    def reply(self) -> str:
        """As dig would show it."""
        return "no reply" if self.came is None else _shown(self.came)


def _shown(packet: bytes) -> str:
    try:
        return shown.show(parse(packet))
    except (WireError, ValueError) as error:
        return f"{len(packet)} octets, unreadable ({error}): {packet[:64].hex()}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a clause."""

    clause: Clause
    group: str
    outcome: Outcome
    expected: str = ""
    seen: str = ""
    why: str = ""
    """Why it was skipped, or what went wrong with the suite itself."""
    notes: tuple[str, ...] = ()
    """Figures that the check measured."""
    evidence: tuple[Evidence, ...] = ()
    took_s: float = 0.0
