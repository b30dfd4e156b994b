"""How clauses are tried: their limits, their outcomes, and how few are in flight."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kdns.conformance import case as cases
from kdns.conformance.case import Case
from kdns.conformance.catalogue import UnknownError, choose
from kdns.conformance.clauses import Group, Skipped, Verdict
from kdns.conformance.objects import Objects, Service
from kdns.conformance.run import AT_ONCE, run
from kdns.conformance.survey import SilentError, learn, survey
from kdns.conformance.target import Target
from tests.running import free_port

NOBODY = Target("127.0.0.1", 1, "cluster.local.")


class Script(asyncio.DatagramProtocol):
    """Answers each datagram as a function says, or not at all."""

    def __init__(self, reply: Callable[[bytes], bytes | None]) -> None:
        self.reply = reply
        self.came: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.came.append(data)
        if (reply := self.reply(data)) is not None:
            self.transport.sendto(reply, addr)


@asynccontextmanager
async def scripted(
    reply: Callable[[bytes], bytes | None],
) -> AsyncIterator[tuple[Target, Script]]:
    loop, port = asyncio.get_running_loop(), free_port()
    transport, script = await loop.create_datagram_endpoint(
        lambda: Script(reply), ("127.0.0.1", port)
    )
    try:
        yield Target("127.0.0.1", port, "cluster.local."), script
    finally:
        transport.close()


def answered(query: bytes) -> bytes:
    """The query as an empty reply to it."""
    return query[:2] + b"\x80\0" + query[4:]


async def judged(check: Any, target: Target = NOBODY, **terms: Any) -> Verdict:
    group = Group("one")
    group.clause("the-one", "A rule.", "RFC 0", **terms)(check)
    [verdict] = await run([group], target)
    return verdict


async def asks(case: Case) -> None:
    await case.ask("web.cluster.local.")


async def test_only_a_time_out_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "PATIENCE_S", 0.05)
    left = [None, None, answered]

    def replies(query: bytes) -> bytes | None:
        now = left.pop(0)
        if left == [answered]:  # this one comes, however long others have the machine
            monkeypatch.setattr(cases, "PATIENCE_S", 40)
        return now and now(query)

    async with scripted(replies) as (target, script):
        verdict = await judged(asks, target)
        assert verdict.outcome == "passed"
        assert len(script.came) == 3
        assert len(set(script.came)) == 1, "the same query each time"
    monkeypatch.setattr(cases, "PATIENCE_S", 0.05)
    async with scripted(lambda _: None) as (target, script):
        verdict = await judged(asks, target)
    assert (verdict.outcome, verdict.expected) == ("failed", "a reply")
    assert [one.reply for one in verdict.evidence] == ["no reply"] * 3
    assert "web.cluster.local." in verdict.evidence[0].question
    closed = await judged(asks, Target("127.0.0.1", free_port(), "cluster.local."))
    assert (closed.outcome, len(closed.evidence)) == ("failed", 1)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda query: query, "a reply (QR set)"),
        (lambda query: query[:2] + b"\x80\0", "a DNS message"),
        (lambda query: answered(query) + b"", ""),
    ],
)
async def test_what_comes_must_be_a_reply(reply: Callable[[bytes], bytes], said: str) -> None:
    async with scripted(reply) as (target, _):
        verdict = await judged(asks, target)
    assert verdict.expected == said


async def test_a_reply_with_another_id_is_waited_past() -> None:
    class Both(Script):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(b"zz" + answered(data)[2:], addr)
            super().datagram_received(data, addr)

    loop, port = asyncio.get_running_loop(), free_port()
    transport, _ = await loop.create_datagram_endpoint(lambda: Both(answered), ("127.0.0.1", port))
    verdict = await judged(asks, Target("127.0.0.1", port, "cluster.local."))
    transport.close()
    assert verdict.outcome == "passed"


async def test_a_clause_ends_at_its_limit() -> None:
    async def sleeps(_: Case) -> None:
        await asyncio.sleep(60)

    verdict = await judged(sleeps, limit_s=0.02)
    assert (verdict.outcome, verdict.expected) == ("failed", "all of it within 0.02 s")


async def test_a_broken_check_is_no_verdict_on_the_server() -> None:
    async def breaks(_: Case) -> None:
        raise KeyError("oops")

    verdict = await judged(breaks)
    assert (verdict.outcome, verdict.why) == ("error", "KeyError: 'oops'")


async def test_what_is_needed_and_not_there_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def skips(case: Case) -> None:
        case.note("one")
        raise Skipped("not here")

    assert (await judged(skips)).why == "not here"
    assert (await judged(skips)).notes == ("one",)
    assert "--kubeconfig" in (await judged(skips, needs=("objects",))).why
    refused = Target("127.0.0.1", 1, ".", reasons={"objects": "it is forbidden"})
    assert (await judged(skips, refused, needs=("objects",))).why == "it is forbidden"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    lacking = await judged(skips, needs=("client:dig",))
    assert lacking.why.startswith("dig is not installed here")


async def test_few_clauses_are_in_flight_and_verdicts_keep_their_order() -> None:
    now, most = 0, 0

    async def counts(case: Case) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1

    group = Group("many")
    for number in range(20):
        group.clause(f"the-{number}", "A rule.", "RFC 0")(counts)
    verdicts = await run([group], NOBODY)
    assert [one.clause.id for one in verdicts] == [one.id for one in group.clauses]
    assert most == AT_ONCE


async def test_who_answers_nothing_is_told_so_at_once() -> None:
    with pytest.raises(SilentError, match="refused"):
        await survey(Target("127.0.0.1", free_port(), "cluster.local."))


def test_clauses_are_chosen_by_id_and_pattern() -> None:
    group = Group("g")
    for name in ("a-one", "a-two", "b-one"):
        group.clause(name, "A rule.", "RFC 0")(asks)

    def left(only: list[str], skip: list[str]) -> list[str]:
        return [one.id for each in choose([group], only, skip) for one in each.clauses]

    assert left([], []) == ["a-one", "a-two", "b-one"]
    assert left(["a-*"], ["*-two"]) == ["a-one"]
    assert left(["b-one"], ["b-one"]) == []
    with pytest.raises(UnknownError, match="is b-one meant"):
        left(["b-on"], [])


async def test_names_that_get_no_reply_do_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "PATIENCE_S", 0.2)
    plain = Service("default", "web", "ClusterIP")

    def without_addresses(query: bytes) -> bytes | None:
        return answered(query) if b"\0\0\x06\0\x01" in query else None  # SOA

    async with scripted(without_addresses) as (target, _):
        assert (await survey(target)).name == ""
        known, count = await learn(replace(target, objects=Objects((plain,))))
    assert (known.objects.services, count) == ((plain,), 1)
