"""A cluster whose pods really run, on loopback addresses that nobody else has."""

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from random import SystemRandom

from kdns.lab.controllers.bodies import is_ready
from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.staff import Staff
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Ground
from kdns.lab.ground.loopback import Loopback
from kdns.lab.inside.furnished import Furnished
from kdns.lab.kubelet.console import Consoles
from kdns.lab.kubelet.journal import Journal
from kdns.lab.kubelet.kubelet import Kubelet
from kdns.lab.kubelet.member import Parts
from kdns.lab.ranges import LOOPBACK, Ranges
from kdns.lab.resources import EVENTS, NAMESPACES, PODS, SERVICEACCOUNTS, SERVICES, SLICES
from kdns.lab.rights.trust import MARK
from kdns.lab.storage import Storage
from kdns.lab.tokens import Tokens

CHANCE = SystemRandom()
PATIENCE_S = 40.0
Read = Callable[[], object]


def ranges() -> Ranges:
    """Those of loopback, with pods where no other test has them."""
    pods = f"127.{CHANCE.randrange(128, 240)}.{CHANCE.randrange(64) * 4}.0/22"
    return replace(LOOPBACK, pods=IPv4Network(pods))


class Scene:
    """The cluster."""

    pods = PODS
    settles: Callable[[], int] = staticmethod(lambda: 0)
    """How much is still to be done until policies are in force."""

    def __init__(
        self, folder: Path, kept: Storage | None = None, ground: Ground | None = None
    ) -> None:
        self.ground = ground or Loopback()
        if ground is None:
            self.ground.ranges = ranges() if kept is None else kept.ranges
        self.storage = _storage(self.ground.ranges) if kept is None else kept
        self.journal = Journal(self.storage.now)
        self.consoles = Consoles()
        tokens = Tokens(b"x" * 16, self.storage)
        insides = Furnished(self.storage, self.ground, tokens, folder=folder)
        self.parts = Parts(
            self.ground, insides, self.journal, self.consoles, lambda: self.settles() <= 0
        )

    def kubelet(self, desk: Desk) -> Kubelet:
        return Kubelet(desk, self.parts)

    # What tests write

    def pod(self, name: str = "web", *, trusted: bool = True, **words: object) -> Obj:
        """A pod; words of its spec, `annotations`, or of its one container."""
        annotations = dict(words.pop("annotations", {}))  # type: ignore[call-overload]
        if not trusted:
            annotations[MARK] = "mallory"
        keys = ("containers", "initContainers", "restartPolicy", "hostNetwork", "hostname")
        spec = {key: words.pop(key) for key in keys if key in words}
        spec.setdefault("containers", [{"name": "main", "image": "nginx", **words}])
        metadata = {"name": name, "labels": {"app": name}, "annotations": annotations}
        return self.storage.create(PODS, "default", {"metadata": metadata, "spec": spec})

    def annotate(self, name: str = "web", **told: str) -> None:
        """Annotations of the lab on a pod."""
        old = self.get(name)
        added = {f"lab.kdns.io/{key.replace('_', '-')}": text for key, text in told.items()}
        annotations = {**old["metadata"].get("annotations", {}), **added}
        new = {**old, "metadata": {**old["metadata"], "annotations": annotations}}
        self.storage.update(PODS, "default", name, new)

    def service(self, name: str = "web", port: int = 80) -> None:
        spec = {"selector": {"app": name}, "ports": [{"port": port}]}
        self.storage.create(SERVICES, "default", {"metadata": {"name": name}, "spec": spec})

    def delete(self, name: str = "web") -> None:
        self.storage.delete(PODS, "default", name)

    # What tests read

    def get(self, name: str = "web") -> Obj:
        return self.storage.get(PODS, "default", name)

    def address(self, name: str = "web") -> str:
        return str(self.get(name)["status"]["podIP"])

    def container(self, name: str = "web", place: int = 0) -> Obj:
        listed = self.get(name)["status"].get("containerStatuses") or [{}] * 9
        return listed[place]  # type: ignore[no-any-return]

    def events(self, name: str = "web") -> list[tuple[str, str]]:
        """Reason and message of what was told of a pod."""
        return [
            (one["reason"], one["message"])
            for one in self.storage.list(EVENTS, "default")
            if one["involvedObject"]["name"] == name
        ]

    def log(self, name: str = "web", container: str = "main", *, previous: bool = False) -> str:
        record = self.journal.find(
            self.get(name)["metadata"]["uid"], container, is_previous=previous
        )
        return "\n".join(line.text.decode() for line in record.since(0)) if record else ""

    def endpoints(self) -> list[str]:
        """The addresses of ready endpoints."""
        return [
            address
            for part in self.storage.list(SLICES, "default")
            for one in part.get("endpoints") or ()
            if one["conditions"]["ready"]
            for address in one["addresses"]
            if one.get("targetRef")
        ]

    async def until(self, claim: Callable[[], object]) -> None:
        """Waits for something to become true."""
        end = time.monotonic() + PATIENCE_S
        while True:
            with suppress(LookupError, TypeError):
                if claim():
                    return
            if time.monotonic() > end:
                pods = [(one["metadata"]["name"], one["status"]) for one in self.storage.list(PODS)]
                told = [
                    (one["reason"], one["message"]) for one in self.storage.list(EVENTS, "default")
                ]
                raise AssertionError(f"it did not come to be: {pods} {told}")
            await asyncio.sleep(0.01)

    async def ready(self, *names: str) -> None:
        for name in names or ("web",):
            await self.until(lambda name=name: is_ready(self.get(name)))

    async def connect(self, port: int, name: str = "web") -> socket.socket:
        """A connection to a pod, as from another."""
        address = self.address(name)
        one = self.ground.outgoing(address, "TCP", source=self.client)
        try:
            await asyncio.get_running_loop().sock_connect(one, self.ground.target(address, port))
        except BaseException:
            one.close()
            raise
        return one

    @property
    def client(self) -> str:
        return str(self.ground.ranges.pods[77])

    async def say(self, port: int, text: bytes, name: str = "web") -> bytes:
        """What a pod answers, to the end of the connection."""
        reader, writer = await asyncio.open_connection(sock=await self.connect(port, name))
        try:
            writer.write(text)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        finally:
            writer.transport.abort()

    async def fetch(self, port: int = 80, path: str = "/", name: str = "web") -> tuple[int, str]:
        """Code and text of a page."""
        head = f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\nUser-Agent: t\r\n\r\n"
        answer = await self.say(port, head.encode(), name)
        head, _, text = answer.decode().partition("\r\n\r\n")
        return int(head.split()[1]), text


def _storage(here: Ranges) -> Storage:
    made = Storage(now=time.time, uid=lambda: str(uuid.uuid4()), ranges=here)
    for name in ("default", "kube-system"):
        made.create(NAMESPACES, "", {"metadata": {"name": name}})
    made.create(SERVICEACCOUNTS, "default", {"metadata": {"name": "default"}})
    return made


@asynccontextmanager
async def playing(
    folder: Path, kept: Storage | None = None, ground: Ground | None = None
) -> AsyncIterator[Scene]:
    """A cluster that is in motion; with the objects of another, it has been started again."""
    scene = Scene(folder, kept, ground)
    task = asyncio.create_task(Staff(scene.storage, kubelet=scene.kubelet).run())
    try:
        yield scene
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        scene.ground.close()
