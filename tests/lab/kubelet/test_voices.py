"""What the images of well-known tutorials answer in pods."""

import pytest

from kdns.lab.kubelet.programs import voices
from kdns.lab.kubelet.programs.images import cast_of, tag_of
from tests.lab.kubelet.scene import Scene

SAID = [
    ("google-samples/hello-app:2.0", [], 8080, "/", "Hello, world!\nVersion: 2.0.0\nHostname: web\n"),
    ("serve_hostname", [], 9376, "/", "web\n"),
    ("kubernetes-bootcamp:v2", [], 8080, "/", "Hello Kubernetes bootcamp! | Running on: web | v=2\n"),
    ("agnhost:2.40", ["netexec"], 8080, "/hostname", "web\n"),
    ("agnhost:2.40", ["liveness"], 8080, "/healthz", "ok\n"),
]  # fmt: skip


@pytest.mark.parametrize(("image", "args", "port", "path", "text"), SAID)
async def test_images_of_tutorials_say_what_their_pages_show(
    scene: Scene, image: str, args: list[str], port: int, path: str, text: str
) -> None:
    scene.pod("web", image=f"registry.example/{image}", args=args)
    await scene.ready()
    assert await scene.fetch(port, path=path) == (200, text)


async def test_echoserver_tells_the_address_of_the_client(scene: Scene) -> None:
    scene.pod("web", image="registry.example/echoserver:1.10")
    await scene.ready()
    code, text = await scene.fetch(8080, path="/a?b")
    assert code == 200
    assert f"client_address={scene.client}\n" in text
    assert "real path=/a?b\n" in text


async def test_an_annotation_outdoes_the_image(scene: Scene) -> None:
    annotations = {"lab.kdns.io/answers": "mine"}
    scene.pod("web", image="registry.example/hello-app:1.0", annotations=annotations)
    await scene.ready()
    assert await scene.fetch(8080) == (200, "mine\n")


async def test_the_liveness_image_fails_after_a_while_and_starts_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices, "HEALTHY_S", 0.2)
    probe = {
        "httpGet": {"path": "/healthz", "port": 8080},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    scene.pod("web", image="registry.example/agnhost:2.40", args=["liveness"], livenessProbe=probe)
    await scene.until(lambda: scene.container()["restartCount"] >= 1)
    assert any("statuscode: 500" in message for _, message in scene.events())


def test_tags_are_no_ports_of_registries() -> None:
    assert tag_of("registry.example:5000/a/hello-app") == ""
    assert tag_of("registry.example:5000/a/hello-app:1.0@sha256:00") == "1.0"
    assert cast_of("radial/busyboxplus:curl").kind == "shell"
