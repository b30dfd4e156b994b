"""A loop of connections to a service while its pods come and go: none fails, none goes astray."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kdns.lab.errors import Obj
from kdns.lab.history import Watch
from kdns.lab.proxy.proxy import Proxy
from kdns.lab.resources import DEPLOYMENTS, PODS, SERVICES, SLICES
from kdns.lab.storage import Deletion
from tests.lab.kubelet.scene import Scene, playing
from tests.lab.proxy.scene import Policy, cluster_ip

ASKERS = 3


@dataclass
class Loop:
    """Asks without a pause, and notes who could have answered."""

    scene: Scene
    address: str
    failed: list[str] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    count: int = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            watch = self.scene.storage.watch(SLICES)
            try:
                said = await self._ask()
            except (OSError, EOFError) as error:
                self.failed.append(repr(error))
                continue
            self.count += 1
            self.heard.add(said)
            if said not in ready(watch):
                self.astray.append(said)

    async def go_on(self) -> None:
        """Until whoever asks has done so a few times more."""
        before = self.count
        await self.scene.until(lambda: self.count >= before + 4 * ASKERS)

    def there(self) -> set[str]:
        """The addresses of ready endpoints."""
        return set(self.scene.endpoints())

    async def _ask(self) -> str:
        target = self.scene.ground.target(self.address, 80)
        reader, writer = await asyncio.open_connection(*target)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(30):
                text = (await reader.read(-1)).decode()
        finally:
            writer.close()
        if not text.startswith("HTTP/1.1 200"):
            raise EOFError(text)
        words = text.replace(",", " ").split()
        return next(word for word in words if word.startswith(self.prefix))

    @property
    def prefix(self) -> str:
        """Of the addresses of pods."""
        first = str(self.scene.ground.ranges.pods.network_address).split(".")
        return f"{first[0]}.{first[1]}."


def ready(watch: Watch) -> set[str]:
    """The addresses of endpoints that were ready when it began, or at any time since."""
    return {
        address
        for event in watch.taken()
        for one in event.object.get("endpoints") or ()
        if one["conditions"]["ready"]
        for address in one["addresses"]
    }


@asynccontextmanager
async def looped(folder: Path) -> AsyncIterator[tuple[Scene, Loop]]:
    """A deployment of three, its service, and who asks it."""
    async with playing(folder) as scene:
        proxy = Proxy(scene.storage, scene.ground, Policy())
        running = asyncio.create_task(proxy.run())
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "nginx",
                                     "ports": [{"containerPort": 80}]}]},
        }  # fmt: skip
        spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        body = {"metadata": {"name": "web"}, "spec": spec}
        scene.storage.create(DEPLOYMENTS, "default", body)
        address = cluster_ip()
        spec = {"selector": {"app": "web"}, "clusterIP": address, "ports": [{"port": 80}]}
        scene.storage.create(SERVICES, "default", {"metadata": {"name": "web"}, "spec": spec})
        loop = Loop(scene, address)
        await scene.until(lambda: len(loop.there()) == 3)
        await scene.until(lambda: len(proxy.behind(address, 80, "TCP")) == 3 and proxy._fronts)
        asking = [asyncio.create_task(loop.run()) for _ in range(ASKERS)]
        try:
            yield scene, loop
        finally:
            for task in (*asking, running):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await running
            ends = await asyncio.gather(*asking, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in ends), ends


def scale(scene: Scene, count: int) -> None:
    found = scene.storage.get(DEPLOYMENTS, "default", "web")
    new: Obj = {**found, "spec": {**found["spec"], "replicas": count}}
    scene.storage.update(DEPLOYMENTS, "default", "web", new)


def one_of(scene: Scene) -> str:
    """The name of a pod that is an endpoint."""
    there = set(scene.endpoints())
    return next(
        str(pod["metadata"]["name"])
        for pod in scene.storage.list(PODS, "default")
        if pod.get("status", {}).get("podIP") in there
    )


async def test_scaling_killing_relabelling_and_failing_hurt_nobody(tmp_path: Path) -> None:
    async with looped(tmp_path) as (scene, loop):
        for count in (5, 2, 4):
            scale(scene, count)
            await scene.until(lambda count=count: len(loop.there()) == count)
            await loop.go_on()
        scene.storage.delete(PODS, "default", one_of(scene))
        await loop.go_on()
        await scene.until(lambda: len(loop.there()) == 4)
        name = one_of(scene)
        found = scene.get(name)
        labels = {**found["metadata"], "labels": {"app": "other"}}
        scene.storage.update(PODS, "default", name, {**found, "metadata": labels})
        await loop.go_on()
        await scene.until(lambda: len(loop.there()) == 4)
        scene.annotate(one_of(scene), ready="false")
        await scene.until(lambda: len(loop.there()) == 3)
        await loop.go_on()
    assert loop.failed == []
    assert loop.astray == []
    assert loop.count > 50
    assert len(loop.heard) > 3


async def test_by_force_only_what_was_being_answered_is_broken_off(tmp_path: Path) -> None:
    async with looped(tmp_path) as (scene, loop):
        for _ in range(3):
            scene.storage.delete(PODS, "default", one_of(scene), Deletion(grace_s=0))
            await loop.go_on()
            await scene.until(lambda: len(loop.there()) == 3)
    assert len(loop.failed) <= 3 * ASKERS, "not one more than each was waiting for"
    assert loop.astray == []
    assert loop.count > 50
