"""Pieces of a stream become its lines."""

from kdns.cluster.api.failures import Broken

MAX_BYTES = 32 << 20
"""The server's own limit for an object is 3 MB; a line above this one has no end."""


class Lines:
    """Keeps what has no newline yet; a slice of 1,000 endpoints comes in a dozen pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def split(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes."""
        *lines, rest = piece.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces.clear()
            self._size = 0
        if rest:
            self._pieces.append(rest)
            self._size += len(rest)
            if self._size > MAX_BYTES:
                raise Broken(f"the API server sent a line of more than {MAX_BYTES} bytes")
        return lines

    @property
    def is_empty(self) -> bool:
        """False when the last line was cut."""
        return not self._pieces
