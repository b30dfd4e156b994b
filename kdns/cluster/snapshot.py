"""What a Store knows becomes a file that the next process serves while no API server answers.

A file is MAGIC, which names the format with its fields, the owner's digest, frames, and a checksum
of all that. A frame is a length and that much: compressed, a kind with up to CHUNK objects; the
last frame is empty. The file is written beside the old one and takes its place whole. One that
another owner has put there since is left alone: it is of who comes after us.
Writing happens in a thread that lets go of the interpreter after every frame.
"""

import asyncio
import logging
import os
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from secrets import token_hex
from typing import BinaryIO, Final

from msgspec import msgpack

from kdns.cluster.objects import KINDS, More, Object, Port
from kdns.observe.counters import Counters

log = logging.getLogger("kdns.kubernetes")

CHUNK: Final = 100
"""Objects a frame: the interpreter is held for no more of them at a time."""
PAUSE_S: Final = 0.0005
EVERY_S: Final = 30.0
"""A snapshot is written no more often than this."""
LEFT_S: Final = 3600.0
"""What was begun beside a file so long ago, nobody will end: its process was killed."""
DIGEST_BYTES: Final = 32
LENGTH_BYTES: Final = 4


def digest(text: str) -> bytes:
    """What stands in a file for a text."""
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def _fields() -> str:
    kinds = (*KINDS, Port, More)
    return ";".join(f"{kind.__name__}:{sorted(kind.__annotations__.items())}" for kind in kinds)


NAME: Final = b"kdns snapshot "
MAGIC: Final = NAME + b"1 " + digest(_fields()).hex()[:16].encode() + b"\n"
"""Another format, or objects with other fields, is a file of another version of kdns."""


class Keeper:
    """Writes the snapshot of a Store when it is due."""

    def __init__(
        self,
        path: str,
        owner: str,
        objects: Callable[[], Iterable[list[Object]]],
        clock: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._counters = counters
        self._path = path
        self._owner = owner
        self._objects = objects
        self._clock = clock
        self._written_at = float("-inf")
        self._edition = -1
        self._changed = asyncio.Event()
        self._busy = threading.Lock()
        self._has_failed = False
        self._has_written = False
        self._is_taken = False

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
        try:
            for part in self._objects():
                objects += part
                await asyncio.sleep(0)
            await asyncio.to_thread(self._write, objects)
        except asyncio.CancelledError:
            self._changed.set()
            raise
        except OSError as error:
            self._changed.set()
            if not self._has_failed:
                log.warning(
                    "snapshot %s: cannot be written: %s; is its directory there and writable? "
                    "It is tried again every %g s",
                    self._path, error.strerror, EVERY_S,
                )  # fmt: skip
            self._has_failed = True
            self._counters.add("kdns_snapshot_failures_total")
        else:
            if self._has_failed:
                log.info("snapshot %s: written again", self._path)
            self._has_failed = False

    def _write(self, objects: Sequence[Object]) -> None:
        with self._busy:  # the stop may fall into a write, and a thread cannot be cancelled
            if self._has_written and _is_taken(self._path, self._owner):
                if not self._is_taken:
                    log.info("snapshot %s: left to another kdns or stanza, by now it has "
                             "written the file", self._path)  # fmt: skip
                self._is_taken = True
                return
            write(self._path, self._owner, objects)
            self._has_written, self._is_taken = True, False


def _is_taken(path: str, owner: str) -> bool:
    """True for a snapshot with other fields or of another owner.

    A reload that changes options, or an upgrade, writes its first before we write our last.
    """
    ours = MAGIC + digest(owner)
    try:
        with open(path, "rb") as file:
            head = file.read(len(ours))
    except OSError:
        return False
    return head.startswith(NAME) and head != ours


def write(path: str, owner: str, objects: Sequence[Object]) -> None:
    """Writes a file that holds these objects; the old one stays until it is whole."""
    folder, name = os.path.split(path)
    _sweep(folder or ".", name)
    # Not by the process's number: two containers that share a directory both have the first.
    beside = os.path.join(folder, f".{name}.{token_hex(4)}.new")
    try:
        with open(beside, "xb") as file:
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


def _sweep(folder: str, name: str) -> None:
    """Takes away what a process that was killed has left beside the file."""
    pattern = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}\.new")
    with suppress(OSError), os.scandir(folder) as found:
        for one in found:
            if pattern.fullmatch(one.name) and one.stat().st_mtime < time.time() - LEFT_S:
                os.unlink(one)


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
