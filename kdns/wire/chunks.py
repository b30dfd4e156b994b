"""A body in chunks (RFC 9112 §7.1): octets as they come, the body out. Trailers are for nobody."""

import re

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_MOST_LINE = 256
"""Octets of a chunk's size and what may be said of it."""


class Chunks:
    """One body; every octet is looked at once, however it was cut."""

    def __init__(self, most: int) -> None:
        self.body = bytearray()
        self.is_whole = False
        self._most = most

    def take(self, held: bytes | bytearray) -> int:
        """Reads the chunks that are there; returns how many octets they took.

        Raises ValueError for what is none, OverflowError for a body that is too long.
        """
        at = 0
        while not self.is_whole:
            end = held.find(b"\r\n", at, at + _MOST_LINE)
            if end < 0:
                if len(held) >= at + _MOST_LINE:
                    raise ValueError("no size of a chunk")
                break
            line = bytes(held[at:end])
            word = line.partition(b";")[0].strip(b" \t")
            if not _SIZE.fullmatch(word) or b"\n" in line:  # which others take for its end
                raise ValueError("no size of a chunk")
            size = int(word, 16)
            if len(self.body) + size > self._most:
                raise OverflowError("the body is too long")
            if len(held) < end + 4 + size:
                break
            if held[end + 2 + size : end + 4 + size] != b"\r\n":
                raise ValueError("no end of a chunk")
            self.body += held[end + 2 : end + 2 + size]
            at = end + 4 + size
            self.is_whole = not size
        return at
