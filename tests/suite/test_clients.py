"""Real clients pass on a right server, and each tells when what it is asked for goes wrong."""

import asyncio
from pathlib import Path

import pytest

from kdns.conformance import room
from kdns.conformance.clauses import Clause, Skipped, Verdict
from kdns.conformance.clients import CLIENTS, GROUP
from kdns.conformance.run import judge
from kdns.conformance.survey import survey
from kdns.conformance.target import Target, lacks_client
from kdns.wire import types
from tests.suite import right
from tests.suite.edits import changed, every, name, rcode, tcp, type_, where, without
from tests.suite.faults_kubernetes import shortened
from tests.suite.planted import RIGHT, Fault, asking

FAULTS = {
    "a": where(every(name("web."), type_("A")), without("answer", "A")),
    "srv": where(type_("SRV"), without("answer", "SRV")),
    "ptr": where(type_("PTR"), without("answer", "PTR")),
    "cname": where(type_("CNAME"), without("answer", "CNAME")),
    "missing": where(name("missing-"), rcode(types.NOERROR)),
    "tcp": where(every(name("many."), type_("A"), tcp), changed(shortened)),
}
QUICK = ("dig", "busybox", "cares")
"""Those that take no time to start."""


async def tried(target: Target, clauses: list[Clause]) -> list[Verdict]:
    """The verdicts on some clauses, side by side."""
    return await asyncio.gather(*(judge("", one, target) for one in clauses))


@pytest.mark.slow
async def test_every_client_that_is_here_passes_on_a_right_server(tmp_path: Path) -> None:
    async with right.of_files(tmp_path) as (serving, target), asking(serving, RIGHT) as server:
        found = await survey(server.seen_by(target))
        verdicts = await tried(found, GROUP.clauses)
    failed = [one for one in verdicts if one.outcome not in {"passed", "skipped"}]
    assert failed == []
    skipped = {one.clause.id: one.why for one in verdicts if one.outcome == "skipped"}
    if skipped:
        pytest.skip(str(skipped))


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
async def test_a_client_tells_when_its_look_up_goes_wrong(tmp_path: Path, kind: str) -> None:
    here = [client for client in QUICK if not lacks_client(client)]
    if len(here) < len(QUICK):
        pytest.skip(f"of {QUICK} only {here} are installed")
    clauses = [one for one in GROUP.clauses if one.id.split("-")[1] in here]
    async with (
        right.of_files(tmp_path) as (serving, target),
        asking(serving, Fault("", FAULTS[kind])) as server,
    ):
        verdicts = await tried(await survey(server.seen_by(target)), clauses)
    failed = {one.clause.id for one in verdicts if one.outcome == "failed"}
    assert failed == {one.id for one in clauses if one.id.endswith(f"-{kind}")}


def test_every_kind_of_look_up_has_its_fault() -> None:
    assert set(FAULTS) == {kind for client in CLIENTS for kind in client.kinds}


async def test_a_client_that_is_missing_is_skipped_with_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    target = Target("127.0.0.1", 9, "cluster.local.", has=frozenset({"name"}))
    [verdict] = await tried(target, [one for one in GROUP.clauses if one.id == "client-dig-a"])
    assert verdict.outcome == "skipped"
    assert verdict.why == "dig is not installed here (apt install bind9-dnsutils)"


async def test_without_namespaces_getent_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Skipped, match="asks another server, and has no unshare"):
        async with room.opened(Target("192.0.2.1", 5353, "cluster.local.")):
            pass
