"""Pods from their place to their end: commands, restarts, init containers, what cannot be had."""

import errno
from pathlib import Path

import pytest

from kdns.lab.ground.base import Stand
from kdns.lab.kubelet import runs
from kdns.lab.kubelet.programs.base import Exit
from kdns.lab.resources import PODS
from tests.lab.kubelet.scene import Scene, playing


def shell(*command: str, **more: object) -> dict[str, object]:
    return {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", *command], **more}


async def test_init_containers_run_one_after_the_other(scene: Scene, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    wait = f"until test -e {flag}; do sleep 0.05; done; echo first"
    scene.pod("web", initContainers=[
        {**shell(wait), "name": "wait"},
        {"name": "other", "image": "some/thing"},
        {**shell("echo second"), "name": "next"},
    ], containers=[{"name": "main", "image": "nginx"}])  # fmt: skip
    await scene.until(lambda: scene.get()["status"]["initContainerStatuses"][0]["state"]["running"])
    assert scene.get()["status"]["phase"] == "Pending"
    condition = {one["type"]: one for one in scene.get()["status"]["conditions"]}["Initialized"]
    assert condition["message"] == "containers with incomplete status: [wait other next]"
    with pytest.raises(ConnectionRefusedError):
        await scene.connect(80)
    flag.touch()
    await scene.ready()
    first = scene.get()["status"]["initContainerStatuses"]
    assert [one["state"]["terminated"]["exitCode"] for one in first] == [0, 0, 0]
    assert scene.log("web", "wait") == "first"
    assert scene.log("web", "next") == "second"


@pytest.mark.parametrize("word", ["containers", "initContainers"])
async def test_a_pod_begins_once_policies_know_it(scene: Scene, word: str) -> None:
    said: list[str] = []

    def settles() -> int:
        said.append(scene.log("web", "first"))
        return 21 - len(said)

    scene.settles = settles
    scene.pod("web", **{word: [{**shell("echo begun"), "name": "first"}]})
    await scene.until(lambda: scene.log("web", "first") == "begun")
    assert set(said[:21]) == {""}


async def test_an_init_container_that_fails_for_good_fails_the_pod(scene: Scene) -> None:
    scene.pod("web", restartPolicy="Never", initContainers=[{**shell("exit 2"), "name": "init"}])
    await scene.until(lambda: scene.get()["status"]["phase"] == "Failed")


async def test_a_port_that_two_containers_want_is_had_by_the_first(scene: Scene) -> None:
    ports = [{"containerPort": 8080}]
    scene.pod("web", containers=[
        {"name": "a", "image": "nginx", "ports": ports},
        {"name": "b", "image": "httpd", "ports": ports},
    ])  # fmt: skip
    await scene.until(
        lambda: scene.container("web", 1)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    )
    assert "bind: address already in use" in scene.log("web", "b")
    assert "Container: a" in (await scene.fetch(8080))[1]


async def test_a_crash_by_annotation_stops_what_runs(scene: Scene) -> None:
    scene.pod("web")
    await scene.ready()
    scene.annotate(crash="true")
    await scene.until(lambda: scene.container()["state"].get("waiting"))
    with pytest.raises(ConnectionRefusedError):
        await scene.connect(80)
    scene.annotate(crash="false")
    await scene.ready()
    assert scene.container()["restartCount"] == 1
    assert (await scene.fetch())[0] == 200


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_phase_by_annotation_ends_it(scene: Scene, phase: str) -> None:
    scene.pod("web")
    await scene.ready()
    scene.annotate(phase=phase)
    await scene.until(lambda: scene.get()["status"]["phase"] == phase)
    assert not scene.ground.listeners.open


async def test_a_place_that_cannot_be_had_is_tried_again_while_others_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdns.lab.kubelet.kubelet.FIRST_S", 0.1)
    put_up, refused = scene.ground.put_up, [True]

    def refusing(stand: Stand) -> None:
        if stand.name == "default/web" and refused[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        put_up(stand)

    monkeypatch.setattr(scene.ground, "put_up", refusing)
    scene.pod("web")
    scene.pod("other")
    await scene.ready("other")
    failed = ("FailedCreatePodSandBox", "Failed to create pod sandbox: No space left on device")
    assert failed in scene.events()
    assert scene.get()["status"]["phase"] == "Pending"
    refused[0] = False
    await scene.ready()
    assert scene.address() != scene.address("other")


async def test_an_address_outside_the_pods_range_is_not_given(scene: Scene) -> None:
    scene.pod("web", annotations={"lab.kdns.io/address": str(scene.ground.ranges.dns)})
    await scene.until(lambda: any("Failed" in reason for reason, _ in scene.events()))
    assert "is no address of the pods' range" in dict(scene.events())["FailedCreatePodSandBox"]


async def test_an_address_that_another_pod_has_is_given_once_that_has_gone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdns.lab.kubelet.kubelet.FIRST_S", 0.1)
    scene.pod("web")
    await scene.ready()
    address = scene.address()
    scene.pod("other", annotations={"lab.kdns.io/address": address})
    await scene.until(lambda: any("Failed" in reason for reason, _ in scene.events("other")))
    said = dict(scene.events("other"))["FailedCreatePodSandBox"]
    assert said.endswith(f"{address} is the address of pod default/web")
    scene.delete("web")
    await scene.ready("other")
    assert scene.address("other") == address


async def test_an_annotation_that_makes_no_sense_keeps_no_pod_from_its_end(scene: Scene) -> None:
    scene.pod("web", annotations={"lab.kdns.io/stop-after": "later"})
    await scene.ready()
    scene.delete("web")
    await scene.until(lambda: scene.storage.find(PODS, "default", "web") is None)


async def test_a_lab_that_starts_again_starts_its_pods_again(tmp_path: Path) -> None:
    async with playing(tmp_path) as scene:
        scene.pod("web")
        await scene.ready()
    async with playing(tmp_path, scene.storage) as scene:
        await scene.until(lambda: scene.container()["restartCount"] == 1)
        await scene.ready()
        assert (await scene.fetch())[0] == 200


async def test_all_ends_with_the_pod(scene: Scene) -> None:
    scene.pod("web", containers=[
        {"name": "main", "image": "nginx"},
        {**shell("trap '' TERM; while :; do sleep 0.1; done"), "name": "side"},
    ])  # fmt: skip
    await scene.ready()
    uid, address = scene.get()["metadata"]["uid"], scene.address()
    console = scene.consoles.find(uid, "side")
    assert console
    scene.delete()
    await scene.until(lambda: not scene.storage.find(scene.pods, "default", "web"))
    assert await console.ended() != 0
    await scene.until(lambda: scene.journal.find(uid, "main") is None)
    assert scene.consoles.find(uid, "side") is None
    assert scene.ground.stand_of(address) is None
    assert not scene.ground.listeners.open


def test_a_run_says_why_it_ended() -> None:
    assert runs.Past(Exit(0), 0, 1).reason == "Completed"
    assert runs.Past(Exit(1), 0, 1).reason == "Error"
    assert runs.Past(Exit(127, "StartError"), 0, 1).reason == "StartError"
