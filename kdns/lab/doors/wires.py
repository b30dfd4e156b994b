"""Two ways in which octets come from a client and go to it: WebSocket messages, and a connection
that has been HTTP before. On both, who writes waits for the client, and the client for who reads.
"""

import asyncio
from contextlib import suppress
from typing import Protocol

from aiohttp import WSMsgType, web

from kdns.observe import streams

LEAVE_S = 2.0
"""For a client to close after us."""
_LIMIT = 64 * 1024


class Wire(Protocol):
    """One of them."""

    async def read(self) -> bytes:
        """What comes next; b"" at the end."""

    async def write(self, octets: bytes, /) -> None:
        """Sends all of it, and waits while too much is under way; raises ConnectionError."""

    async def close(self) -> None:
        """No more in either direction."""


class Messages:
    """Octets in binary messages, wherever these begin and end."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """The next message that says something."""
        while (message := await self._socket.receive()).type is WSMsgType.BINARY:
            if message.data:
                return bytes(message.data)
        return b""

    async def write(self, octets: bytes) -> None:
        """As one message."""
        await self._socket.send_bytes(octets)

    async def close(self) -> None:
        """Says so, and waits a little for the other side to say it, too."""
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LEAVE_S):  # it may take nothing any more
                await self._socket.close()


class _Taken(asyncio.StreamReaderProtocol):
    """What a connection is after HTTP; whoever has served that is told of its end."""

    def __init__(self, reader: asyncio.StreamReader, before: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._before = before

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._before.connection_lost(exc)


class Upgraded:
    """The connection of a request that has been answered with 101."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def take(cls, request: web.BaseRequest, response: web.StreamResponse) -> "Upgraded":
        """Sends the response, and has the connection from then on; raises ConnectionError."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        reader = asyncio.StreamReader(_LIMIT)
        protocol = _Taken(reader, request.protocol)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        response.force_close()
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    async def read(self) -> bytes:
        """As much as is there."""
        try:
            return await self._reader.read(_LIMIT)
        except OSError:  # what TLS says of a broken connection is no ConnectionError
            return b""

    async def write(self, octets: bytes) -> None:
        """As it is."""
        if self._writer.is_closing():
            raise ConnectionResetError("the client has gone")
        self._writer.write(octets)
        try:
            await self._writer.drain()
        except OSError as error:
            raise ConnectionResetError(*error.args) from None

    async def close(self) -> None:
        """What has been written is sent before."""
        streams.close(self._writer)
