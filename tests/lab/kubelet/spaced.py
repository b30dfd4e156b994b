"""Pods in network namespaces of their own: `python -m tests.lab.kubelet.spaced` says as JSON what
it saw."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from kdns.lab.ground.enter import inside
from kdns.lab.ground.outside import Outside
from kdns.lab.ground.spaces import Spaces
from tests.lab.kubelet.scene import Scene, playing

ASK = "import socket; s = socket.create_connection((%r, 80), 5); print(s.getsockname()[0], s.getpeername()[0])"


async def seen() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with playing(Path(folder), ground=Spaces()) as scene:
            return await _seen(scene)


async def _seen(scene: Scene) -> dict[str, Any]:
    look = {
        "exec": {"command": ["cat", "/tmp/healthy"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
        "initialDelaySeconds": 1,
    }
    get = {"httpGet": {"port": 80}, "periodSeconds": 1}
    scene.pod("web", readinessProbe=get)
    await scene.ready()
    ask = [sys.executable, "-c", ASK % scene.address()]
    scene.pod("asker", restartPolicy="Never", image="busybox", command=ask)
    make = [
        "sh",
        "-c",
        "hostname; touch /tmp/healthy; sleep 1.5; rm /tmp/healthy; trap '' TERM; sleep 60",
    ]
    scene.pod("moody", image="busybox", command=make, livenessProbe=look, restartPolicy="Never")
    await scene.until(lambda: scene.get("asker")["status"]["phase"] == "Succeeded")
    await scene.until(lambda: scene.get("moody")["status"]["phase"] == "Failed")
    found = {
        "ready": scene.get()["status"]["containerStatuses"][0]["ready"],
        "web": scene.address(),
        "asker": scene.address("asker"),
        "said": scene.log("asker").split(),
        "probed by": scene.log().split()[0],
        "node": scene.get()["status"]["hostIP"],
        "moody": [scene.log("moody"), dict(scene.events("moody"))["Unhealthy"]],
        "code": scene.container("moody")["state"]["terminated"]["exitCode"],
    }
    scene.delete()
    await scene.until(lambda: not scene.storage.find(scene.pods, "default", "web"))
    return {**found, "left": [one.address for one in scene.ground.listeners.open]}


def _run(outside: Outside) -> int:
    del outside
    sys.stdout.write(json.dumps(asyncio.run(seen())))
    return 0


if __name__ == "__main__":
    sys.exit(inside(_run))
