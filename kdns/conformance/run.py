"""Tries clauses on a target, a few at a time, and says what came of each, in their order."""

import asyncio
from collections.abc import Sequence

from kdns.conformance.case import Case
from kdns.conformance.clauses import Clause, Failed, Group, Outcome, Skipped, Verdict
from kdns.conformance.target import Target

AT_ONCE = 4
"""Clauses in flight: a server in production is asked politely."""


async def run(groups: Sequence[Group], target: Target) -> list[Verdict]:
    """The verdicts on all clauses of these groups."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(group: Group, clause: Clause) -> Verdict:
        async with gate:
            return await judge(group.title, clause, target)

    return await asyncio.gather(
        *(one(group, clause) for group in groups for clause in group.clauses)
    )


async def judge(group: str, clause: Clause, target: Target) -> Verdict:
    """The verdict on one clause."""
    for need in sorted(clause.needs):
        if why := target.lacks(need):
            return Verdict(clause, group, "skipped", why=why)
    case = Case(target)
    began = asyncio.get_running_loop().time()

    def verdict(outcome: Outcome, expected: str = "", seen: str = "", why: str = "") -> Verdict:
        took = asyncio.get_running_loop().time() - began
        kept = tuple(case.notes), tuple(case.evidence)
        return Verdict(clause, group, outcome, expected, seen, why, *kept, took)

    try:
        async with asyncio.timeout(clause.limit_s):
            await clause.check(case)
    except Failed as failed:
        return verdict("failed", failed.expected, failed.seen)
    except Skipped as skipped:
        return verdict("skipped", why=str(skipped))
    except TimeoutError:
        expected = f"all of it within {clause.limit_s:g} s"
        return verdict("failed", expected, f"unfinished after {len(case.evidence)} questions")
    except Exception as error:
        return verdict("error", why=f"{type(error).__name__}: {error}")
    return verdict("passed")
