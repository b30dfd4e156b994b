"""The embedded control plane: storage, API, controllers and data in one `async with`.

    async with Lab() as lab:
        kubectl --kubeconfig lab.kubeconfig(path) …        or any client of lab.url with lab.token

`faults`, `stop_serving`, `snapshot` and `restore` make it the test bench that it also is.
"""

import asyncio
import base64
import logging
import random
import socket
import ssl
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import yaml
from aiohttp import web

from kdns.lab.api import BY_PATH, Access, Api
from kdns.lab.controllers.staff import Staff
from kdns.lab.faults import Faults
from kdns.lab.keeping import Directory, replace
from kdns.lab.kubelet.play import Play
from kdns.lab.ranges import USUAL
from kdns.lab.resources import NAMESPACES, Resource
from kdns.lab.stage import Staging
from kdns.lab.storage import Storage
from kdns.lab.tokens import Tokens
from kdns.lab.watching import BOOKMARK_S, Pace

_LOG = logging.getLogger("kdns.lab")
_SILENT = logging.getLogger("kdns.lab.malformed")
"""aiohttp's, which would say with a traceback that somebody has sent what is no HTTP."""
_SILENT.disabled = True
KEPT_S = 300.0
"""Events are kept for this to twice this, as on a real server: a busy slice of a hundred endpoints
takes 90 kB for each."""
HANDSHAKE_S = 10.0
LAST_TURNS = 8
"""Of the loop, which needs some between accepting a connection and knowing of it."""
FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of the server; ca goes into kubeconfigs."""

    cert: str
    key: str
    ca: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a lab held at one moment."""

    version: int
    objects: tuple[tuple[Resource, dict[str, Any]], ...]  # Any: as errors.Obj


class Lab:
    """One control plane; attributes storage, faults and tokens are for whoever runs it."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data: Path | None = None,
        tls: Tls | None = None,
        is_open: bool = False,
        bookmark_s: float = BOOKMARK_S,
        has_controllers: bool = True,
        staging: Staging | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._openings = staging.openings if staging else ()
        self._tls = tls
        self._directory = Directory(data) if data else None
        self._has_controllers = has_controllers
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.ServerRunner | None = None
        self._servers: list[asyncio.Server] = []
        ranges = staging.ranges if staging else USUAL
        self.storage = Storage(
            now=time.time,
            uid=lambda: str(uuid.uuid4()),
            ranges=ranges,
            authority=Path(tls.ca).read_text() if tls else "",
        )
        secret = self._directory.secret() if self._directory else uuid.uuid4().bytes
        self.tokens = Tokens(secret, self.storage)
        self.faults = Faults()
        pace = Pace(bookmark_s=bookmark_s)
        access = Access(self.tokens, is_open)
        self._stage = staging.stage(self.storage, self.tokens) if staging else None
        self._api = Api(
            self.storage, access, self.faults, pace=pace, chance=random.randrange, stage=self._stage
        )

    async def __aenter__(self) -> Self:
        if self._directory:
            self._directory.claim()
        try:
            if not (self._directory and self._directory.load(self.storage)):
                for name in FIRST_NAMESPACES:
                    self.storage.create(NAMESPACES, "", {"metadata": {"name": name}})
            await self.serve_again()
        except BaseException:
            self._leave()
            raise
        self._run()
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self._rest()
        await self.stop_serving()
        if self._directory:
            await self._directory.end(self.storage)
        self._leave()

    def _leave(self) -> None:
        if self._directory:
            self._directory.release()

    @property
    def url(self) -> str:
        """Where the API is."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def token(self) -> str:
        """The admin's."""
        return self.tokens.admin

    def kubeconfig(self, path: Path, *, token: str = "", server: str = "") -> Path:
        """Writes a kubeconfig, for the admin or for whoever has another token; gives its path."""
        token = token or self.token
        server = server or self.url
        cluster: dict[str, str] = {"server": server + BY_PATH + token}
        if self._tls:
            cluster["server"] = server
            authority = Path(self._tls.ca).read_bytes()
            cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
        name = "kdns-lab"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        replace(path, [yaml.safe_dump(config, sort_keys=False).encode()])
        return path

    # The faults of a whole server

    async def stop_serving(self) -> None:
        """Breaks all connections off and refuses new ones; controllers go on."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        loop = asyncio.get_running_loop()
        for sock in [sock for server in self._servers for sock in server.sockets]:
            loop.remove_reader(sock.fileno())  # what asyncio accepts of a closing server is lost
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        self._servers.clear()
        for _ in range(LAST_TURNS):  # uvloop has accepted all the while
            await asyncio.sleep(0)
        for connection in list(runner.server.connections if runner.server else ()):
            connection.force_close()
        await runner.cleanup()

    async def serve_again(self) -> None:
        """Listens, on the same port as before."""
        server = web.Server(
            self._api.serve, handler_cancellation=True, access_log=None, logger=_SILENT
        )
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        self._runner = runner
        context = self._context()
        if not self._openings:
            site = web.TCPSite(
                runner, self._host, self._port, ssl_context=context, reuse_address=True
            )
            await site.start()
            self._port = runner.addresses[0][1]
        for opening in self._openings:
            await self._open(opening(self._port), runner, context)

    async def _open(
        self, sock: socket.socket, runner: web.ServerRunner, context: ssl.SSLContext | None
    ) -> None:
        """Serves on a socket. Handshakes that come to no end hold a third of a megabyte each."""
        self._servers.append(
            await asyncio.get_running_loop().create_server(
                cast("Any", runner.server),  # Any: a protocol factory, though not typed as one
                sock=sock,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S if context else None,
            )
        )
        if len(self._servers) == 1:
            self._port = sock.getsockname()[1]

    def snapshot(self) -> Snapshot:
        """What a backup would hold."""
        objects = tuple((resource, item.object) for resource, item in self.storage.dump())
        return Snapshot(self.storage.version, objects)

    async def restore(self, snapshot: Snapshot) -> None:
        """Restarts with the objects and version of a backup, as if nothing had come after it."""
        is_serving = self._runner is not None
        await self._rest()
        await self.stop_serving()
        self.storage.load(snapshot.objects, snapshot.version)
        if is_serving:
            await self.serve_again()
        self._run()

    # Private

    def _run(self) -> None:
        self._tasks.append(asyncio.create_task(self.tokens.fill()))
        self._tasks.append(asyncio.create_task(self._forget()))
        if self._has_controllers:
            kubelet = self._stage.kubelet if self._stage else Play
            staff = Staff(self.storage, kubelet=kubelet)
            self._tasks.append(asyncio.create_task(staff.run()))
        if self._directory:
            self._tasks.append(asyncio.create_task(self._directory.keep(self.storage)))
        for task in self._tasks:
            task.add_done_callback(_say_end)

    async def _forget(self) -> None:
        while True:
            version = self.storage.version
            await asyncio.sleep(KEPT_S)
            self.storage.forget(version)

    async def _rest(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._tls.cert, self._tls.key)
        return context


def _say_end(task: asyncio.Task[None]) -> None:
    """A controller that fails is a mistake in the lab, which goes on without it."""
    if not task.cancelled() and task.exception():
        _LOG.error("the lab's controllers have stopped: %r", task.exception())
