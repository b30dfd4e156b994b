"""A lab's API in front of pods whose commands run as plain children of the test.

The ground is a double: no addresses, no isolation, but real processes, pipes and terminals.
"""

import asyncio
import fcntl
import os
import signal
import termios
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from kdns.lab import replies
from kdns.lab.api import Access, _call, _token_and_path
from kdns.lab.calls import target
from kdns.lab.doors import admission
from kdns.lab.doors.rooms import Rooms
from kdns.lab.errors import ApiError, Obj
from kdns.lab.ground.base import Entry, Listeners, Streams
from kdns.lab.inside.furnished import Furnished
from kdns.lab.lab import Lab
from kdns.lab.ranges import USUAL
from kdns.lab.resources import PODS
from kdns.lab.stage import Doors, Insides


class Plain:
    """A ground that is this machine."""

    ranges = USUAL
    offset = 0
    has_spaces = True

    def __init__(self) -> None:
        self.listeners = Listeners()
        self.processes: list[asyncio.subprocess.Process] = []
        self.gone: set[str] = set()

    async def enter(self, uid: str, entry: Entry, streams: Streams) -> asyncio.subprocess.Process:
        if uid in self.gone:
            raise LookupError("the pod has no place to run a command in")

        def begin() -> None:
            os.setsid()
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
    doors: Doors
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
        return pod


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Place]:
    """A lab whose API also has doors."""
    async with AsyncExitStack() as ends:
        lab = await ends.enter_async_context(Lab(has_controllers=False))
        ground, consoles = Plain(), Consoles()
        ends.push_async_callback(ground.end)
        insides = Furnished(lab.storage, ground, lab.tokens, folder=folder)
        doors = Rooms(lab.storage, ground, insides, consoles)
        ends.callback(doors.end)
        access = Access(lab.tokens)

        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            token, path = _token_and_path(request.path)
            header = f"Bearer {token}" if token else request.headers.get("Authorization", "")
            user, aim = access.user(header), target(path)
            if user is None or aim is None or aim.part not in {"exec", "attach"}:
                return await lab._api.serve(request)
            try:
                admission.check(request, user)
                return await doors.reply(request, await _call(request, aim, user))
            except ApiError as error:
                return replies.failure(error)

        runner = web.ServerRunner(
            web.Server(serve, handler_cancellation=True, access_log=None), shutdown_timeout=0.1
        )
        await runner.setup()
        ends.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        lab._port = runner.addresses[0][1]  # for kubeconfigs
        yield Place(lab, ground, insides, doors, consoles, url)
