"""A client of forwards that speaks SPDY/3.1 by hand, plainly and within a WebSocket."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from struct import pack, unpack_from
from typing import Any

import aiohttp

from kdns.lab.doors import spdy
from tests.lab.doors.standing import Place

PATH = "/api/v1/namespaces/default/pods/web/portforward"
PLAIN = {
    "Connection": "Upgrade",
    "Upgrade": "SPDY/3.1",
    "X-Stream-Protocol-Version": "portforward.k8s.io",
}
TUNNEL = "SPDY/3.1+portforward.k8s.io"


def control(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Any control frame."""
    return pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body


class Packer:
    """The client's side of the compression of headers."""

    def __init__(self) -> None:
        self._packing = zlib.compressobj(9, zdict=spdy.DICTIONARY)

    def squeeze(self, block: bytes) -> bytes:
        return self._packing.compress(block) + self._packing.flush(zlib.Z_SYNC_FLUSH)

    def pack(self, headers: Mapping[str, str]) -> bytes:
        words = [word.encode() for pair in headers.items() for word in pair]
        block = b"".join(pack(">I", len(word)) + word for word in words)
        return self.squeeze(pack(">I", len(headers)) + block)

    def opened(self, stream: int, headers: Mapping[str, str], *, is_end: bool = False) -> bytes:
        return control(1, pack(">IIH", stream, 0, 0) + self.pack(headers), flags=is_end)


@dataclass
class Client:
    """What it has heard, by stream."""

    read: Callable[[], Any]
    write: Callable[[bytes], Any]
    leave: Callable[[], None]
    """Goes without a word."""
    packer: Packer = field(default_factory=Packer)
    heard: dict[int, bytearray] = field(default_factory=dict)
    replied: list[int] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    resets: dict[int, int] = field(default_factory=dict)
    pings: list[int] = field(default_factory=list)
    goaways: int = 0
    is_over: bool = False
    next_stream: int = 1
    _rest: bytes = b""
    _unpacking: Any = field(default_factory=lambda: zlib.decompressobj(zdict=spdy.DICTIONARY))

    async def open(self, port: int | str = 80, **others: str) -> tuple[int, int]:
        """The streams of a connection, for errors and for data."""
        error, data = self.next_stream, self.next_stream + 2
        self.next_stream += 4
        request = {"port": str(port), "requestid": str(error), **others}
        await self.write(self.packer.opened(error, {"streamtype": "error", **request}))
        await self.write(spdy.piece(error, is_end=True))
        await self.write(self.packer.opened(data, {"streamtype": "data", **request}))
        return error, data

    async def send(self, stream: int, octets: bytes, *, is_end: bool = False) -> None:
        await self.write(spdy.piece(stream, octets, is_end=is_end))

    async def hear(self, until: Callable[[], object]) -> None:
        """Takes in what comes until something is so."""
        async with asyncio.timeout(20):
            while not until():
                octets = await self.read()
                if not octets:
                    self.is_over = True
                    assert until(), self
                    return
                self._rest += octets
                self._take()

    async def hear_end(self, *streams: int) -> None:
        await self.hear(lambda: self.ended.issuperset(streams))

    async def hear_all(self) -> None:
        await self.hear(lambda: self.is_over)

    def said(self, stream: int) -> bytes:
        return bytes(self.heard.get(stream, b""))

    def _take(self) -> None:
        while len(self._rest) >= 8:
            first, second = unpack_from(">II", self._rest)
            length = second & 0xFFFFFF
            if len(self._rest) < 8 + length:
                return
            body, self._rest = self._rest[8 : 8 + length], self._rest[8 + length :]
            self._note(first, second >> 24, body)

    def _note(self, first: int, flags: int, body: bytes) -> None:
        if not first >> 31:
            assert first not in self.ended
            self.heard.setdefault(first, bytearray()).extend(body)
            if flags & 1:
                self.ended.add(first)
            return
        kind, stream = first & 0xFFFF, unpack_from(">I", body)[0]
        if kind == 2:
            assert self._unpacking.decompress(body[4:]) == bytes(4)
            self.replied.append(stream)
        elif kind == 3:
            self.resets[stream] = unpack_from(">I", body, 4)[0]
        elif kind == 6:
            self.pings.append(stream)
        else:
            assert kind == 7
            self.goaways += 1


@asynccontextmanager
async def client(place: Place, carrier: str, path: str = PATH) -> AsyncIterator[Client]:
    """One, `plain` or by a `tunnel`."""
    made = _plain(place, path) if carrier == "plain" else _tunnel(place, path)
    async with made as found:
        yield found


@asynccontextmanager
async def _plain(place: Place, path: str) -> AsyncIterator[Client]:
    port = int(place.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = {"Host": "127.0.0.1", "Authorization": f"Bearer {place.lab.token}", **PLAIN}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {text}" for name, text in head.items())]
    writer.write("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
    said = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert said.startswith("HTTP/1.1 101 "), said
    assert "Upgrade: SPDY/3.1\r\n" in said
    assert "X-Stream-Protocol-Version: portforward.k8s.io\r\n" in said

    async def read() -> bytes:
        try:
            return await reader.read(65536)
        except ConnectionError:
            return b""

    async def write(octets: bytes) -> None:
        writer.write(octets)
        await writer.drain()

    try:
        yield Client(read, write, writer.transport.abort)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def _tunnel(place: Place, path: str) -> AsyncIterator[Client]:
    head = {"Authorization": f"Bearer {place.lab.token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(place.url + path, headers=head, protocols=[TUNNEL]) as socket,
    ):
        assert socket.protocol == TUNNEL
        transport = socket._response.connection.transport  # type: ignore[union-attr]
        assert transport

        async def read() -> bytes:
            message = await socket.receive()
            return message.data if message.type is aiohttp.WSMsgType.BINARY else b""

        yield Client(read, socket.send_bytes, transport.abort)
