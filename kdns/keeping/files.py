"""A zone file, and all it includes, to a Zone: read in a thread, compiled in steps, and only when
one of the files is another than last time. What is wrong is a ZoneError with file and line.
"""

import asyncio
from os import stat
from pathlib import Path

from kdns.keeping.steps import walked
from kdns.wire.names import Key
from kdns.zone.files.parse import DEEPEST, ZoneError, included, parse
from kdns.zone.files.zone import Zone, compiling

LARGEST_BYTES = 1 << 28
"""A file with all it includes; records take some ten times as much."""
MOST_FILES = 1000

Mark = tuple[tuple[str, int, int, int], ...]
"""Of each file: path, mtime, size, inode. The inode too: a ConfigMap is swapped by a link, within
one tick of the clock."""


class ZoneFile:
    """One file, read as the zone of one name."""

    def __init__(self, apex: Key, path: str) -> None:
        self.apex = apex
        self.path = path
        self._mark: Mark = ()

    def look(self) -> None:
        """Reads it at once, whether it has changed or not; raises what `changed` would."""
        self._mark = ()
        texts = self._read() or {}
        self._mark = ()
        for _ in compiling(self.apex, parse(self.path, self.apex, texts.get)):
            pass

    async def changed(self) -> Zone | None:
        """The zone as the file has it now; None when no file has changed since the last call.

        Raises ZoneError, FileNotFoundError or another OSError: once for each state of the files.
        """
        found = await asyncio.to_thread(self._read)
        if found is None:
            return None
        return await walked(compiling(self.apex, parse(self.path, self.apex, found.get)))

    def _read(self) -> dict[str, str] | None:
        """The text of all files by path; None when they are those read before."""
        if self._mark and _mark([path for path, *_ in self._mark]) == self._mark:
            return None
        self._mark = _mark([self.path])  # also when what follows fails: it fails once
        texts: dict[str, str] = {}
        missing = []
        wanted = [(self.path, 0)]
        size = 0
        while wanted:
            path, depth = wanted.pop()
            if path in texts or depth > DEEPEST:
                continue
            self._check(path, size, len(texts))
            try:
                text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
            except OSError:
                if not depth:
                    raise
                missing.append(path)  # the parser says so, with the line that wants it
                continue
            texts[path] = text
            size += len(text)
            wanted += [(one, depth + 1) for one in included(text, path)]
        self._mark = _mark([self.path, *(path for path in texts if path != self.path), *missing])
        return texts

    def _check(self, path: str, size: int, count: int) -> None:
        """Keeps what is read within bounds."""
        more = _mark([path])[0][2]
        if size + more > LARGEST_BYTES or count >= MOST_FILES:
            most = f"{LARGEST_BYTES >> 20} MiB in {MOST_FILES} files"
            raise ZoneError(f"{self.path} with what it includes is more than {most}")


def _mark(paths: list[str]) -> Mark:
    out = []
    for path in paths:
        try:
            found = stat(path)
        except OSError:
            out.append((path, 0, 0, 0))
        else:
            out.append((path, found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(out)
