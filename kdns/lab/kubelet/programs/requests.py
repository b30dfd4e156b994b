"""Bytes of a connection become an HTTP/1.1 request, or a refusal; RFC 9112.

What could be read in two ways (a length twice, a length and chunks) is refused, never guessed.
"""

from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass

REST_S = 30.0
"""From the first byte of a request to its last."""
_HEAD = 32 * 1024
_BODY = 4 * 1024 * 1024
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class Refused(Exception):
    """A request that is answered with this code, and the connection closed."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def value(self, name: str) -> str:
        """Of the first header of a name, written small."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def values(self, name: str) -> list[str]:
        """Of all headers of a name, one for each item of a list."""
        found = (value.split(",") for key, value in self.headers if key.lower() == name)
        return [one.strip().lower() for part in found for one in part]

    @property
    def path(self) -> str:
        """The target without query, host and scheme."""
        target = self.target.partition("?")[0]
        _, is_whole, rest = target.partition("://")
        return f"/{rest.partition('/')[2]}" if is_whole and target[:1] != "/" else target

    @property
    def is_kept(self) -> bool:
        """True when its client wants the connection for more."""
        asked = self.values("connection")
        return "close" not in asked if self.version == "HTTP/1.1" else "keep-alive" in asked


async def read(begin: bytes, reader: StreamReader, writer: StreamWriter) -> Request:
    """The request that begins with these bytes; raises Refused."""
    head = await _head(begin, reader)
    if head.value("expect").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await _body(head, reader)
    return Request(head.method, head.target, head.version, head.headers, body)


async def _head(begin: bytes, reader: StreamReader) -> Request:
    room = _HEAD
    line = begin
    while not line.strip() or not line.endswith(b"\n"):  # empty lines before it: RFC 9112 §2.2
        line = line.lstrip() + await _line(reader, room)
        room -= len(line)
    method, target, version = _first(line)
    headers: list[tuple[str, str]] = []
    while (line := await _line(reader, room)).strip(b"\r\n"):
        room -= len(line)
        headers.append(_header(line))
    request = Request(method, target, version, tuple(headers))
    hosts = [key for key, _ in headers if key.lower() == "host"]
    if len(hosts) > 1 or (version == "HTTP/1.1" and not hosts):
        raise Refused(400, "a request names its host once")
    return request


async def _line(reader: StreamReader, room: int) -> bytes:
    try:
        line = await reader.readline()
    except ValueError:
        raise Refused(431, "the header is too large") from None
    if not line.endswith(b"\n"):
        raise EOFError
    if len(line) > room:
        raise Refused(431, "the header is too large")
    return line


def _first(line: bytes) -> tuple[str, str, str]:
    words = line.decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise Refused(400, "this is no HTTP request")
    method, target, version = words
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise Refused(505, "only HTTP/1.1 and 1.0 are spoken here")
    if method not in _METHODS:
        raise Refused(501, "no such method")
    return method, target, version


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.decode("latin-1").partition(":")
    if not colon or not name or not _TOKEN.issuperset(name.lower()):
        raise Refused(400, "a header is not as it should be")
    return name, value.strip()


async def _body(head: Request, reader: StreamReader) -> bytes:
    codings, lengths = head.values("transfer-encoding"), set(head.values("content-length"))
    if codings:
        if codings != ["chunked"]:
            raise Refused(501, "only chunked is understood")
        if lengths:
            raise Refused(400, "a length and chunks")
        return await _chunks(reader)
    if not lengths:
        return b""
    text = lengths.pop()
    if lengths or not (text.isascii() and text.isdigit()):
        raise Refused(400, "the length makes no sense")
    if len(text) > 9 or int(text) > _BODY:
        raise Refused(413, "the body is too large")
    return await reader.readexactly(int(text))


async def _chunks(reader: StreamReader) -> bytes:
    body = bytearray()
    while size := _size(await _line(reader, 256)):
        if len(body) + size > _BODY:
            raise Refused(413, "the body is too large")
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Refused(400, "a chunk is longer than it says")
    room = _HEAD
    while (line := await _line(reader, room)).strip(b"\r\n"):
        room -= len(line)
    return bytes(body)


def _size(line: bytes) -> int:
    text = line.partition(b";")[0].strip()
    if not text or len(text) > 8 or text.strip(b"0123456789abcdefABCDEF"):
        raise Refused(400, "a chunk's size makes no sense")
    return int(text, 16)
