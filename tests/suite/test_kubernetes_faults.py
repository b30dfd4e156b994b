"""A server that recurses, or whose cluster changes, is caught at the clause that it breaks alone.

Faults of all others are in test_planted.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kdns.conformance import (
    kubernetes,
    kubernetes_changes,
    kubernetes_headless,
    kubernetes_services,
    kubernetes_stub,
)
from kdns.conformance.api import kubeconfig
from kdns.conformance.clauses import Group, Verdict
from kdns.conformance.run import run
from kdns.conformance.session import Session
from kdns.conformance.target import Target
from kdns.plugins.base import Client
from kdns.wire import types
from tests.conformance.resolver import Resolver
from tests.serving import Serving
from tests.suite import right
from tests.suite.edits import name, rcode, where
from tests.suite.faults_kubernetes import RECURSING, SPECIFICATION
from tests.suite.planted import RIGHT, Edit, Fault, Planted, Said

STATIC = [
    kubernetes.GROUP, kubernetes_services.GROUP, kubernetes_headless.GROUP,
    kubernetes_services.EXTERNAL, kubernetes_stub.GROUP,
]  # fmt: skip
LOCAL = b"\x7f\0\0\1"
ELSEWHERE = {"k8s-kubernetes-default"}
"""Tried without known objects, below."""


def ids(groups: list[Group]) -> set[str]:
    return {clause.id for group in groups for clause in group.clauses}


def outcomes(verdicts: list[Verdict], outcome: str) -> set[str]:
    return {verdict.clause.id for verdict in verdicts if verdict.outcome == outcome}


@asynccontextmanager
async def planted(serving: Serving) -> AsyncIterator[Planted]:
    """A proxy in front of a right server."""
    [router] = serving.service.assembly.routers.values()
    pipelines = [serving.service.pipeline(router, whole=tcp) for tcp in (False, True)]
    clients = [Client(LOCAL, 0, transport, LOCAL, 53) for transport in ("udp", "tcp")]

    async def ask(packet: bytes, tcp: bool) -> bytes | None:
        return await pipelines[tcp].respond(packet, clients[tcp], serving.services.clock())

    async with Planted(ask) as server:
        yield server


async def caught(server: Planted, target: Target, fault: Fault, groups: list[Group]) -> set[str]:
    """The clauses that fail with a fault."""
    server.fault = fault
    verdicts = await run(groups, replace(target, port=server.port))
    assert not outcomes(verdicts, "error"), verdicts
    return outcomes(verdicts, "failed")


async def test_each_fault_of_a_server_that_recurses_is_caught(tmp_path: Path) -> None:
    with Resolver() as upstream:
        async with (
            right.of_files(tmp_path, f"forward . {upstream.address}") as (serving, target),
            planted(serving) as server,
        ):
            recursing = replace(target, has=target.has | {"recursion"})
            assert await caught(server, recursing, RIGHT, STATIC) == set()
            for fault in RECURSING:
                assert await caught(server, recursing, fault, STATIC) == {fault.clause}


def test_every_clause_has_its_fault() -> None:
    named = [fault.clause for fault in (*SPECIFICATION, *RECURSING)]
    assert len(named) == len(set(named))
    assert set(named) | ELSEWHERE == ids(STATIC)
    assert set(CHANGES) | {"k8s-e2e-digit"} == ids([kubernetes_changes.GROUP])


# Changes: faults of a server that does not follow them


def never(start: str) -> Edit:
    """A name that is denied for ever."""
    return where(name(start), rcode(types.NXDOMAIN))


def kept(start: str, good: int) -> Edit:
    """A name whose answer stays what it was after some right ones."""
    said: list[bytes] = []

    def edit(now: Said) -> bytes:
        if len(said) < good:
            said.append(now.reply[2:])
        return now.reply[:2] + said[-1] if len(said) >= good else now.reply

    return where(name(start), edit)


def flickering(start: str) -> Edit:
    """A name that loses an answer for a moment, long after it was first right."""
    seen: list[int] = []

    def edit(now: Said) -> bytes:
        seen.append(now.reply[7])
        return rcode(types.SERVFAIL)(now) if seen.count(2) == 3 else now.reply

    return where(name(start), edit)


CHANGES = {
    "k8s-new-service": never("fresh."),
    "k8s-new-service-after-denial": kept("awaited.", 1),
    "k8s-scaled": kept("scaled.", 1),
    "k8s-readiness": kept("shaky.", 1),
    "k8s-moved": flickering("moved."),
    "k8s-deleted": kept("doomed.", 1),
    "k8s-e2e-external-name": kept("changing.", 1),
    "k8s-e2e-headless-subdomain": never("querier."),
}


@pytest.mark.slow
async def test_a_server_that_does_not_follow_a_change_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_changes, "BOUND_S", 0.3)
    monkeypatch.setattr(kubernetes_changes, "EVENTUALLY_S", 0.3)
    monkeypatch.setattr(kubernetes_changes, "WATCHED_S", 0.2)
    async with right.of_lab(tmp_path) as (_, config, serving), planted(serving) as server:
        for clause, edit in {"": RIGHT.edit, **CHANGES}.items():
            server.fault = Fault(clause, edit=edit)
            session = Session([kubernetes_changes.GROUP])
            target = Target(right.HOST, server.port, right.ZONE)
            report = await session.run(target, identity=kubeconfig(config))
            assert outcomes(list(report.verdicts), "failed") == {clause} - {""}
            assert report.remarks[-1].startswith("the objects of the suite were served after")


async def test_a_cluster_without_kubernetes_default_is_caught(tmp_path: Path) -> None:
    async with right.of_files(tmp_path) as (_, target):
        known = await run([kubernetes.GROUP], target)
        unknown = await run([kubernetes.GROUP], replace(target, objects=None, has=frozenset()))
    assert "k8s-kubernetes-default" in outcomes(known, "skipped")
    assert outcomes(unknown, "failed") == {"k8s-kubernetes-default"}
