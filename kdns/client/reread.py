"""A file becomes a value, again when the file is another; what cannot be read keeps the last."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

EVERY_S = 5.0
MOST_BYTES = 65536


class Reread(Generic[T]):
    """A small file and what its text was last parsed to."""

    def __init__(self, path: str, parse: Callable[[str], T], log: logging.Logger) -> None:
        self.path = path
        self.value: T | None = None
        self._parse = parse
        self._log = log
        self._seen: tuple[int, ...] = ()
        self._trouble = ""

    async def refresh(self) -> bool:
        """Reads the file if it is not the one that was last read; True where the value moved."""
        read = await asyncio.to_thread(self._read, self._seen)
        if read is None:
            return False
        before, (self._seen, self.value) = self.value, read
        return before != self.value

    async def follow(self, moved: Callable[[], None]) -> None:
        """Refreshes it from now on."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                if await self.refresh():
                    moved()
                self._trouble = ""
            except OSError as error:
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    self._log.warning(
                        "cannot read %s: %s; what it said last is kept", self.path, error.strerror
                    )

    def _read(self, seen: tuple[int, ...]) -> tuple[tuple[int, ...], T] | None:
        stat = Path(self.path).stat()
        # The inode too: a ConfigMap is swapped by a link, within one tick of the clock.
        now = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if now == seen:
            return None
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return now, self._parse(file.read(MOST_BYTES))
