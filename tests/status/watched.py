"""A server with `status` in this process, on real sockets, read by a real HTTP client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import dns.asyncquery
import dns.message
import msgspec

from kdns.plugins.base import HttpReply
from kdns.status.routes import routes
from kdns.status.shapes import Status
from tests.serving import Serving

PAGE = ("127.0.0.1", 0)


async def explained(query: Any) -> HttpReply:
    return HttpReply(200, json.dumps({"asked": dict(query)}).encode(), "application/json")


class Watched:
    """`async with watched(corefile, folder) as served`."""

    def __init__(self, serving: Serving, session: aiohttp.ClientSession) -> None:
        self.serving = serving
        self.session = session

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.serving.service._http[PAGE].port}"

    async def get(self, path: str, status: int = 200) -> Any:  # Any: JSON
        async with self.session.get(self.url + path) as reply:
            body = await reply.read()
            assert reply.status == status, body
            return json.loads(body) if status == 200 else body

    async def status(self) -> Status:
        return msgspec.convert(await self.get("/status"), Status)

    async def ask(self, name: str, type_: str = "A") -> dns.message.Message:
        query = dns.message.make_query(name, type_)
        return await dns.asyncquery.udp(query, "127.0.0.1", 40, self.serving.port())

    async def counted(self, queries: int) -> Status:
        """The status once so many queries are in it."""
        async with asyncio.timeout(40):
            while (found := await self.status()).totals.queries < queries:
                await asyncio.sleep(0.1)
        return found

    @asynccontextmanager
    async def events(self, after: str = "") -> AsyncIterator[AsyncIterator[Any]]:
        """The messages of `/events`."""
        async with self.session.get(self.url + f"/events?after={after}") as reply:
            assert reply.status == 200
            assert reply.content_type == "text/event-stream"
            yield _messages(reply)


async def _messages(reply: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    async for line in reply.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


@asynccontextmanager
async def watched(corefile: str, folder: Path) -> AsyncIterator[Watched]:
    """A server of this Corefile, whose `status` stands at PAGE."""
    serving = Serving(corefile, folder)
    serving.services.life.page = partial(routes, explain=explained)
    async with serving, aiohttp.ClientSession(read_bufsize=1 << 24) as session:
        yield Watched(serving, session)
