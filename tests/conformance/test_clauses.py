"""kdns, as a process with the usual Corefile, holds every clause of the RFCs of `kdns conformance`."""

import asyncio

import pytest

from kdns.conformance.catalogue import GROUPS
from kdns.conformance.clauses import Clause
from kdns.conformance.run import judge
from kdns.conformance.survey import survey
from kdns.conformance.target import Target
from tests.conformance.server import Server

BROKEN = {
    "rfc9715-unfragmented": "without bufsize the asker's size counts, as with CoreDNS",
}
"""What we do not hold, and why: the failures are what we mean."""


def parameters() -> list:
    return [
        pytest.param(
            clause,
            id=clause.id,
            marks=[pytest.mark.xfail(reason=BROKEN[clause.id], strict=True)]
            if clause.id in BROKEN
            else [],
        )
        for group in GROUPS
        for clause in group.clauses
        if clause.id.startswith("rfc")
    ]


@pytest.fixture(scope="session")
def target(server: Server) -> Target:
    """The server, and what it has."""
    return asyncio.run(
        survey(
            Target(server.host, server.port, f"{server.zone}.", f"{server.name}.", f"{server.big}.")
        )
    )


@pytest.mark.parametrize("clause", parameters())
def test_kdns_holds(target: Target, clause: Clause) -> None:
    verdict = asyncio.run(judge("", clause, target))
    assert verdict.outcome == "passed", f"expected {verdict.expected}, seen: {verdict.seen}"
