"""A server that speaks kdns/status/shapes.py and serves whatever a test puts into it."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
from aiohttp import web

from kdns.status.page import POLICY, page
from kdns.status.shapes import (
    ChangeShape,
    EndpointShape,
    Pulse,
    Services,
    ServiceShape,
    Status,
    Totals,
)

BOUNDS = [0.00025 * 2**step for step in range(16)]


def service(
    name: str, namespace: str = "shop", *, ready: int = 2, unready: int = 0
) -> ServiceShape:
    ends = [
        EndpointShape(f"10.244.0.{place + 1}", place < ready, f"{name}-{place}")
        for place in range(ready + unready)
    ]
    return ServiceShape(
        namespace, name, "ClusterIP", ["10.96.0.10"], ["http 80/tcp"], "", ready, unready, ends
    )


def calm() -> Status:
    """A server that was asked a little."""
    now = time.time()
    totals = Totals(queries=1000, hits=900, kept=50, rcodes={"NOERROR": 900, "NXDOMAIN": 100},
                    plugins={"kubernetes": 1000}, transports={"udp": 1000}, latency=[0] * 17)  # fmt: skip
    return Status("1.2.3", now - 3600, now, totals, bounds=BOUNDS, memory=80 << 20)


@dataclass
class Fake:
    """`async with Fake() as fake`: then fake.url."""

    status: Status = field(default_factory=calm)
    services: list[ServiceShape] = field(default_factory=list)
    explanation: Any = None  # Any: JSON
    token: str = ""
    is_full: bool = False
    port: int = 0
    changes: list[ChangeShape] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._page)
        app.router.add_get("/status", self._status)
        app.router.add_get("/services", self._services)
        app.router.add_get("/events", self._events)
        app.router.add_get("/explain", self._explain)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        self._runner, runner = None, self._runner
        await runner.cleanup()

    def push(self, *changes: ChangeShape) -> None:
        """Tells all who follow; numbers and times are given here."""
        for change in changes:
            number = len(self.changes) + 1
            self.changes.append(msgspec.structs.replace(change, number=number, at=time.time()))
        self._news.set()
        self._news = asyncio.Event()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.token and request.path != "/":
            given = request.headers.get("Authorization", "")
            if given != f"Bearer {self.token}":
                return web.Response(status=401, text="a token is needed")
        return await handler(request)

    async def _page(self, _: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": POLICY}
        return web.Response(body=page(), content_type="text/html", charset="utf-8", headers=headers)

    def _now(self) -> Status:
        return msgspec.structs.replace(self.status, now=time.time(), newest=len(self.changes))

    async def _status(self, _: web.Request) -> web.Response:
        return _json(self._now())

    async def _services(self, request: web.Request) -> web.Response:
        words, after = request.query.get("search", ""), request.query.get("after", "")
        limit = int(request.query.get("limit", 100))
        found = [one for one in self.services if words in f"{one.namespace}/{one.name}"]
        rest = [one for one in found if f"{one.namespace}/{one.name}" > after]
        shown = rest[:limit]
        more = f"{shown[-1].namespace}/{shown[-1].name}" if len(rest) > limit else ""
        return _json(Services(shown, len(found), more))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self.is_full:
            return web.Response(status=503, text="503 Service Unavailable")
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        after = int(request.query.get("after", 0))
        while self._runner:
            news = self.changes[after:]
            after = len(self.changes)
            pulse = Pulse(self._now(), news[-500:], max(0, len(news) - 500))
            await reply.write(b"data: " + msgspec.json.encode(pulse) + b"\n\n")
            try:
                await asyncio.wait_for(self._news.wait(), 1)
            except TimeoutError:
                continue
        return reply

    async def _explain(self, _: web.Request) -> web.Response:
        return web.Response(status=404) if self.explanation is None else _json(self.explanation)


def _json(said: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(said), content_type="application/json")
