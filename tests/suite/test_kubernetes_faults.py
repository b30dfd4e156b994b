"""A server that breaks a clause on Kubernetes is caught at that clause and at no other."""

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
from kdns.conformance.clauses import Group, Verdict
from kdns.conformance.run import run
from kdns.conformance.target import Target
from kdns.plugins.base import Client
from tests.conformance.resolver import Resolver
from tests.serving import Serving
from tests.suite import right
from tests.suite.faults_kubernetes import RECURSING, SPECIFICATION
from tests.suite.planted import RIGHT, Fault, Planted

STATIC = [
    kubernetes.GROUP, kubernetes_services.GROUP, kubernetes_headless.GROUP,
    kubernetes_services.EXTERNAL, kubernetes_stub.GROUP,
]  # fmt: skip
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

    async def ask(packet: bytes, tcp: bool) -> bytes | None:
        client = Client(b"\x7f\0\0\1", 0, "tcp" if tcp else "udp", b"\x7f\0\0\1", 53)
        pipeline = serving.service.pipeline(router, whole=tcp)
        return await pipeline.respond(packet, client, serving.services.clock())

    async with Planted(ask) as server:
        yield server


async def caught(server: Planted, target: Target, fault: Fault, groups: list[Group]) -> set[str]:
    """The clauses that fail with a fault."""
    server.fault = fault
    verdicts = await run(groups, replace(target, port=server.port))
    assert not outcomes(verdicts, "error"), verdicts
    return outcomes(verdicts, "failed")


@pytest.mark.slow
async def test_each_fault_is_caught_at_its_clause_and_at_no_other(tmp_path: Path) -> None:
    async with right.of_files(tmp_path) as (serving, target), planted(serving) as server:
        assert await caught(server, target, RIGHT, STATIC) == set()
        for fault in SPECIFICATION:
            assert await caught(server, target, fault, STATIC) == {fault.clause}


async def test_each_fault_of_a_server_that_recurses_is_caught(tmp_path: Path) -> None:
    with Resolver() as upstream:
        async with (
            right.of_files(tmp_path, f"forward . {upstream.address}") as (serving, target),
            planted(serving) as server,
        ):
            target = replace(target, has=target.has | {"recursion"})
            assert await caught(server, target, RIGHT, STATIC) == set()
            for fault in RECURSING:
                assert await caught(server, target, fault, STATIC) == {fault.clause}


def test_every_clause_has_its_fault() -> None:
    named = [fault.clause for fault in (*SPECIFICATION, *RECURSING)]
    assert len(named) == len(set(named))
    assert set(named) | ELSEWHERE == ids(STATIC)
    assert set(CHANGES) | {"k8s-e2e-digit"} == ids([kubernetes_changes.GROUP])
