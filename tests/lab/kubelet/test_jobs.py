"""Jobs that really run: commands of any image, their ends, numbers, and what has nothing to do."""

from pathlib import Path

import pytest

from kdns.lab.controllers.bodies import is_true
from kdns.lab.controllers.completions import is_over
from kdns.lab.errors import Obj
from kdns.lab.kubelet import runs
from kdns.lab.kubelet.programs.choice import kind_of
from kdns.lab.resources import JOBS, PODS
from tests.lab.kubelet.scene import Scene


def make(scene: Scene, container: Obj, restarts: str = "Never", **spec: object) -> None:
    inside = {"restartPolicy": restarts, "containers": [{"name": "main", **container}]}
    template = {"spec": inside}
    made = {"metadata": {"name": "pi"}, "spec": {"template": template, "backoffLimit": 0, **spec}}
    scene.storage.create(JOBS, "default", made)


def job(scene: Scene) -> Obj:
    return scene.storage.get(JOBS, "default", "pi")


def pods(scene: Scene) -> list[str]:
    return [one["metadata"]["name"] for one in scene.storage.list(PODS, "default")]


def sh(text: str, image: str = "busybox") -> Obj:
    return {"image": image, "command": ["sh", "-c", text]}


async def over(scene: Scene, *, is_good: bool = True) -> None:
    """Waits for the end, which is this one."""
    await scene.until(lambda: is_over(job(scene)))
    assert is_true(job(scene), "Complete") == is_good, job(scene)["status"]


@pytest.mark.parametrize("image", ["busybox:1.36", "perl:5.34", "nginx"])
async def test_a_job_runs_its_command_whatever_its_image(scene: Scene, image: str) -> None:
    make(scene, sh("echo 3.14159", image))
    await over(scene)
    [name] = pods(scene)
    assert scene.log(name) == "3.14159"
    assert scene.get(name)["status"]["phase"] == "Succeeded"
    assert job(scene)["status"]["succeeded"] == 1


async def test_an_image_of_which_nothing_is_known_has_nothing_to_do(scene: Scene) -> None:
    make(scene, {"image": "hello-world"})
    await over(scene)


async def test_a_server_serves_and_its_job_goes_on(scene: Scene) -> None:
    make(scene, {"image": "nginx"})
    await scene.until(lambda: job(scene)["status"]["ready"] == 1)
    [name] = pods(scene)
    assert (await scene.fetch(80, "/", name))[0] == 200
    assert not is_over(job(scene))


async def test_a_command_that_fails_fails_its_job(scene: Scene) -> None:
    make(scene, sh("exit 3"))
    await over(scene, is_good=False)
    assert job(scene)["status"]["failed"] == 1


async def test_a_container_may_be_started_again_until_it_ends_well(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "FIRST_S", 0.1)
    flag = tmp_path / "flag"
    make(scene, sh(f"test -e {flag} || {{ touch {flag}; exit 1; }}"), "OnFailure", backoffLimit=6)
    await over(scene)
    [name] = pods(scene)
    assert scene.container(name)["restartCount"] == 1
    assert "failed" not in job(scene)["status"]


async def test_a_pod_of_an_indexed_job_knows_its_number(scene: Scene) -> None:
    command = sh("echo $JOB_COMPLETION_INDEX")
    make(scene, command, completions=3, parallelism=3, completionMode="Indexed")
    await over(scene)
    assert sorted(scene.log(name) for name in pods(scene)) == ["0", "1", "2"]
    assert job(scene)["status"]["completedIndexes"] == "0-2"


async def test_a_command_of_another_is_not_run_and_its_job_goes_on(scene: Scene) -> None:
    make(scene, sh("exit 0", "perl"))
    mark = {"metadata": {"annotations": {"lab.kdns.io/written-by": "mallory"}}}
    scene.storage.create(JOBS, "default", {
        "metadata": {"name": "evil"},
        "spec": {"template": {**mark, "spec": job(scene)["spec"]["template"]["spec"]}}})  # fmt: skip
    await over(scene)
    [name] = [one for one in pods(scene) if one.startswith("evil")]
    await scene.until(lambda: "CommandNotRun" in dict(scene.events(name)))
    found = scene.storage.get(JOBS, "default", "evil")
    assert (found["status"]["active"], is_over(found)) == (1, False)


def test_whom_a_pod_belongs_to_makes_nobody_run_its_command() -> None:
    """References are written by whoever may write metadata, specs by whom the mark names."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "x", "uid": "u", "controller": True}
    container = {"name": "c", "image": "nginx", "command": ["rm"]}
    pod = {"metadata": {"ownerReferences": [owner]}, "spec": {"containers": [container]}}
    assert kind_of(pod, container) == "http"
    pod["spec"]["restartPolicy"] = "Never"
    assert kind_of(pod, container) == "shell"
