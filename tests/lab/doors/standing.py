"""A lab's API in front of pods whose commands run as plain children of the test.

The ground is a double: no addresses, no isolation, but real processes, pipes and terminals.
"""

import asyncio
import errno
import fcntl
import os
import signal
import socket
import termios
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdns.lab.doors.rooms import Rooms
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Entry, Listeners, Stand, Streams
from kdns.lab.inside.furnished import Furnished
from kdns.lab.lab import Lab, Tls
from kdns.lab.ranges import USUAL
from kdns.lab.resources import PODS
from kdns.lab.stage import Insides, Stage, Staging
from kdns.lab.storage import Storage
from kdns.lab.tokens import Tokens


class Plain:
    """A ground that is this machine."""

    ranges = USUAL
    offset = 0
    has_spaces = True

    def __init__(self) -> None:
        self.listeners = Listeners()
        self.processes: list[asyncio.subprocess.Process] = []
        self.gone: set[str] = set()
        self.stands: dict[str, Stand] = {}
        self.ports: dict[int, int] = {}
        """What listens here for a port of the pods."""

    def stand_of(self, address: str) -> Stand | None:
        return self.stands.get(address)

    def outgoing(self, address: str, transport: str, *, source: str = "") -> socket.socket:
        assert transport == "TCP"
        assert source in self.stands or address == source
        made = socket.socket()
        made.setblocking(False)
        return made

    def target(self, address: str, port: int) -> tuple[str, int]:
        if address == "::1" or port not in self.ports:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return "127.0.0.1", self.ports[port]

    async def enter(self, uid: str, entry: Entry, streams: Streams) -> asyncio.subprocess.Process:
        if uid in self.gone:
            raise LookupError("the pod has no place to run a command in")

        def begin() -> None:
            os.setsid()
            for number in (signal.SIGHUP, signal.SIGINT):  # which nohup ignores
                signal.signal(number, signal.SIG_DFL)
            if streams.is_terminal:
                fcntl.ioctl(streams.stdin, termios.TIOCSCTTY, 0)

        process = await asyncio.create_subprocess_exec(
            *entry.command, env=dict(entry.environ), stdin=streams.stdin, stdout=streams.stdout,
            stderr=streams.stderr, preexec_fn=begin,
        )  # fmt: skip
        self.processes.append(process)
        return process

    async def end(self) -> None:
        """Kills what is left, with its groups."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


@dataclass
class Consoles:
    """Programs that can be attached to, by container."""

    found: dict[str, Any] = field(default_factory=dict)

    def find(self, uid: str, container: str) -> Any:
        del uid
        return self.found.get(container)


@dataclass
class Place:
    """The lab, and what stands in it."""

    lab: Lab
    ground: Plain
    insides: Insides
    doors: Rooms
    consoles: Consoles
    url: str

    def pod(self, name: str = "web", namespace: str = "default", **spec: Any) -> Obj:
        """A pod that runs."""
        containers = spec.pop("containers", [{"name": "main", "image": "i"}])
        made = {
            "metadata": {"name": name, **spec.pop("metadata", {})},
            "spec": {"containers": containers, "nodeName": "node-a", **spec},
        }
        storage = self.lab.storage
        pod = storage.create(PODS, namespace, made)
        status = {
            "phase": "Running",
            "podIP": "10.244.1.5",
            "podIPs": [{"ip": "10.244.1.5"}],
            "hostIP": "172.18.0.11",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": one["name"], "image": "i", "imageID": "", "ready": True, "restartCount": 0,
                 "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
                for one in containers
            ],
        }  # fmt: skip
        pod = storage.update(PODS, namespace, name, {**pod, "status": status}, part="status")
        self.insides.prepare(pod)
        stand = Stand(pod["metadata"]["uid"], f"{namespace}/{name}", ("10.244.1.5",))
        self.ground.stands["10.244.1.5"] = stand
        return pod


@asynccontextmanager
async def standing(folder: Path, tls: Tls | None = None) -> AsyncIterator[Place]:
    """A lab whose API has doors."""
    ground, consoles = Plain(), Consoles()

    def stage(storage: Storage, tokens: Tokens) -> Stage:
        insides = Furnished(storage, ground, tokens, folder=folder)  # type: ignore[arg-type]
        doors = Rooms(storage, ground, insides, consoles)  # type: ignore[arg-type]
        return Stage(ground, insides, _no_part, doors, _no_part)  # type: ignore[arg-type]

    async with AsyncExitStack() as ends:
        ends.push_async_callback(ground.end)
        staging = Staging(stage, [lambda port: socket.create_server(("127.0.0.1", port))])
        lab = await ends.enter_async_context(Lab(has_controllers=False, tls=tls, staging=staging))
        assert lab._stage
        insides, doors = lab._stage.insides, lab._stage.doors
        assert isinstance(doors, Rooms)
        ends.callback(doors.end)
        yield Place(lab, ground, insides, doors, consoles, lab.url)


def _no_part(*_: object) -> Any:
    raise AssertionError("nobody plays this here")
