"""What several workers print on one standard output: lines stay whole, and are not said N times."""

import io
import logging
import os
from typing import Final

PIECE: Final = 4096
"""A pipe takes so much in one piece (POSIX: at least 512; Linux: 4096)."""


class WholeLines(io.TextIOBase):
    """Standard output that writes as many whole lines at a time as stay together."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, text: str) -> int:
        """Writes; a line that is longer than a piece may be torn."""
        octets = memoryview(text.encode())
        while octets:
            end = len(octets)
            if end > PIECE:
                end = bytes(octets[:PIECE]).rfind(b"\n") + 1 or PIECE
            octets = octets[os.write(self._fd, octets[:end]) :]
        return len(text)

    def fileno(self) -> int:
        """The descriptor written to."""
        return self._fd


class Quiet(logging.Filter):
    """Passes what only this worker knows: queries, warnings, errors."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what the lead says as well."""
        return record.levelno != logging.INFO or getattr(record, "entries", None) is not None
