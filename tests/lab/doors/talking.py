"""A client of doors that speaks their protocol by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.lab.doors.standing import Place


@dataclass
class Talk:
    """What has come, by channel."""

    socket: aiohttp.ClientWebSocketResponse
    heard: dict[int, bytearray] = field(default_factory=dict)
    first: bytes | None = None

    async def send(self, channel: int, octets: bytes = b"") -> None:
        await self.socket.send_bytes(bytes([channel]) + octets)

    async def hear(self, until: bytes = b"", channel: int = 1) -> bytes:
        """All that comes until some output has, or the end."""
        async with asyncio.timeout(20):
            while not until or until not in self.heard.get(channel, b""):
                message = await self.socket.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    assert not until, (until, self.heard)
                    break
                if self.first is None:
                    self.first = message.data
                at = message.data[0]
                self.heard.setdefault(at, bytearray()).extend(message.data[1:])
        return bytes(self.heard.get(channel, b""))

    def leave(self) -> None:
        """Goes without a word."""
        assert self.socket._response.connection
        assert self.socket._response.connection.transport
        self.socket._response.connection.transport.abort()

    @property
    def status(self) -> Any:
        return json.loads(self.heard[3])

    @property
    def code(self) -> int:
        """The exit code."""
        if self.status["status"] == "Success":
            return 0
        return int(self.status["details"]["causes"][0]["message"])


@asynccontextmanager
async def talk(
    place: Place, *command: str, part: str = "exec", protocol: str = "v5.channel.k8s.io",
    name: str = "web", **streams: str,
) -> AsyncIterator[Talk]:  # fmt: skip
    """A command in a pod; by default with stdout and stderr."""
    streams = streams or {"stdout": "true", "stderr": "true"}
    query = urlencode([*(("command", word) for word in command), *streams.items()])
    url = f"{place.url}/api/v1/namespaces/default/pods/{name}/{part}?{query}"
    head = {"Authorization": f"Bearer {place.lab.token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers=head, protocols=[protocol]) as socket,
    ):
        assert socket.protocol == protocol
        yield Talk(socket)


async def soon(claim: Any) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.01)


async def stalled(size: Callable[[], int]) -> None:
    """Waits until something grows no more."""
    before = -1
    while before != size():
        before = size()
        await asyncio.sleep(0.3)
