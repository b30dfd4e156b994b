"""What a Store knows becomes a file that the next process serves while no API server answers.

A file is MAGIC, which names the format with its fields, the owner's digest, frames, and a checksum
of all that. A frame is a length and that much: compressed, a kind with up to CHUNK objects; the
last frame is empty. The file is written beside the old one and takes its place whole.
Writing happens in a thread that lets go of the interpreter after every frame.
"""

import asyncio
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import BinaryIO, Final

from msgspec import msgpack

from kdns.cluster.objects import Namespace, Object, Pod, Port, Service, ServiceImport, Slice

log = logging.getLogger("kdns.kubernetes")

KINDS: Final[tuple[type[Object], ...]] = (Namespace, Service, Slice, Pod, ServiceImport)
"""A frame names its kind by the place in here."""
CHUNK: Final = 100
"""Objects a frame: the interpreter is held for no more of them at a time."""
PAUSE_S: Final = 0.0005
EVERY_S: Final = 30.0
"""A snapshot is written no more often than this."""
DIGEST_BYTES: Final = 32
LENGTH_BYTES: Final = 4


def digest(text: str) -> bytes:
    """What stands in a file for a text."""
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def _fields() -> str:
    kinds = (*KINDS, Port)
    return ";".join(f"{kind.__name__}:{sorted(kind.__annotations__.items())}" for kind in kinds)


MAGIC: Final = b"kdns snapshot 1 " + digest(_fields()).hex()[:16].encode() + b"\n"
"""Another format, or objects with other fields, is a file of another version of kdns."""


class Keeper:
    """Writes the snapshot of a Store when it is due."""

    def __init__(
        self,
        path: str,
        owner: str,
        objects: Callable[[], Iterable[list[Object]]],
        clock: Callable[[], float],
    ) -> None:
        self._path = path
        self._owner = owner
        self._objects = objects
        self._clock = clock
        self._written_at = float("-inf")
        self._edition = -1
        self._changed = asyncio.Event()
        self._busy = threading.Lock()
        self._has_failed = False

    def changed_to(self, edition: int) -> None:
        """Says which edition the Store is at, all of which the API server told."""
        if edition != self._edition:
            self._edition = edition
            self._changed.set()

    async def run(self) -> None:
        """Writes whenever there is something new, and EVERY_S has passed since the last time."""
        while True:
            await self._changed.wait()
            wait = self._written_at + EVERY_S - self._clock()
            if wait > 0:
                await asyncio.sleep(wait)
            await self.write()

    async def write(self) -> None:
        """Writes now what is not written yet; a failure is told once and tried again."""
        if not self._changed.is_set():
            return
        self._changed.clear()
        self._written_at = self._clock()
        objects: list[Object] = []
        for part in self._objects():
            objects += part
            await asyncio.sleep(0)
        try:
            await asyncio.to_thread(self._write, objects)
        except OSError as error:
            self._changed.set()
            if not self._has_failed:
                log.warning(
                    "snapshot %s: cannot be written: %s; is its directory there and writable? "
                    "It is tried again every %g s",
                    self._path, error.strerror, EVERY_S,
                )  # fmt: skip
            self._has_failed = True
        else:
            if self._has_failed:
                log.info("snapshot %s: written again", self._path)
            self._has_failed = False

    def _write(self, objects: Sequence[Object]) -> None:
        with self._busy:  # the stop may fall into a write, and a thread cannot be cancelled
            write(self._path, self._owner, objects)


def write(path: str, owner: str, objects: Sequence[Object]) -> None:
    """Writes a file that holds these objects; the old one stays until it is whole."""
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            _fill(file, owner, objects)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
    at = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


def _fill(file: BinaryIO, owner: str, objects: Sequence[Object]) -> None:
    checksum = blake2b(digest_size=DIGEST_BYTES)

    def put(octets: bytes) -> None:
        checksum.update(octets)
        file.write(octets)

    encode = msgpack.Encoder().encode
    put(MAGIC + digest(owner))
    first = 0
    while first < len(objects):
        kind, last = type(objects[first]), first
        while last < len(objects) and last < first + CHUNK and type(objects[last]) is kind:
            last += 1
        packed = bytes((KINDS.index(kind),)) + encode(objects[first:last])
        frame = zlib.compress(packed, 1)
        put(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
        first = last
        time.sleep(PAUSE_S)
    put(bytes(LENGTH_BYTES))
    file.write(checksum.digest())
