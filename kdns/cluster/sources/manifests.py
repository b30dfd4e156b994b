"""Files and folders of manifests become events, and again whenever the files change.

A path is a file, or a folder whose *.yaml, *.yml and *.json are read in the order of their names
(one level, hidden ones left out). Files are looked at every INTERVAL_S by `stat` and read when it
or their content changed, so rewritten files and the symlink swap of a ConfigMap are seen. A file
that cannot be read or understood keeps its last good state; a deleted one takes its objects along.
`Synced` comes once every named path has been read; until then nothing is answered for sure.
Changes come as a Replace for each kind that differs: a service never passes through half a change.
"""

import asyncio
import errno
import logging
import os
import stat
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import cast

from kdns.cluster import documents
from kdns.cluster.allocate import Ranges
from kdns.cluster.assembly import Found, World, assemble
from kdns.cluster.objects import Object
from kdns.cluster.parse import Thing, parse
from kdns.cluster.store import Event, Replace, Synced

log = logging.getLogger("kdns.manifests")

INTERVAL_S = 1.0
MAX_BYTES = 32 << 20
"""A cluster of 10,000 services dumped with its pods stays below; above, reading takes minutes."""
MAX_WARNINGS = 20
"""Broken objects of a file that are named; the rest are counted."""
_YOUNG_S = 2.0
"""Within the grain of file times a second write may leave `stat` as it was."""
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(slots=True)
class _File:
    """What is known of a file."""

    seen: tuple[int, ...] = ()
    digest: bytes = b""
    found: Sequence[Found] | None = None
    """Its last good state, None before the first."""
    is_good: bool = False
    """False while some document of `found`'s text could not be read."""
    trouble: str = ""
    """Why the file cannot be opened now."""


@dataclass(slots=True)
class _Folder:
    """What is known of a folder."""

    files: list[str]
    trouble: str = ""


class Manifests:
    """The source of a cluster described in files."""

    def __init__(
        self, paths: Sequence[str], *, interval_s: float = INTERVAL_S, ranges: Ranges | None = None
    ) -> None:
        self._paths = paths
        self._interval_s = interval_s
        self._ranges = ranges or Ranges()
        self._files: dict[str, _File] = {}
        self._folders: dict[str, _Folder] = {}
        self._world = World({})

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """A Replace for every kind that changed; Synced after the first whole state."""
        has_synced = False
        while True:
            # A thread, since parsing takes its time; it hands the loop its turn every few ms.
            kinds, is_whole = await asyncio.to_thread(self._look)
            for kind in kinds:
                yield Replace(kind, self._world.objects[kind])
            if is_whole and not has_synced:
                has_synced = True
                yield Synced()
            await asyncio.sleep(self._interval_s)

    def _look(self) -> tuple[list[type[Object]], bool]:
        """Reads what changed: the kinds that differ, and whether every named path was read."""
        names = list(dict.fromkeys(name for path in self._paths for name in self._list(path)))
        changed = [self._read(name) for name in names]
        gone = self._files.keys() - set(names)
        for name in gone:
            del self._files[name]
        if not (any(changed) or gone or not self._world.objects):
            return [], self._is_whole()
        found = [one for name in names for one in self._files[name].found or ()]
        old, self._world = self._world, assemble(found, self._ranges)
        for warning in self._world.warnings:
            if warning not in old.warnings:
                log.warning("%s", warning)
        kinds = [kind for kind, new in self._world.objects.items() if old.objects.get(kind) != new]
        return kinds, self._is_whole()

    def _is_whole(self) -> bool:
        """True when every named path is a folder that was listed or a file that was read."""
        return all(
            path in self._folders or (path in self._files and self._files[path].found is not None)
            for path in self._paths
        )

    def _list(self, path: str) -> list[str]:
        """The files a path stands for; the path itself when it is none or cannot be looked at."""
        try:
            if not stat.S_ISDIR(os.stat(path).st_mode):
                return [path]
            names = sorted(name for name in os.listdir(path) if is_manifest(name))
        except OSError as error:
            return self._keep(path, error)
        files = [os.path.join(path, name) for name in names]
        self._folders[path] = _Folder(files)
        return files

    def _keep(self, path: str, error: OSError) -> list[str]:
        """What a folder held before it could not be listed any more."""
        folder = self._folders.get(path)
        if folder is None or isinstance(error, FileNotFoundError):
            return [path]
        if folder.trouble != str(error):
            log.warning("%s: %s; what it held stays", path, error.strerror)
            folder.trouble = str(error)
        return folder.files

    def _read(self, name: str) -> bool:
        """Reads a file again if it changed; True when its objects may have."""
        file = self._files.setdefault(name, _File())
        try:
            text = _text(name, file)
        except FileNotFoundError as error:
            had, was = bool(file.found), file.found is not None
            outcome = "; what it held is gone" if was else ""
            _complain(file, f"{name}: {error.strerror}{outcome}")
            self._files[name] = _File(found=() if was else None, trouble=file.trouble)
            return had
        except OSError as error:
            _complain(file, f"{name}: {error.strerror}; its last good state stays")
            return False
        file.trouble = ""
        return text is not None and _take(name, file, text)


def is_manifest(name: str) -> bool:
    """True for a name that is read in a folder."""
    return name.endswith(_SUFFIXES) and not name.startswith(".")


def _complain(file: _File, trouble: str) -> None:
    """Warns of a trouble once while it lasts."""
    if trouble != file.trouble:
        log.warning("%s", trouble)
        file.trouble = trouble


def _text(name: str, file: _File) -> str | None:
    """The text of a file, None while it is what it was."""
    found = os.stat(name)
    seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    if seen == file.seen and time.time() - found.st_mtime > _YOUNG_S:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", name)
    if found.st_size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"{found.st_size} bytes are more than {MAX_BYTES}", name)
    with open(name, "rb") as opened:
        content = opened.read(MAX_BYTES)
    file.seen = seen
    digest = blake2b(content).digest()
    if digest == file.digest:
        return None
    file.digest = digest
    # What is no UTF-8 becomes a character that YAML refuses, with its line.
    return content.decode(errors="surrogateescape")


def _take(name: str, file: _File, text: str) -> bool:
    """Makes a text the state of its file, unless the state is good and the text is not."""
    if file.found and not text.strip():  # as `kubectl get -o yaml > FILE` leaves it for a while
        _warn(name, ["it is empty"], "the last good state of the file stays")
        return False
    found: list[Found] = []
    broken: list[str] = []
    skipped: list[str] = []
    for one in documents.parse(text, parse):
        if one.error:
            (skipped if one.is_readable else broken).append(f"{one.where}: {one.error}")
        else:
            found.append(Found(f"{name}: {one.where}", cast("Thing", one.thing)))
    if broken and file.is_good:
        _warn(name, broken, "the last good state of the file stays")
        return False
    _warn(name, [*broken, *skipped], "skipped")
    file.found, file.is_good = found, not broken
    return True


def _warn(name: str, errors: Sequence[str], outcome: str) -> None:
    for error in errors[:MAX_WARNINGS]:
        log.warning("%s: %s; %s", name, error, outcome)
    if len(errors) > MAX_WARNINGS:
        log.warning("%s: and %d more", name, len(errors) - MAX_WARNINGS)
