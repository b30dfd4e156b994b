"""A snapshot that an earlier process wrote becomes events.

The whole file is checked before the first event: one that is damaged, cut off, of another version
of kdns or of another cluster or selection raises SnapshotError and is left as it is. Reading
happens in a thread, in bites that hold the interpreter no longer than writing did.
"""

import asyncio
import os
import time
import zlib
from collections.abc import AsyncGenerator, Iterator
from hashlib import blake2b
from itertools import chain, islice
from sys import intern
from typing import Any, BinaryIO

import msgspec
from msgspec import msgpack
from msgspec.structs import astuple

from kdns.cluster.objects import KINDS, Object
from kdns.cluster.snapshot import DIGEST_BYTES, LENGTH_BYTES, MAGIC, PAUSE_S, digest
from kdns.cluster.store import Event, Put, Synced

_BITE = 1 << 18
_AT_ONCE = 10
"""Frames that are read before somebody may apply them."""
_LONGEST = 64 << 20
"""No hundred objects are as long."""


class SnapshotError(Exception):
    """Why a snapshot is not used."""


class Snapshot:
    """The source of what an earlier process knew."""

    def __init__(self, path: str, owner: str) -> None:
        self._path = path
        self._owner = owner
        self.written_at = 0.0
        """Unix time of the file, known once it has been opened."""

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """A Put for every object, then Synced. Raises SnapshotError, before anything else."""
        try:
            file = await asyncio.to_thread(open, self._path, "rb")
        except OSError as error:
            raise SnapshotError(error.strerror) from error
        with file:
            self.written_at = os.fstat(file.fileno()).st_mtime
            try:
                await asyncio.to_thread(_check, file, self._owner)
                frames = _frames(file)
                while some := await asyncio.to_thread(list, islice(frames, _AT_ONCE)):
                    for one in chain.from_iterable(some):
                        yield Put(one, is_chosen=True)
            except (OSError, ValueError, zlib.error, msgspec.DecodeError) as error:
                raise SnapshotError(f"it cannot be read: {error}") from error
        yield Synced()


def _check(file: BinaryIO, owner: str) -> None:
    """Leaves the file at its first frame, or raises SnapshotError."""
    head = file.read(len(MAGIC) + DIGEST_BYTES)
    if head[: len(MAGIC)] != MAGIC:
        raise SnapshotError("it is no snapshot of this version of kdns")
    if head[len(MAGIC) :] != digest(owner):
        raise SnapshotError("it is of another API server or of other options of the stanza")
    left = os.fstat(file.fileno()).st_size - len(head) - DIGEST_BYTES
    checksum = blake2b(head, digest_size=DIGEST_BYTES)
    while left > 0 and (bite := file.read(min(left, _BITE))):
        checksum.update(bite)
        left -= len(bite)
    if file.read() != checksum.digest():
        raise SnapshotError("it is damaged or cut off")
    file.seek(len(head))


def _frames(file: BinaryIO) -> Iterator[list[Object]]:
    """The objects of each frame."""
    while length := int.from_bytes(file.read(LENGTH_BYTES), "big"):
        packed = zlib.decompressobj().decompress(file.read(length), _LONGEST)
        kind = KINDS[packed[0]]
        found = msgpack.decode(memoryview(packed)[1:], type=list[kind])  # type: ignore[valid-type]  # a kind by its number
        time.sleep(PAUSE_S)
        yield [kind(*map(_interned, astuple(one))) for one in found]


def _interned(value: Any) -> Any:  # Any: a field of any object, as it was
    """Strings that many objects have are kept once, as when the API tells them."""
    if type(value) is str:
        return intern(value)
    if type(value) is tuple:
        return tuple(map(_interned, value))
    if isinstance(value, msgspec.Struct):
        return type(value)(*map(_interned, astuple(value)))
    return value
