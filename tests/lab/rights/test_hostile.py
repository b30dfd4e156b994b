"""What somebody who may do everything, but is not the admin, writes runs nowhere on this machine.

A lab on loopback addresses whose pods really run: each way of writing a command leaves a file where
it would run. The admin's own commands do run, else the rest would claim nothing.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kdns.lab.doors.rooms import Rooms
from kdns.lab.errors import Obj
from kdns.lab.ground.loopback import Loopback
from kdns.lab.inside.furnished import Furnished
from kdns.lab.kubelet.console import Consoles
from kdns.lab.kubelet.journal import Journal
from kdns.lab.kubelet.kubelet import Kubelet
from kdns.lab.kubelet.logs import PodLogs
from kdns.lab.kubelet.member import Parts
from kdns.lab.lab import Lab
from kdns.lab.resources import EVENTS, PODS
from kdns.lab.stage import Stage, Staging
from kdns.lab.storage import Storage
from kdns.lab.tokens import Tokens
from tests.lab.kubelet.scene import ranges
from tests.lab.rights.people import account, asking
from tests.lab.serving import Client

CORE, APPS = "/api/v1/namespaces/default", "/apis/apps/v1/namespaces/default"
BATCH = "/apis/batch/v1/namespaces/default"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


@asynccontextmanager
async def played(folder: Path) -> AsyncIterator[Lab]:
    """A lab whose pods run on addresses of their own."""
    folder.mkdir()
    ground = Loopback()
    ground.ranges = ranges()

    def stage(storage: Storage, tokens: Tokens) -> Stage:
        insides = Furnished(storage, ground, tokens, folder=folder)
        journal, consoles = Journal(storage.now), Consoles()
        parts = Parts(ground, insides, journal, consoles)
        rooms = Rooms(storage, ground, insides, consoles)
        logs = PodLogs(storage, journal)
        return Stage(ground, insides, logs, rooms, lambda desk: Kubelet(desk, parts))

    try:
        async with Lab(staging=Staging(stage, (), ground.ranges)) as lab:
            yield lab
    finally:
        ground.close()


def pod(name: str, *command: str, image: str = "busybox", **words: Any) -> Obj:
    container = {"name": "c", "image": image, **({"command": command} if command else {}), **words}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


def deployment(name: str, *command: str) -> Obj:
    inside = pod(name, *command)
    template = {"metadata": {"labels": {"app": name}}, "spec": inside["spec"]}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template, "replicas": 1}
    metadata = {"name": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def job(name: str, *command: str) -> Obj:
    spec = {**pod(name, *command)["spec"], "restartPolicy": "Never"}
    inside = {"template": {"metadata": {}, "spec": spec}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": inside}


def cronjob(name: str, *command: str, **words: Any) -> Obj:
    spec = {"schedule": "@every 1s", "jobTemplate": {"spec": job(name, *command)["spec"]}, **words}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


async def sent(
    who: Client, method: str, path: str, body: Obj, media: str = "application/json"
) -> None:
    code, reply = await who.ask(method, path, json.dumps(body).encode(), Content_Type=media)
    assert code in {200, 201}, reply


async def attacked(bot: Client, touch: Any) -> None:
    """Every way there is to write a command."""
    probe = {"exec": {"command": touch("probe")}, "periodSeconds": 1}
    await sent(bot, "POST", f"{CORE}/pods", pod("a", *touch("command")))
    forged = pod("b", *touch("applied"))
    await sent(bot, "PATCH", f"{CORE}/pods/b?fieldManager=kubectl", forged, APPLY)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        await sent(bot, "POST", f"{CORE}/pods", pod(name.lower(), image="nginx", **{name: probe}))
    hooks = {"postStart": {"exec": {"command": touch("hook")}}}
    await sent(bot, "POST", f"{CORE}/pods", pod("hooks", image="nginx", lifecycle=hooks))
    first = pod("first", image="nginx")
    first["spec"]["initContainers"] = [{"name": "i", "image": "busybox", "command": touch("first")}]
    await sent(bot, "POST", f"{CORE}/pods", first)
    await sent(bot, "POST", f"{APPS}/deployments", deployment("d", *touch("deployment")))
    template = {"spec": {"template": {"spec": deployment("mine", *touch("patched"))["spec"][
        "template"]["spec"]}}}  # fmt: skip
    await sent(bot, "PATCH", f"{APPS}/deployments/mine", template, MERGE)
    back = {"spec": {"template": {"metadata": {"annotations": None}}}}
    await sent(bot, "PATCH", f"{APPS}/deployments/mine", back, MERGE)
    await sent(bot, "POST", f"{BATCH}/jobs", job("job", *touch("job")))
    await sent(bot, "POST", f"{BATCH}/cronjobs", cronjob("cron", *touch("cron")))
    await sent(bot, "POST", f"{BATCH}/cronjobs", cronjob("idle", *touch("from"), suspend=True))
    await sent(
        bot,
        "PATCH",
        f"{BATCH}/cronjobs/beat",
        cronjob("beat", *touch("beat"), suspend=False),
        MERGE,
    )
    bend = {"data": {"BASH_ENV": f"$({' '.join(touch('bent'))})", "LD_PRELOAD": "/tmp/x.so"}}
    await sent(bot, "PATCH", f"{CORE}/configmaps/words", bend, MERGE)


@asynccontextmanager
async def attack(folder: Path, *, is_admin: bool) -> AsyncIterator[tuple[Lab, Client, Path]]:
    """Everything tried by somebody; the folder is where commands leave their traces."""
    traces = folder / "traces"
    traces.mkdir()

    def touch(name: str) -> tuple[str, ...]:
        return "touch", str(traces / name)

    async with played(folder / "inside") as lab:
        token = lab.token if is_admin else account(lab, "bot", role="cluster-admin")
        async with asking(lab, lab.token) as admin, asking(lab, token) as bot:
            words = {"metadata": {"name": "words"}, "data": {"A": "b"}}
            await sent(admin, "POST", f"{CORE}/configmaps", words)
            await sent(admin, "POST", f"{APPS}/deployments", deployment("mine", "sleep", "60"))
            beat = cronjob("beat", "sleep", "60", suspend=True)
            await sent(admin, "POST", f"{BATCH}/cronjobs", beat)
            await attacked(bot, touch)
            idle = await admin.get(f"{BATCH}/cronjobs/idle")
            by_hand = {**job("from"), "spec": idle["spec"]["jobTemplate"]["spec"]}
            await sent(admin, "POST", f"{BATCH}/jobs", by_hand)  # as kubectl does with --from
            await sent(admin, "POST", f"{CORE}/pods", pod("control", *touch("control")))
            taken = {"envFrom": [{"configMapRef": {"name": "words"}}]}
            bent = pod("bent", "bash", "-c", "exit", image="bash", **taken)
            await sent(admin, "POST", f"{CORE}/pods", bent)
            yield lab, bot, traces


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
async def test_each_of_these_ways_is_one_for_the_admin(tmp_path: Path) -> None:
    ways = {"command", "applied", "probe", "first", "deployment", "patched", "bent", "control"}
    ways |= {"job", "cron", "from", "beat"}
    async with attack(tmp_path, is_admin=True) as (_, _, traces), asyncio.timeout(40):
        while not {path.name for path in traces.iterdir()} >= ways:
            await asyncio.sleep(0.05)


async def test_nothing_of_what_a_mighty_stranger_writes_runs(tmp_path: Path) -> None:
    expected = {"a", "b", "livenessprobe", "readinessprobe", "startupprobe", "first", "d", "mine"}
    expected |= {"job", "cron", "from", "beat"}
    async with attack(tmp_path, is_admin=False) as (lab, bot, traces):

        def refused() -> set[str]:
            told = [one for one in lab.storage.list(EVENTS) if "is not run" in one["message"]]
            return {one["involvedObject"]["name"].partition("-")[0] for one in told}

        async with asyncio.timeout(40):
            while not (refused() >= expected and (traces / "control").exists()):
                await asyncio.sleep(0.05)
        for one in lab.storage.list(PODS):
            path = f"{CORE}/pods/{one['metadata']['name']}/exec?command=id&stdout=1"
            assert (await bot.ask("POST", path, b""))[0] == 403
    assert [path.name for path in traces.iterdir()] == ["control"]
