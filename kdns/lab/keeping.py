"""The lab's objects in a directory survive a restart: one JSON file, replaced as a whole.

It is written at most once in EVERY_S, later the longer the last writing took, and at the end. A
file that cannot be read is never written over: the lab does not start.

A lab that was killed has given out versions that the file does not know. The next one begins far
above them, so that whoever has seen them is told to list again, and does not miss what comes.
"""

import asyncio
import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from time import perf_counter

import msgspec

from kdns.lab import forms
from kdns.lab.errors import Obj
from kdns.lab.history import Item
from kdns.lab.resources import SERVICES, Resource, by_kind
from kdns.lab.storage import Storage

EVERY_S = 1.0
_SHARE = 10
"""Writing takes at most one part in so many of the time."""
LEAP = 1_000_000
"""More versions than a lab makes before it writes them."""
_LOG = logging.getLogger("kdns.lab")
_FORMAT = "kdns-lab/1"


class DataError(OSError):
    """The directory cannot be used; the message names the file and the remedy."""


class _File(msgspec.Struct):
    """What the file holds; objects stay undecoded until they are counted."""

    format: str
    version: int
    objects: list[Obj]


class Directory:
    """The files of one lab: its objects, and the secret that its tokens are made from."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path / "objects.json"
        self._mark = path / "running"
        self._written = -1
        self._busy = threading.Lock()
        self._lock = -1

    def claim(self) -> None:
        """Makes the directory this lab's own until `release`; DataError if it is another's."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataError(f"cannot use {self._path} for the lab's data: {error}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise DataError(
                f"another lab uses {self._path}: end it, or use a directory of its own"
            ) from None

    def release(self) -> None:
        """Lets others have the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def secret(self) -> bytes:
        """The same bytes in every life of this lab."""
        file = self._path / "secret"
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                replace(file, [secrets.token_hex(32).encode()])
            return file.read_bytes()
        except OSError as error:
            raise DataError(f"cannot use {self._path} for the lab's data: {error}") from None

    def load(self, storage: Storage) -> bool:
        """Fills the storage with what was kept; False when nothing was."""
        try:
            text = self._file.read_bytes() if self._file.exists() else None
            began = int(self._mark.read_bytes() or 0) if self._mark.exists() else None
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read what is in {self._path}: {error}") from None
        if text is None:
            found = _File(_FORMAT, storage.version, [])
        else:
            found = self._decoded(text)
            self._written = found.version
        version = found.version if began is None else max(began, found.version) + LEAP
        try:
            storage.load(_resolved(found.objects), version)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(error) from None
        self._require_fit(storage)
        replace(self._mark, [b"%d" % version])
        return bool(found.objects)

    def _require_fit(self, storage: Storage) -> None:
        """Addresses of another ground are everywhere in the objects, also where users put them."""
        kept = storage.find(SERVICES, "default", "kubernetes") or {"spec": {}}
        here, there = storage.ranges.services, kept["spec"].get("clusterIP")
        if there and ip_address(there) not in here:
            raise DataError(
                f"what is in {self._path} is of a lab whose services are around {there}, and here "
                f"they are in {here}: play it where it was played, or use another directory"
            )

    def _decoded(self, text: bytes) -> _File:
        try:
            found = msgspec.json.decode(text, type=_File)
        except ValueError as error:
            raise self._damaged(error) from None
        if found.format != _FORMAT:
            raise self._damaged(f"its format is {found.format!r}, not {_FORMAT!r}")
        return found

    def _damaged(self, why: object) -> DataError:
        return DataError(f"{self._file} is damaged ({why}): put a copy back, or move it away")

    async def keep(self, storage: Storage) -> None:
        """Writes what changes, until cancelled."""
        pause_s = EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            started = perf_counter()
            await self.write(storage)
            pause_s = max(EVERY_S, (perf_counter() - started) * _SHARE)

    async def end(self, storage: Storage) -> None:
        """The last writing, at an end in order."""
        await self.write(storage)
        if self._written == storage.version:
            self._mark.unlink(missing_ok=True)

    async def write(self, storage: Storage) -> None:
        """Writes the objects if they are others than those in the file; a failure is logged."""
        if storage.version == self._written:
            return
        version, pieces = storage.version, _pieces(storage)
        try:
            await asyncio.to_thread(self._put, pieces)
        except OSError as error:
            _LOG.error("data not written: file=%s error=%s; is the disk full?", self._file, error)
        else:
            self._written = version

    def _put(self, pieces: Iterator[bytes]) -> None:
        with self._busy:  # a writing that was cancelled goes on in its thread
            replace(self._file, pieces)


def _pieces(storage: Storage) -> Iterator[bytes]:
    """The file; the objects of this moment are taken now, their encoding is left to the reader."""
    items = [item for _, item in storage.dump()]
    head = forms.encode({"format": _FORMAT, "version": storage.version})[:-1] + b',"objects":['
    return _framed(head, items)


def _framed(head: bytes, items: list[Item]) -> Iterator[bytes]:
    yield head
    for place, item in enumerate(items):
        yield (b",\n" if place else b"\n") + forms.whole(item)
    yield b"\n]}\n"


def _resolved(objects: list[Obj]) -> Iterator[tuple[Resource, Obj]]:
    for obj in objects:
        resource = by_kind(obj["apiVersion"], obj["kind"])
        if resource is None:
            raise ValueError(f"it has a {obj['kind']}, which the lab does not know")
        yield resource, obj


def replace(file: Path, pieces: Iterable[bytes]) -> None:
    """Readers see the old file or the new one, also after a crash; nobody else may read it."""
    if file.is_symlink():
        file = file.resolve()
    beside = file.with_name(f"{file.name}.new")
    with beside.open("wb") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.writelines(pieces)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
