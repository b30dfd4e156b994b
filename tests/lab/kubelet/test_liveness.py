"""What a liveness probe does to a container: it serves on for a moment, ends, and starts anew."""

import pytest

from kdns.lab.kubelet import probing, runs
from tests.lab.kubelet.scene import Scene


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes come more often than a manifest can say, and starts are sooner."""
    monkeypatch.setattr(probing, "_period_s", lambda _: 0.1)
    monkeypatch.setattr(runs, "FIRST_S", 0.2)


def live(port: int | str = 80) -> dict[str, object]:
    return {"httpGet": {"path": "/live", "port": port}, "periodSeconds": 1, "failureThreshold": 1}


async def test_a_liveness_probe_that_fails_starts_the_container_anew(scene: Scene) -> None:
    scene.pod("web", livenessProbe=live("http"),
              ports=[{"containerPort": 80, "name": "http"}])  # fmt: skip
    await scene.ready()
    for _ in range(3):
        await scene.fetch()
    began = scene.container()["state"]["running"]["startedAt"]
    scene.annotate(fails="/live")
    await scene.until(lambda: scene.container()["restartCount"] >= 1)
    scene.annotate(fails="")
    await scene.ready()
    one = scene.container()
    assert one["lastState"]["terminated"]["exitCode"] == 137
    assert one["state"]["running"]["startedAt"] >= began
    told = scene.events()
    assert ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500") in told
    assert ("Killing", "Container main failed liveness probe, will be restarted") in told
    assert "Requests:  4" not in (await scene.fetch())[1]
    assert "500" in scene.log(previous=True)


async def test_what_liveness_gives_up_serves_on_until_its_endpoint_has_gone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LAST_S", 30.0)
    scene.service()
    scene.pod("web", livenessProbe=live(), ports=[{"containerPort": 80}])
    await scene.until(lambda: scene.endpoints() == [scene.address()])
    scene.annotate(fails="/live")
    await scene.until(lambda: not scene.endpoints())
    assert scene.container()["restartCount"] == 0
    assert (await scene.fetch())[0] == 200


@pytest.mark.parametrize(("trap", "code"), [("exit 5", 5), ("", 137)])
async def test_a_command_that_is_given_up_is_asked_to_end_and_then_ended(
    scene: Scene, trap: str, code: int
) -> None:
    command = ["sh", "-c", f"trap '{trap}' TERM; while :; do sleep 0.05; done"]
    look = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 3}
    scene.pod("web", image="busybox", command=command, livenessProbe=look, restartPolicy="Never")
    await scene.until(lambda: scene.get()["status"]["phase"] == "Failed")
    assert scene.container()["state"]["terminated"]["exitCode"] == code
