"""HTTP/1.1 messages as an ingress must read them: heads, and bodies passed on by their framing.

Strict, so that the endpoint cannot see another request than the front did: no bare line feeds,
folded lines, odd names, repeated or mixed lengths (RFC 9112 §§2.2, 5, 6.3).
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HEAD_BYTES = 32 * 1024
MOST_FIELDS = 100
PIECE = 65536
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VERSION = re.compile(rb"HTTP/1\.[01]")
_STATUS = re.compile(rb"(HTTP/1\.[01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LENGTH = re.compile(rb"[0-9]{1,18}")
HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
    b"upgrade", b"proxy-authenticate", b"proxy-authorization",
}  # fmt: skip

Fields = list[tuple[bytes, bytes]]
Write = Callable[[bytes], None]


class MessageError(Exception):
    """A message that is not taken; the status that says so."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A start line of three words, and fields."""

    start: tuple[bytes, bytes, bytes]
    fields: Fields

    def all(self, name: bytes) -> list[bytes]:
        """The values of a field, one for each line."""
        return [value for key, value in self.fields if key.lower() == name]

    def words(self, name: bytes) -> list[bytes]:
        """The members of a field that is a list, in small letters."""
        joined = b",".join(self.all(name)).lower()
        return [word for part in joined.split(b",") if (word := part.strip())]

    def end_to_end(self) -> Fields:
        """The fields that are passed on."""
        dropped = HOP_BY_HOP | set(self.words(b"connection"))
        return [(key, value) for key, value in self.fields if key.lower() not in dropped]


async def read_head(reader: asyncio.StreamReader) -> tuple[bytes, Fields] | None:
    """The next start line and its fields; None where the other side has ended."""
    try:
        text = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip(b"\r\n"):
            raise MessageError(400, "the message ends within its head") from None
        return None
    except asyncio.LimitOverrunError:
        raise MessageError(431, f"the head is longer than {HEAD_BYTES} bytes") from None
    lines = text[:-4].split(b"\r\n")
    while lines and not lines[0]:
        del lines[0]  # an empty line before a request is allowed
    if not lines:
        raise MessageError(400, "the message begins with empty lines")
    if len(lines) > MOST_FIELDS + 1:
        raise MessageError(431, f"the head has more than {MOST_FIELDS} fields")
    return lines[0], [_field(line) for line in lines[1:]]


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        raise MessageError(400, "a field's name is malformed, or its line is folded")
    if not _VALUE.fullmatch(value):
        raise MessageError(400, "a field's value holds a control character")
    return name, value.strip(b" \t")


def request(line: bytes, fields: Fields) -> Head:
    """A request's head."""
    words = line.split(b" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]) or not _TARGET.fullmatch(words[1]):
        raise MessageError(400, "the request line is malformed")
    if not _VERSION.fullmatch(words[2]):
        raise MessageError(505, "only HTTP/1.1 and 1.0 are spoken here")
    head = Head((words[0], words[1], words[2]), fields)
    hosts = head.all(b"host")
    if len(hosts) > 1 or (not hosts and words[2] == b"HTTP/1.1"):
        raise MessageError(400, "there must be one Host")
    if words[0] == b"CONNECT":
        raise MessageError(405, "CONNECT is for proxies")
    return head


def response(line: bytes, fields: Fields) -> Head:
    """A response's head."""
    found = _STATUS.fullmatch(line)
    if not found:
        raise MessageError(502, "the endpoint speaks no HTTP/1.1")
    return Head((found[1], found[2], found[3] or b""), fields)


CHUNKED, TO_THE_END = -1, -2


def length_of(head: Head, *, without: int) -> int:
    """How long the body is, or CHUNKED; `without` is what it means that nothing is said."""
    coded, lengths = head.all(b"transfer-encoding"), head.all(b"content-length")
    if coded and lengths:
        raise MessageError(400, "Content-Length and Transfer-Encoding exclude each other")
    if coded:
        if head.words(b"transfer-encoding") != [b"chunked"]:
            raise MessageError(501, "the only transfer coding that is known is chunked")
        if b"HTTP/1.0" in head.start:
            raise MessageError(400, "HTTP/1.0 has no transfer codings")
        return CHUNKED
    if not lengths:
        return without
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise MessageError(400, "Content-Length is malformed, or stands twice")
    return int(lengths[0])


async def pass_body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int, *, is_chunked: bool
) -> None:
    """Passes a body on; one that came in chunks goes on in chunks where the other side can."""
    if length == CHUNKED:
        await _pass_chunks(reader, writer, is_chunked=is_chunked)
        return
    left = length
    while left:
        piece = await reader.read(PIECE if left < 0 else min(PIECE, left))
        if not piece and left > 0:
            raise MessageError(400, "the body ends too early")
        if not piece:
            return
        writer.write(piece)
        await writer.drain()
        left -= len(piece) if left > 0 else 0


async def _pass_chunks(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_chunked: bool
) -> None:
    while size := await _chunk_size(reader):
        if is_chunked:
            writer.write(b"%x\r\n" % size)
        await pass_body(reader, writer, size, is_chunked=False)
        if await reader.readexactly(2) != b"\r\n":
            raise MessageError(400, "a chunk is longer than it says")
        if is_chunked:
            writer.write(b"\r\n")
    for _ in range(MOST_FIELDS):
        if await _line(reader) == b"":
            break  # trailers are dropped
    else:
        raise MessageError(400, "too many trailers")
    if is_chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    size, _, _ = (await _line(reader)).partition(b";")
    if not _SIZE.fullmatch(size.rstrip(b" \t")):
        raise MessageError(400, "the size of a chunk is malformed")
    return int(size, 16)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readuntil(b"\r\n")
    except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
        raise MessageError(400, "a chunk is malformed") from None
    if b"\n" in line[:-2] or b"\r" in line[:-2]:
        raise MessageError(400, "a chunk is malformed")
    return line[:-2]


def head_bytes(start: Sequence[bytes], fields: Fields) -> bytes:
    """A head as it is sent."""
    lines = [b" ".join(start), *(key + b": " + value for key, value in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n"
