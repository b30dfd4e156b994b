"""Streams that break: asyncio has nothing left to report, whatever the garbage collector does first."""

import asyncio
import gc
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from kdns.observe import streams

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_a_break_is_asked_about() -> None:
    assert reported(read) == []


def test_without_that_it_would_be_reported() -> None:
    async def careless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(1)
        writer.close()

    assert reported(careless) == ["Future exception was never retrieved"]


async def test_what_was_written_arrives() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        _, writer = await asyncio.open_connection(sock=accepted)
        writer.write(b"x" * 1_000_000)
        streams.close(writer)
        reader, back = await asyncio.open_connection(sock=client)
        assert len(await reader.read(-1)) == 1_000_000
        streams.close(back)


async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await reader.read(1)
    streams.close(writer)


def reported(serve: Serve) -> list[str]:
    """What asyncio says of a stream that is reset, where its own guard comes too late."""
    said: list[str] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, told: said.append(told["message"]))
        await broken(serve)
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()

    with pytest.MonkeyPatch.context() as patched:
        patched.delattr(asyncio.StreamReaderProtocol, "__del__")
        asyncio.run(scene())
    return said


async def broken(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        made: tuple[Any, Any] = await asyncio.open_connection(sock=accepted)
        serving = asyncio.ensure_future(serve(*made))
        await asyncio.sleep(0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await serving
