"""A server with a fault is caught at the fault's clause and at no other, and a right one passes.

Every fault is tried on every clause. So that this does not take minutes, the right server is asked
once, clause by clause: a fault that changes nothing of what a clause sends and hears cannot change
its verdict, and the clause is not run again for it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdns.conformance import rfc7766
from kdns.conformance.catalogue import GROUPS
from kdns.conformance.clauses import Clause, Verdict
from kdns.conformance.run import judge
from kdns.conformance.survey import survey
from kdns.conformance.target import Target
from tests.serving import Serving
from tests.suite import faults_kubernetes, faults_rfc, faults_wire, right
from tests.suite.planted import RIGHT, Exchange, Fault, Planted, asking

RFC = (*faults_rfc.FAULTS, *faults_wire.FAULTS)
FAULTS = (*RFC, *faults_kubernetes.SPECIFICATION)
CLAUSES = {
    clause.id: clause
    for group in GROUPS
    for clause in group.clauses
    if not any(need == "objects" or need.startswith("client:") for need in clause.needs)
}
"""All but those that change objects, and those that run clients."""
AT_ONCE = 12


@dataclass(frozen=True)
class Bench:
    """A right server, and what it is asked and answers for each clause."""

    serving: Serving
    target: Target
    heard: dict[str, list[Exchange]]

    @asynccontextmanager
    async def planted(self, fault: Fault) -> AsyncIterator[tuple[Planted, Target]]:
        """The same with a fault."""
        async with asking(self.serving, fault) as server:
            yield server, server.seen_by(self.target)

    async def caught(self, fault: Fault) -> set[str]:
        """The clauses that fail with it."""
        async with self.planted(fault) as (server, target):
            found = await survey(target)
            tried = [
                one
                for one in CLAUSES.values()
                if one.id == fault.clause or any(map(fault.shows, self.heard[one.id]))
            ]
            verdicts = [await judge("", one, found) for one in tried]
        return failed(verdicts) | set(map(repr, server.errors))


def failed(verdicts: Sequence[Verdict]) -> set[str]:
    """Their ids; a check that broke is none of them."""
    assert not [one.why for one in verdicts if one.outcome == "error"]
    return {one.clause.id for one in verdicts if one.outcome == "failed"}


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Waiting for no more than it must."""
    monkeypatch.setattr(rfc7766, "_IDLE_S", 0.9)
    monkeypatch.setattr(rfc7766, "_MANY", 40)
    async with right.of_files(tmp_path, "bufsize 1232\n loadbalance") as (serving, target):
        yield Bench(serving, target, {})


async def passes(bench: Bench) -> None:
    """Tries every clause on the right server, and keeps what was said."""
    async with bench.planted(RIGHT) as (server, target):
        found = await survey(target)
        for clause in CLAUSES.values():
            server.heard.clear()
            verdict = await judge("", clause, found)
            assert verdict.outcome in {"passed", "skipped"}, verdict
            assert verdict.outcome == "passed" or not clause.id.startswith("rfc"), verdict
            bench.heard[clause.id] = list(server.heard)
        assert not server.errors


@pytest.mark.slow
async def test_each_fault_is_caught_at_its_clause_and_at_no_other(bench: Bench) -> None:
    await passes(bench)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(fault: Fault) -> tuple[str, set[str]]:
        async with gate:
            return fault.clause, await bench.caught(fault)

    found = await asyncio.gather(*map(one, FAULTS))
    odd = [fault for fault, each in zip(FAULTS, found, strict=True) if each[1] != {each[0]}]
    again = [await one(fault) for fault in odd]  # alone: the machine is busy, and some have clocks
    assert [each for each in again if each[1] != {each[0]}] == []


def test_every_clause_of_the_rfcs_has_a_fault() -> None:
    clauses: list[Clause] = [one for one in CLAUSES.values() if one.id.startswith("rfc")]
    assert {fault.clause for fault in RFC} == {one.id for one in clauses}
