"""Commands that run in pods for real: their output, end, terminal, and whose are not run."""

import os
from pathlib import Path

import pytest

from kdns.lab.kubelet import runs
from kdns.lab.kubelet.console import Console
from kdns.lab.kubelet.journal import Record
from kdns.lab.resources import CONFIGMAPS
from kdns.lab.storage import Deletion
from tests.lab.kubelet.scene import Scene


def shell(*command: str, **more: object) -> dict[str, object]:
    return {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", *command], **more}


async def test_a_command_runs_and_its_output_is_the_log(scene: Scene) -> None:
    scene.pod("job", restartPolicy="Never", containers=[
        shell("echo $(WHO); echo failure >&2; exit 3", env=[{"name": "WHO", "value": "me"}])
    ])  # fmt: skip
    await scene.until(lambda: scene.get("job")["status"]["phase"] == "Failed")
    state = scene.container("job")["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (3, "Error")
    assert sorted(scene.log("job").split()) == ["failure", "me"]
    assert not scene.ground.stand_of(scene.address("job"))  # its place is gone


async def test_what_ends_well_has_succeeded_and_leaves_the_endpoints(
    scene: Scene, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    scene.service("job", 8080)
    scene.pod("job", restartPolicy="OnFailure", containers=[
        shell(f"until test -e {flag}; do sleep 0.05; done; echo done")
    ])  # fmt: skip
    await scene.ready("job")
    await scene.until(lambda: scene.endpoints() == [scene.address("job")])
    flag.touch()
    await scene.until(lambda: scene.get("job")["status"]["phase"] == "Succeeded")
    ready = next(one for one in scene.get("job")["status"]["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "PodCompleted")
    assert scene.container("job")["state"]["terminated"]["reason"] == "Completed"
    await scene.until(lambda: not scene.endpoints())


async def test_what_ends_always_is_started_again_later_each_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "FIRST_S", 0.3)
    scene.pod("job", containers=[shell("echo run; exit 1")])
    await scene.until(lambda: scene.container("job")["restartCount"] >= 1)
    await scene.until(lambda: "waiting" in scene.container("job")["state"])
    one = scene.container("job")
    assert one["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert one["lastState"]["terminated"]["exitCode"] == 1
    assert scene.get("job")["status"]["phase"] == "Running"
    assert ("BackOff", "Back-off restarting failed container main in pod job") in scene.events(
        "job"
    )
    await scene.until(lambda: scene.container("job")["restartCount"] >= 2)
    assert scene.log("job", previous=True) == "run"


def test_backoff_doubles_to_half_a_minute() -> None:
    assert [runs.backoff_s(one) for one in range(1, 9)] == [0, 1, 2, 4, 8, 16, 30, 30]


async def test_a_command_that_is_not_there_says_so(scene: Scene) -> None:
    scene.pod("job", restartPolicy="Never", image="busybox", command=["no-such-thing"])
    await scene.until(lambda: scene.get("job")["status"]["phase"] == "Failed")
    state = scene.container("job")["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (127, "StartError")
    assert 'exec: "no-such-thing": executable file not found in $PATH' in state["message"]


async def test_an_environment_that_cannot_be_made_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "FIRST_S", 0.1)
    scene.pod("job", restartPolicy="Never", containers=[
        shell("echo $A", envFrom=[{"configMapRef": {"name": "words"}}])
    ])  # fmt: skip
    await scene.until(lambda: "Error" in scene.container("job")["state"]["waiting"]["reason"])
    waiting = scene.container("job")["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert 'configmap "words" not found' in waiting["message"]
    scene.storage.create(CONFIGMAPS, "default", {"metadata": {"name": "words"}, "data": {"A": "x"}})
    await scene.until(lambda: scene.get("job")["status"]["phase"] == "Succeeded")
    assert scene.log("job") == "x"


async def test_attaching_shows_what_was_written_and_gives_input(scene: Scene) -> None:
    said = 'echo ready; read word; echo "got $word"; exit 4'
    scene.pod("tmp", restartPolicy="Never", containers=[shell(said, stdin=True, tty=True)])
    await scene.until(lambda: "ready" in scene.log("tmp"))
    console = scene.consoles.find(scene.get("tmp")["metadata"]["uid"], "main")
    assert console
    assert console.is_terminal
    assert console.has_input
    console.resize(40, 100)
    seen = b""
    async for stream, piece in console.follow():
        assert stream == 1
        seen += piece
        if seen.endswith(b"ready\r\n"):
            await console.write(b"hello\n")
    assert seen.endswith(b"got hello\r\n")
    assert await console.ended() == 4
    await scene.until(lambda: scene.get("tmp")["status"]["phase"] == "Failed")


async def test_without_a_terminal_input_has_an_end_and_errors_their_own_stream(
    scene: Scene,
) -> None:
    scene.pod("tmp", restartPolicy="Never", containers=[shell("cat >&2", stdin=True)])
    await scene.until(lambda: scene.container("tmp")["state"].get("running"))
    console = scene.consoles.find(scene.get("tmp")["metadata"]["uid"], "main")
    assert console
    await console.write(b"text\n")
    console.end_input()
    assert [one async for one in console.follow()] == [(2, b"text\n")]
    with pytest.raises(BrokenPipeError):
        await console.write(b"more")


async def test_a_flood_of_output_leaves_the_loop_to_others(scene: Scene) -> None:
    scene.pod("flood", image="busybox", command=["yes"])
    scene.pod("web")
    await scene.ready("web", "flood")
    assert (await scene.fetch())[0] == 200
    assert scene.log("flood").startswith("y\ny\n")


async def test_a_pod_whose_command_somebody_else_wrote_sleeps(scene: Scene, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    touch = shell(f"touch {flag}", env=[{"name": "BASH_ENV", "value": f"touch {flag}"}])
    probe = {"exec": {"command": ["touch", str(flag)]}, "periodSeconds": 1}
    scene.pod("bad", trusted=False, initContainers=[{**touch, "name": "first"}], containers=[
        {**touch, "livenessProbe": probe, "readinessProbe": probe, "startupProbe": probe,
         "lifecycle": {"postStart": {"exec": {"command": ["touch", str(flag)]}}}},
        {"name": "web", "image": "nginx"},
    ])  # fmt: skip
    await scene.ready("bad")
    assert not flag.exists()
    told = dict(scene.events("bad"))
    assert "was written by mallory and is not run" in told["CommandNotRun"]
    assert "counts as passed" in told["ProbeWarning"]
    assert "is not run" in scene.log("bad")
    scene.delete("bad")
    await scene.until(lambda: not scene.storage.find(scene.pods, "default", "bad"))
    assert not flag.exists()


async def test_a_container_that_is_stopped_at_once_leaves_nothing_open(scene: Scene) -> None:
    before = len(os.listdir("/proc/self/fd"))
    command = ["sh", "-c", "sleep 5"]
    scene.pod("web", image="busybox", command=command, stdin=True)
    await scene.until(scene.address)
    scene.storage.delete(scene.pods, "default", "web", Deletion(grace_s=0))
    await scene.until(lambda: not scene.ground._stands)
    console = Console({"tty": True, "stdin": True}, Record(scene.storage.now))
    console.close(1)
    console.close(2)
    assert await console.ended() == 1
    assert [one async for one in console.follow()] == []
    most = before + 1  # the warden's pipe
    await scene.until(lambda: len(os.listdir("/proc/self/fd")) <= most)
