"""The bytes of an HTTP/1.1 answer, in whatever pieces they come, become its head and its body.

No sockets here. All three ways in which a body ends are known: a length, chunks, the end of the
connection.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE = 1 << 16
"""Of a head, or of the line before a chunk."""
_DIGITS = 18
"""Of a length that can be meant; Python makes no numbers of thousands of them."""
_NONE = frozenset((204, 304))


class HttpError(OSError):
    """What came is no answer."""


class Reply:
    """One answer while it comes."""

    def __init__(self) -> None:
        self.status = 0
        """0 until the whole head has come."""
        self.headers: dict[str, str] = {}
        """By lower-case name."""
        self.pieces: list[bytes] = []
        """What came of the body and nobody has taken yet."""
        self.is_over = False
        """True when all of the body has come."""
        self.is_last = False
        """True when the connection cannot be used again."""
        self._rest = b""
        self._left = 0
        self._step: Callable[[bytes, int], int] = self._head

    @property
    def has_begun(self) -> bool:
        """True when anything came."""
        return bool(self.status or self._rest)

    def feed(self, data: bytes) -> None:
        """Takes what came; raises HttpError for what is none of HTTP."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, size = 0, len(data)
        while at < size and not self.is_over:
            after = self._step(data, at)
            if after < 0:
                if size - at > MAX_LINE:
                    raise HttpError("it sent a line without an end: it does not speak HTTP")
                self._rest = data[at:]
                return
            at = after
        if at < size:
            raise HttpError("it sent more than an answer")

    def end(self) -> bool:
        """The connection has ended; False when the answer has not."""
        if self._step == self._until_the_end:
            self.is_over = True
        return self.is_over

    def _head(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return -1
        first, *lines = data[at:end].decode("latin-1").split("\r\n")
        version, _, said = first.partition(" ")
        code = said[:3]
        is_code = code.isdecimal() and len(code) == 3 and code[0] != "0"
        if not (version.startswith("HTTP/1.") and is_code):
            raise HttpError("it does not speak HTTP")
        if code[0] == "1":  # not the answer yet
            return end + 4
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.status = int(code)
        self._begin_body(version)
        return end + 4

    def _begin_body(self, version: str) -> None:
        headers = self.headers
        options = headers.get("connection", "").lower()
        self.is_last = "close" in options or (version == "HTTP/1.0" and "keep" not in options)
        length = headers.get("content-length", "")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise HttpError("it compressed what was to come plain")
        if self.status in _NONE or (length == "0" and "transfer-encoding" not in headers):
            self.is_over = True
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._step = self._size
        elif not length:
            self.is_last, self._step = True, self._until_the_end
        elif length.isdecimal() and len(length) <= _DIGITS:
            self._left, self._step = int(length), self._counted
        else:
            raise HttpError("it sent a body of no known length")

    def _until_the_end(self, data: bytes, at: int) -> int:
        self.pieces.append(data[at:])
        return len(data)

    def _counted(self, data: bytes, at: int) -> int:
        after = self._chunk(data, at)
        self.is_over = not self._left
        return after

    def _size(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return -1
        try:
            self._left = int(data[at:end].partition(b";")[0], 16)
        except ValueError:
            raise HttpError("it sent a chunk of no known size") from None
        if self._left < 0:
            raise HttpError("it sent a chunk of no known size")
        self._step = self._chunk if self._left else self._trailer
        return end + 2

    def _chunk(self, data: bytes, at: int) -> int:
        whole = data[at : at + self._left]
        self.pieces.append(whole)
        self._left -= len(whole)
        if not self._left:
            self._step = self._chunk_end
        return at + len(whole)

    def _chunk_end(self, data: bytes, at: int) -> int:
        if len(data) < at + 2:
            return -1
        if data[at : at + 2] != b"\r\n":
            raise HttpError("it sent a chunk of another size than it said")
        self._step = self._size
        return at + 2

    def _trailer(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return -1
        self.is_over = end == at
        return end + 2
