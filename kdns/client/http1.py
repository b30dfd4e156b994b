"""Requests over one HTTP/1.1 connection, one after the other, without its socket (RFC 9112).

For servers that agree on nothing better. What is not understood ends the connection.
"""

from collections import deque

from kdns.client.http2 import Come, Headers, Response
from kdns.client.line import UpstreamError

_MOST_HEAD = 16_384
_MOST_BODY = 70_000


class Http1:
    """The client's side of a connection."""

    busy = 1

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._asked: int | None = None
        """The request under way; -1 when nobody waits for it any more."""
        self._in = bytearray()
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
            found = _response(self._in)
            if found is None:
                break
            response, end = found
            del self._in[:end]
            if response.status.startswith("1"):
                continue
            if self._asked >= 0:
                come.append((self._asked, response))
            self._asked = None
            self.is_over = b"close" in response.headers.get(b"connection", b"").lower()
            self._pump()
        return come

    def _pump(self) -> None:
        if self._asked is None and self._waiting and not self.is_over:
            self._asked, request = self._waiting.popleft()
            self._out += request


def _request(headers: Headers, body: bytes) -> bytes:
    given = dict(headers)
    lines = [f"{given[':method']} {given[':path']} HTTP/1.1", f"host: {given[':authority']}"]
    lines += [f"{name}: {value}" for name, value in headers if not name.startswith(":")]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _response(held: bytearray) -> tuple[Response, int] | None:
    """A whole response and where it ends; None while there is more to come."""
    end = held.find(b"\r\n\r\n")
    if end < 0:
        if len(held) > _MOST_HEAD:
            raise UpstreamError("http: head of a response too long")
        return None
    status, *lines = bytes(held[:end]).split(b"\r\n")
    words = status.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise UpstreamError("http: malformed response")
    headers = {b":status": words[1]}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    if words[1].startswith(b"1") or words[1] == b"204":
        return Response(headers), end + 4
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        found = _chunks(held, end + 4)
        return None if found is None else (Response(headers, found[0]), found[1])
    length = _number(headers.get(b"content-length", b""), 10)
    if len(held) < end + 4 + length:
        return None
    return Response(headers, held[end + 4 : end + 4 + length]), end + 4 + length


def _chunks(held: bytearray, at: int) -> tuple[bytearray, int] | None:
    """A body in chunks, without trailers, and where it ends."""
    body = bytearray()
    while True:
        end = held.find(b"\r\n", at)
        if end < 0:
            return None
        size = _number(bytes(held[at:end]).partition(b";")[0].strip(), 16)
        at = end + 2
        if len(held) < at + size + 2:
            return None
        if held[at + size : at + size + 2] != b"\r\n":
            raise UpstreamError("http: malformed chunk")
        body += held[at : at + size]
        at += size + 2
        if not size:
            return body, at
        if len(body) > _MOST_BODY:
            raise UpstreamError("http: response too long")


def _number(text: bytes, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError as error:
        raise UpstreamError("http: no length") from error
    if not 0 <= number <= _MOST_BODY:
        raise UpstreamError("http: response too long")
    return number
