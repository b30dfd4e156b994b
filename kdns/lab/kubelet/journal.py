"""What the programs in pods write becomes lines with their time, the newest of each container kept.

A container has a record for each run; the last one but one is kept for `kubectl logs --previous`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

KEPT_LINES = 1000
KEPT_BYTES = 256 * 1024
LONGEST = 16 * 1024
"""Of a line; a longer one is broken, as container runtimes do."""


class Line(NamedTuple):
    """One line, without its end."""

    at: float
    text: bytes


class Record:
    """One run of a container."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lines: deque[Line] = deque()
        self._size = 0
        self._dropped = 0
        self._rest = b""
        self._news: asyncio.Event | None = None
        self.has_ended = False

    @property
    def total(self) -> int:
        """How many lines there have been."""
        return self._dropped + len(self._lines)

    def write(self, text: str) -> None:
        """Adds a line."""
        self.feed(text.encode(errors="replace") + b"\n")

    def feed(self, piece: bytes) -> None:
        """Adds what a process wrote, which need not end with a line."""
        *whole, rest = (self._rest + piece).split(b"\n")
        while len(rest) > LONGEST:
            whole.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        self._rest = rest
        for line in whole:
            for start in range(0, max(len(line), 1), LONGEST):
                self._add(line[start : start + LONGEST].removesuffix(b"\r"))
        if whole:
            self._tell()

    def end(self) -> None:
        """Notes that nothing more comes."""
        if self._rest:
            self._add(self._rest)
            self._rest = b""
        self.has_ended = True
        self._tell()

    def since(self, place: int) -> Iterator[Line]:
        """The lines from a place on, of those that are kept."""
        skipped = max(0, place - self._dropped)
        for at, line in enumerate(tuple(self._lines)):
            if at >= skipped:
                yield line

    async def more(self) -> None:
        """Waits for another line, or the end."""
        if self._news is None:
            self._news = asyncio.Event()
        await self._news.wait()

    def _add(self, text: bytes) -> None:
        self._lines.append(Line(self._now(), text))
        self._size += len(text)
        while len(self._lines) > KEPT_LINES or self._size > KEPT_BYTES:
            self._size -= len(self._lines.popleft().text)
            self._dropped += 1

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


class Journal:
    """The records of all containers, by the uid of their pod."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._records: dict[str, dict[str, list[Record]]] = {}

    def begin(self, uid: str, container: str) -> Record:
        """A new record; the one before becomes the previous."""
        runs = self._records.setdefault(uid, {}).setdefault(container, [])
        for one in runs:
            one.end()
        runs.append(Record(self._now))
        del runs[:-2]
        return runs[-1]

    def find(self, uid: str, container: str, *, is_previous: bool = False) -> Record | None:
        """The record of the present run of a container, or of the one before."""
        runs = self._records.get(uid, {}).get(container, [])
        if is_previous:
            return runs[-2] if len(runs) > 1 else None
        return runs[-1] if runs else None

    def drop(self, uid: str) -> None:
        """Forgets a pod that is gone; who follows it comes to the end."""
        for runs in self._records.pop(uid, {}).values():
            for one in runs:
                one.end()
