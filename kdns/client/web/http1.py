"""Requests over one HTTP/1.1 connection, one after the other, without its socket (RFC 9112).

For servers that agree on nothing better. What is not understood ends the connection.
"""

import re
from collections import deque

from kdns.client.line import UpstreamError
from kdns.client.web.http2 import Come, Headers, Response
from kdns.wire.chunks import Chunks

_MOST_HEAD = 16_384
_MOST_BODY = 70_000
_LENGTH = re.compile(rb"[0-9]{1,9}")


class Http1:
    """The client's side of a connection."""

    busy = 1

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._asked: int | None = None
        """The request under way; -1 when nobody waits for it any more."""
        self._in = bytearray()
        self._head: Response | None = None
        """Of a response whose body is not whole."""
        self._chunks: Chunks | None = None
        self._out = bytearray()
        self.is_over = False

    def ask(self, number: int, headers: Headers, body: bytes) -> None:
        """Takes a request."""
        self._waiting.append((number, _request(headers, body)))
        self._pump()

    def cancel(self, number: int) -> None:
        """Nobody waits for a response any more."""
        self._waiting = deque(one for one in self._waiting if one[0] != number)
        if self._asked == number:
            self._asked = -1

    def out(self) -> bytes:
        """What is to be written now."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def receive(self, octets: bytes) -> Come:
        """The responses that the octets complete; raises UpstreamError for a broken connection."""
        self._in += octets
        come: Come = []
        while self._asked is not None:
            response = self._response()
            if response is None:
                break
            if response.status.startswith("1"):
                continue
            if self._asked >= 0:
                come.append((self._asked, response))
            self._asked = None
            self.is_over = b"close" in response.headers.get(b"connection", b"").lower()
            self._pump()
        return come

    def _response(self) -> Response | None:
        """A whole response; None while there is more to come."""
        if self._head is None:
            self._head = _head(self._in)
        head = self._head
        if head is None:
            return None
        if head.status.startswith("1") or head.status == "204":
            body: bytearray | None = bytearray()
        elif head.headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            body = self._chunked()
        else:
            body = self._counted(head.headers.get(b"content-length", b""))
        if body is None:
            return None
        head.body, self._head, self._chunks = body, None, None
        return head

    def _chunked(self) -> bytearray | None:
        self._chunks = self._chunks or Chunks(_MOST_BODY)
        try:
            del self._in[: self._chunks.take(self._in)]
        except (ValueError, OverflowError) as error:
            raise UpstreamError(f"http: {error}") from error
        return self._chunks.body if self._chunks.is_whole else None

    def _counted(self, word: bytes) -> bytearray | None:
        if not _LENGTH.fullmatch(word):
            raise UpstreamError("http: no length")
        length = int(word)
        if length > _MOST_BODY:
            raise UpstreamError("http: response too long")
        if len(self._in) < length:
            return None
        body = self._in[:length]
        del self._in[:length]
        return body

    def _pump(self) -> None:
        if self._asked is None and self._waiting and not self.is_over:
            self._asked, request = self._waiting.popleft()
            self._out += request


def _request(headers: Headers, body: bytes) -> bytes:
    given = dict(headers)
    lines = [f"{given[':method']} {given[':path']} HTTP/1.1", f"host: {given[':authority']}"]
    lines += [f"{name}: {value}" for name, value in headers if not name.startswith(":")]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _head(held: bytearray) -> Response | None:
    """Takes the head of a response, if it is whole."""
    end = held.find(b"\r\n\r\n")
    if end < 0:
        if len(held) > _MOST_HEAD:
            raise UpstreamError("http: head of a response too long")
        return None
    status, *lines = bytes(held[:end]).split(b"\r\n")
    del held[: end + 4]
    words = status.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise UpstreamError("http: malformed response")
    headers = {b":status": words[1]}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    return Response(headers)
