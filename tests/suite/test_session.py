"""A run in a cluster: what it makes, what it leaves, what it does without rights, what it may do."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdns.conformance import wanted, workshop
from kdns.conformance.api import PATHS, Api, ApiError, Identity, kubeconfig
from kdns.conformance.catalogue import GROUPS, choose
from kdns.conformance.clauses import Verdict
from kdns.conformance.objects import Objects
from kdns.conformance.session import Session
from kdns.conformance.target import Target
from kdns.lab.lab import Lab
from kdns.lab.resources import NAMESPACES, SERVICES
from tests.suite import right

TOP = Path(__file__).parents[2]
KUBERNETES = choose(GROUPS, ["k8s-*"], [])
FEW = choose(GROUPS, ["k8s-service-*", "k8s-new-service"], [])


def services(lab: Lab, space: str = "") -> list[str]:
    found = lab.storage.list(SERVICES, space)
    return [one["metadata"]["name"] for one in found]


def runs(lab: Lab) -> list[str]:
    """The namespaces of runs that are there, and not about to go."""
    found = lab.storage.list(NAMESPACES)
    return [
        one["metadata"]["name"] for one in found
        if one["metadata"]["name"].startswith(wanted.NAMESPACE) and "deletionTimestamp" not in one["metadata"]
    ]  # fmt: skip


async def test_it_passes_on_kdns_and_leaves_nothing(tmp_path: Path) -> None:
    async with right.of_lab(tmp_path) as (lab, config, serving):
        target = Target(right.HOST, serving.port(), right.ZONE)
        report = await Session(KUBERNETES).run(target, identity=kubeconfig(config))
        failed = [one for one in report.verdicts if one.outcome not in {"passed", "skipped"}]
        assert [one.clause.id for one in failed] == []
        skipped = {one.clause.id for one in report.verdicts if one.outcome == "skipped"}
        assert all("search" in one or one in {"k8s-ra", "k8s-e2e-digit"} for one in skipped)
        assert not runs(lab)


async def test_the_rights_of_the_job_are_those_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: set[tuple[str, str]] = set()
    send = Api._send

    async def recorded(self: Api, method: str, where: str, *rest: Any, **more: Any) -> Any:
        calls.add((method, where))
        return await send(self, method, where, *rest, **more)

    monkeypatch.setattr(Api, "_send", recorded)
    async with right.of_lab(tmp_path) as (_, config, serving):
        target = Target(right.HOST, serving.port(), right.ZONE)
        await Session(KUBERNETES).run(target, identity=kubeconfig(config))
        async with Api(kubeconfig(config)) as api:
            await workshop.look(api)
    verbs = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "GET": "list"}
    used = {
        ("discovery.k8s.io" if "discovery" in where else "", resource(where), verbs[method])
        for method, where in calls
    }
    job = list(yaml.safe_load_all((TOP / "config" / "conformance-job.yaml").read_text()))
    [role] = [one for one in job if one["kind"] == "ClusterRole"]
    allowed = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert used == allowed


def resource(where: str) -> str:
    """What a path is about."""
    return next(
        plural
        for plural in ("endpointslices", "services", "namespaces")
        if re.search(rf"/{plural}\b", where)
    )


async def test_a_killed_run_s_namespace_is_swept_and_others_are_not(tmp_path: Path) -> None:
    async with Lab() as lab, Api(kubeconfig(lab.kubeconfig(tmp_path / "config"))) as api:
        labels = {"app.kubernetes.io/managed-by": "kdns-conformance"}
        for name, marks in (
            ("kdns-conformance-0a1b2c", labels),
            ("kdns-conformance", labels),
            ("kdns-conformance-ffffff", {}),
        ):
            await api.create(wanted.namespace(name) | {"metadata": {"name": name, "labels": marks}})
        now = datetime.now(UTC)
        assert await workshop.sweep(api, now + timedelta(minutes=59)) == []
        assert await workshop.sweep(api, now + timedelta(minutes=61)) == ["kdns-conformance-0a1b2c"]
        assert runs(lab) == ["kdns-conformance", "kdns-conformance-ffffff"]


async def test_without_the_right_to_make_objects_the_cluster_s_own_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Api.create

    async def refused(self: Api, body: Any) -> Any:
        if body["kind"] == "Namespace":
            raise ApiError(403, 'namespaces is forbidden: User "reader" cannot create')
        return await create(self, body)

    async with right.of_lab(tmp_path) as (lab, config, serving):
        lab.storage.create(SERVICES, "default", service("shop"))
        monkeypatch.setattr(Api, "create", refused)
        target = Target(right.HOST, serving.port(), right.ZONE)
        report = await Session(FEW).run(target, identity=kubeconfig(config))
    by_id = {one.clause.id: one for one in report.verdicts}
    assert by_id["k8s-service-srv"].outcome == "passed"
    assert by_id["k8s-service-aaaa"].outcome == "skipped"
    assert "may not make objects" in by_id["k8s-new-service"].why
    assert any("may not make objects" in remark for remark in report.remarks)


async def test_what_changed_between_being_read_and_asked_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, seen = workshop.look, []

    async def late(client: Api) -> Objects:
        """The first time, addresses that the service had before."""
        found = await look(client)
        seen.append(found)
        if len(seen) > 1:
            return found
        before = (replace(one, cluster_ips=("10.96.9.9",)) for one in found.services)
        return replace(found, services=tuple(before))

    async def refused(self: Api, body: Any) -> Any:
        raise ApiError(403, "forbidden")

    monkeypatch.setattr(workshop, "look", late)
    monkeypatch.setattr(Api, "create", refused)
    async with right.of_lab(tmp_path) as (_, config, serving):
        target = Target(right.HOST, serving.port(), right.ZONE)
        report = await Session(FEW).run(target, identity=kubeconfig(config))
    assert len(seen) == 2
    by_id = {one.clause.id: one.outcome for one in report.verdicts}
    assert by_id["k8s-service-a"] == by_id["k8s-service-ptr"] == "passed"


def service(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": "10.96.7.7", "ports": [{"name": "http", "port": 80}]},
    }


async def test_a_cluster_that_says_nothing_leaves_the_rest_to_be_tried(tmp_path: Path) -> None:
    async with right.of_lab(tmp_path) as (lab, _, serving):
        target = Target(right.HOST, serving.port(), right.ZONE)
        nobody = Identity(lab.url, "Bearer nobody")
        report = await Session(choose(GROUPS, ["k8s-s*"], [])).run(target, identity=nobody)
    by_id: dict[str, Verdict] = {one.clause.id: one for one in report.verdicts}
    assert by_id["k8s-schema-version"].outcome == "passed"
    assert "cannot be read" in by_id["k8s-service-a"].why


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_run_that_is_stopped_cleans_up(tmp_path: Path, number: int) -> None:
    async with right.of_lab(tmp_path) as (lab, config, serving):
        command = [
            sys.executable, "-m", "kdns", "conformance", "--server", f"127.0.0.1:{serving.port()}",
            "--kubeconfig", str(config), "--only", "k8s-moved",
        ]  # fmt: skip
        running = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}
        )
        async with asyncio.timeout(60):
            while not any("moved" in services(lab, space) for space in runs(lab)):
                await asyncio.sleep(0.01)
            running.send_signal(number)
            out, errors = await running.communicate()
        assert running.returncode == 1
        assert (out, errors) == (b"", b"kdns conformance: stopped; what it had made is deleted\n")
        assert not runs(lab)


async def test_a_stopped_run_that_cannot_clean_up_ends_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_: Api, kind: str, namespace: str, name: str) -> None:
        raise ApiError(403, f"may not delete {name}")

    monkeypatch.setattr(Api, "delete", refused)
    async with right.of_lab(tmp_path) as (lab, config, serving):
        target = Target(right.HOST, serving.port(), right.ZONE)
        session = Session(choose(GROUPS, ["k8s-moved"], []))
        running = asyncio.create_task(session.run(target, identity=kubeconfig(config)))
        async with asyncio.timeout(60):
            while not any("moved" in services(lab, space) for space in runs(lab)):
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError, match="not cleaned up: namespace kdns-conf"):
                await running


async def test_a_namespace_that_nobody_says_was_made_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Api.create

    async def unheard(self: Api, body: Any) -> Any:
        await create(self, body)
        raise ApiError(0, "no answer within 20 s")

    monkeypatch.setattr(Api, "create", unheard)
    async with right.of_lab(tmp_path) as (lab, config, serving):
        target = Target(right.HOST, serving.port(), right.ZONE)
        report = await Session(FEW).run(target, identity=kubeconfig(config))
        assert not runs(lab)
    assert "none were made: no answer within 20 s" in report.remarks


async def test_objects_that_cannot_be_read_again_end_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, seen = workshop.look, []

    async def once(client: Api) -> Objects:
        if seen:
            raise ApiError(500, "etcd is gone")
        seen.append(await look(client))
        return Objects(tuple(replace(one, cluster_ips=("10.96.9.9",)) for one in seen[0].services))

    async def refused(self: Api, body: Any) -> Any:
        raise ApiError(403, "forbidden")

    monkeypatch.setattr(workshop, "look", once)
    monkeypatch.setattr(Api, "create", refused)
    async with right.of_lab(tmp_path) as (_, config, serving):
        target = Target(right.HOST, serving.port(), right.ZONE)
        report = await Session(FEW).run(target, identity=kubeconfig(config))
    assert "what failed was not tried again: etcd is gone" in report.remarks


def test_paths_are_those_of_the_api() -> None:
    assert set(PATHS) == {"Namespace", "Service", "EndpointSlice"}
