"""A proxy on loopback between a DNS server and a real API server: it watches, and it breaks things.

Plain HTTP/1.1 towards the DNS server, whatever the kubeconfig says towards the API server. Only the
heads of requests are read (they are GETs, so there are no bodies); replies go through as bytes.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import uvloop

from tests.referee.kube import Kube

T = TypeVar("T")

GONE = {
    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410,
    "reason": "Expired", "message": "too old resource version: 1 (2)",
}  # fmt: skip


END = b"k8s.io/initial-events-end"


@dataclass
class Pipe:
    """One connection of a DNS server and ours to the API server for it."""

    down: asyncio.StreamWriter
    up: asyncio.StreamWriter
    request: str = ""
    """The target of the request under way."""

    @property
    def is_watch(self) -> bool:
        """True when an open-ended reply is under way."""
        return "watch=1" in self.request or "watch=true" in self.request

    def close(self) -> None:
        """Breaks both connections off."""
        for writer in (self.down, self.up):
            writer.transport.abort()


@dataclass
class Between:
    """The proxy; a context manager with a loop in a thread of its own."""

    kube: Kube
    pipes: list[Pipe] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Every target asked for, in order."""
    gone: int = 0
    """So many resumed watches are told that their version is compacted."""
    silent: bool = False
    """Watches stay open and say nothing."""
    noted: Callable[[bytes], None] | None = None
    """Called with every piece of a reply just before it goes out."""
    port: int = 0
    _whole: set[str] = field(default_factory=set)

    def __enter__(self) -> "Between":
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Where a DNS server finds the API."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listens: the server is there, again on the same port."""

        async def begin() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

        self.do(begin())

    def close(self) -> None:
        """The server is away: the port is closed and every connection broken."""

        async def end() -> None:
            self._server.close()
            self._cut()
            await asyncio.sleep(0)

        self.do(end())

    def cut(self) -> None:
        """Breaks every connection; new ones are taken."""

        async def end() -> None:
            self._cut()

        self.do(end())

    def compact(self, watches: int) -> None:
        """Breaks every connection, and tells so many watches that come back to list again."""
        self.gone = watches
        self.cut()

    def forget(self) -> None:
        """Requests are counted from here on."""
        self.requests.clear()
        self._whole.clear()

    def listed(self) -> int:
        """How many kinds were listed whole since: by a list's last page, or by a WatchList."""
        return len(self._whole)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something in the proxy's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _cut(self) -> None:
        for pipe in list(self.pipes):
            pipe.close()

    async def _serve(self, reader: asyncio.StreamReader, down: asyncio.StreamWriter) -> None:
        at = urlsplit(self.kube.url)
        context: ssl.SSLContext | None = self.kube.context
        try:
            back, up = await asyncio.open_connection(
                at.hostname, at.port, ssl=context, limit=1 << 20
            )
        except OSError:
            down.transport.abort()
            return
        pipe = Pipe(down, up)
        self.pipes.append(pipe)
        pump = asyncio.ensure_future(self._pump(back, pipe))
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    self._forward(await reader.readuntil(b"\r\n\r\n"), pipe)
        finally:
            pump.cancel()
            self.pipes.remove(pipe)
            pipe.close()

    def _forward(self, head: bytes, pipe: Pipe) -> None:
        first, _, rest = head.partition(b"\r\n")
        pipe.request = first.split()[1].decode()
        self.requests.append(pipe.request)
        query = parse_qs(urlsplit(pipe.request).query)
        resumes = pipe.is_watch and "sendInitialEvents" not in query
        if self.gone and resumes and query.get("resourceVersion"):
            self.gone -= 1
            body = json.dumps(GONE).encode()
            head = (
                b"HTTP/1.1 410 Gone\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            pipe.down.write(head % len(body) + body)
            return
        if resumes:
            self._whole.add(urlsplit(pipe.request).path)
        token = f"Authorization: Bearer {self.kube.token}\r\n".encode() if self.kube.token else b""
        host = f"Host: {urlsplit(self.kube.url).netloc}\r\n".encode()
        lines = [each for each in rest.split(b"\r\n") if not each.lower().startswith(b"host:")]
        pipe.up.write(first + b"\r\n" + host + token + b"\r\n".join(lines))

    async def _pump(self, back: asyncio.StreamReader, pipe: Pipe) -> None:
        seen = b""
        with suppress(OSError):
            while piece := await back.read(1 << 18):
                seen = seen[-len(END) :] + piece if pipe.is_watch else b""
                if END in seen:
                    self._whole.add(urlsplit(pipe.request).path)
                if self.silent and pipe.is_watch:
                    continue
                if self.noted:
                    self.noted(piece)
                pipe.down.write(piece)
                await pipe.down.drain()
        pipe.close()
