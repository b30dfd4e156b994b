"""HTTP/1.1 for DNS over HTTPS: requests one after the other, each answered before the next is read.

A client may send the next ones early; they wait in the kernel. Bounds: octets of a head and of a
body. What cannot be told from the start of another request ends the connection (RFC 9112 §6.3).
"""

import re
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from kdns.server.web.forwarded import forwarded
from kdns.server.web.webservices import Fields, Request, Response
from kdns.wire.chunks import Chunks

if TYPE_CHECKING:
    from kdns.server.web.web import Web

MAX_HEAD: Final = 16_384
"""Octets of a request's line and fields."""
MOST_KNOWN: Final = 16
LONGEST_KNOWN: Final = 1024
TOGETHER: Final = 128
"""Pieces that leave in one write."""
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""No octet that another reader could take for the end of a line (RFC 9110 §5.5, RFC 9112 §2.2)."""
_LENGTH: Final = re.compile(r"[0-9]{1,9}")

Head = tuple[Request, int, bool, bool]
"""A request without its body, the length of that (-1 for chunks), whether the connection stays, and
whether the client waits for a word before he sends it."""


class Broken(Exception):
    """No request, and the status that says why; the connection ends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Http1:
    """The server's side of one connection."""

    def __init__(self, web: "Web") -> None:
        self._web = web
        self._buffer = b""
        self._at = 0
        """How much of it is read."""
        self._head: Head | None = None
        """Of the request whose body is not whole."""
        self._body = b""
        self._chunks: Chunks | None = None
        self._out: list[bytes] = []
        """What leaves at the end of the turn."""
        self._known: dict[bytes, Head] = {}
        """Heads that came before: a client repeats himself."""
        self._stays = True
        self._is_busy = False
        self._is_in_turn = False

    @property
    def is_idle(self) -> bool:
        """No request has begun."""
        return not self._buffer and self._head is None and not self._web.is_full

    @property
    def is_over(self) -> bool:
        """No request is being answered."""
        return not (self._is_busy or self._is_in_turn)

    def close(self) -> None:
        """Takes no more requests."""
        self._stays = False

    def end(self) -> None:
        """The end of the stream says so."""

    def receive(self, octets: bytes) -> None:
        """Reads; one request at a time, those that are answered at once in one turn."""
        if self.is_idle and octets:
            self._web.renew()
        self._buffer += octets
        if self._is_in_turn:
            return
        self._is_in_turn = True
        try:
            while self._stays and not self._is_busy and not self._web.is_full and self._next():
                if len(self._out) >= TOGETHER:
                    self._flush()
        except Broken as error:
            self._stays = False
            self._buffer, self._at, self._head = b"", 0, None
            self._is_busy = True
            self._web.refuse(error.status, self._respond)
        finally:
            self._is_in_turn = False
        self._buffer, self._at = self._buffer[self._at :], 0
        self._flush()
        if self._is_busy or not self._stays:
            self._web.hold()

    def _flush(self) -> None:
        if self._out:
            octets = b"".join(self._out)
            self._out.clear()
            self._web.write(octets)

    def _next(self) -> bool:
        """Has the next request answered, if it is whole."""
        if self._head is None:
            at = self._at
            end = self._buffer.find(b"\r\n\r\n", at, at + MAX_HEAD)
            if end < 0:
                if len(self._buffer) - at >= MAX_HEAD:
                    raise Broken(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return False
            self._head = self._read(self._buffer[at:end])
            self._at = end + 4
            if self._head[1] > self._web.service.max_body:
                raise Broken(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            if self._head[3]:
                self._out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
        request, length, stays, _ = self._head
        if not (self._chunked() if length < 0 else self._counted(length)):
            return False
        self._head, self._stays, self._is_busy = None, stays and self._stays, True
        asked = Request(request.method, request.target, request.type, request.forwarded, self._body)
        self._web.serve(asked, self._respond)
        return True

    def _read(self, octets: bytes) -> Head:
        known = self._known.get(octets)
        if known is None:
            known = parse(octets)
            if len(octets) <= LONGEST_KNOWN:
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[octets] = known
        return known

    def _counted(self, length: int) -> bool:
        end = self._at + length
        if len(self._buffer) < end:
            return False
        self._body, self._at = self._buffer[self._at : end], end
        return True

    def _chunked(self) -> bool:
        """Reads chunks; true after the last one."""
        if self._chunks is None:
            self._chunks = Chunks(self._web.service.max_body)
        try:
            self._at += self._chunks.take(self._buffer[self._at :])
        except ValueError:
            raise Broken(HTTPStatus.BAD_REQUEST) from None
        except OverflowError:
            raise Broken(HTTPStatus.REQUEST_ENTITY_TOO_LARGE) from None
        if not self._chunks.is_whole:
            return False
        self._body, self._chunks = bytes(self._chunks.body), None
        return True

    def _respond(self, response: Response) -> None:
        self._is_busy = False
        if not self._stays:
            self._web.is_closing = True
        head = _head(response.status, response.fields, len(response.body), self._stays)
        self._out += (head, response.body)
        if self._is_in_turn:
            return
        self._flush()
        if self._stays:
            self._web.release()
        self._web.settle()


@lru_cache(maxsize=1024)
def _head(status: int, fields: Fields, length: int, stays: bool) -> bytes:
    """The head of a response."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines.append(f"content-length: {length}")
    if not stays:
        lines.append("connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def parse(head: bytes) -> Head:
    """Reads a request's line and fields; raises Broken."""
    lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not (_TOKEN.fullmatch(words[0]) and _VALUE.fullmatch(words[1])):
        raise Broken(HTTPStatus.BAD_REQUEST)
    method, target, version = words
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise Broken(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    fields = [_field(line) for line in lines[1:]]
    kinds = [value for name, value in fields if name == "content-type"]
    type_ = kinds[0].partition(";")[0].strip().lower() if kinds else ""
    length = _length(fields)
    if length < 0 and version == "HTTP/1.0":  # it knows no chunks (RFC 9112 §6.1)
        raise Broken(HTTPStatus.BAD_REQUEST)
    said = ",".join(value for name, value in fields if name == "connection").lower()
    stays = "close" not in said if version == "HTTP/1.1" else "keep-alive" in said
    waits = any(name == "expect" and value.lower() == "100-continue" for name, value in fields)
    request = Request(method, target, type_, forwarded(fields))
    return request, length, stays, waits and length != 0


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
        raise Broken(HTTPStatus.BAD_REQUEST)
    return name.lower(), value.strip(" \t")


def _length(fields: list[tuple[str, str]]) -> int:
    """The length of the body, -1 for chunks; one of both kinds at most (RFC 9112 §6.1)."""
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    lengths = {value for name, value in fields if name == "content-length"}
    if codings:
        if lengths or codings != ["chunked"]:
            raise Broken(HTTPStatus.BAD_REQUEST)
        return -1
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(min(lengths)):
        raise Broken(HTTPStatus.BAD_REQUEST)
    return int(min(lengths))
