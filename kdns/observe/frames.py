"""Frame streams: takes frames to a reader that we call, or to readers that call us.

Frames are put into a bounded queue and written by a task of its own. While a reader is slow or not
there the queue fills up, then what is new is dropped and counted: nobody who puts ever waits.
(Frame Streams, bidirectional: READY, ACCEPT and START, then data frames, STOP at the end.)
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from struct import pack, unpack

from kdns.observe import streams

log = logging.getLogger("kdns.dnstap")

ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
_CONTENT_TYPE = 1
_LONGEST_CONTROL = 512
CONNECT_S, HANDSHAKE_S = 5.0, 5.0
AGAIN_S = 1.0
"""How long until a reader that is not there is tried again."""
_AT_ONCE = 256
"""Frames written together."""
MOST_READERS = 16


@dataclass(frozen=True, slots=True)
class Address:
    """Where a reader is, or where we wait for one."""

    text: str
    path: str = ""
    """Of a unix socket; else a host and a port."""
    host: str = ""
    port: int = 0
    is_secure: bool = False
    is_checked: bool = True
    """The certificate must be right."""


class Queue:
    """Frames for one reader: so many of them at most, of so many octets."""

    def __init__(self, most: int, most_bytes: int, dropped: Callable[[int], None]) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self._dropped = dropped
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._some = asyncio.Event()

    def put(self, frames: list[bytes]) -> None:
        """Takes frames, or drops those for which there is no room."""
        for at, one in enumerate(frames):
            if len(self._frames) >= self.most or self._bytes + len(one) > self.most_bytes:
                self._dropped(len(frames) - at)
                break
            self._frames.append(one)
            self._bytes += len(one)
        self._some.set()

    async def some(self) -> bytes:
        """The next frames, as soon as there are any."""
        while not self._frames:
            self._some.clear()
            await self._some.wait()
        return self.now(_AT_ONCE)

    def now(self, most: int) -> bytes:
        """The frames there are, this many at most."""
        out = b"".join([self._frames.popleft() for _ in range(min(most, len(self._frames)))])
        self._bytes -= len(out)
        return out


class Sink:
    """Carries frames of one content type to an address, from `run` on."""

    def __init__(
        self,
        address: Address,
        content_type: bytes,
        queue: Queue,
        sent: Callable[[int], None],
    ) -> None:
        self.address = address
        self._type = content_type
        self._queue = queue
        self._sent = sent

    def put(self, frames: list[bytes]) -> None:
        """Takes frames; never waits."""
        self._queue.put(frames)

    async def run(self) -> None:
        """Connects, writes and connects again, until cancelled."""
        was_there = True
        while True:
            try:
                reader, writer = await asyncio.wait_for(self._connect(), CONNECT_S)
                await _greet(reader, writer, self._type)
                log.info("writing to %s", self.address.text)
                was_there = True
                await _write(reader, writer, self._queue, self._sent)
            except (OSError, EOFError, TimeoutError) as error:
                if was_there:
                    why = str(error) or type(error).__name__
                    log.warning("no reader at %s (%s): trying again", self.address.text, why)
                was_there = False
            await asyncio.sleep(AGAIN_S)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        to = self.address
        if to.path:
            return await asyncio.open_unix_connection(to.path)
        if not to.is_secure:
            return await asyncio.open_connection(to.host, to.port)
        context = ssl.create_default_context()
        if not to.is_checked:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return await asyncio.open_connection(to.host, to.port, ssl=context)


class Door:
    """Listens at an address, and carries frames to each of those who call there."""

    def __init__(
        self,
        address: Address,
        content_type: bytes,
        queue: Callable[[], Queue],
        sent: Callable[[int], None],
    ) -> None:
        self.address = address
        self._type = content_type
        self._queue = queue
        self._sent = sent
        self._queues: list[Queue] = []
        self._serving: set[asyncio.Task[None] | None] = set()

    def put(self, frames: list[bytes]) -> None:
        """Takes frames for all who are there; never waits."""
        for queue in self._queues:
            queue.put(frames)

    async def run(self) -> None:
        """Listens until cancelled."""
        at = self.address
        while True:
            try:
                if at.path:
                    server = await asyncio.start_unix_server(self._serve, at.path)
                else:
                    server = await asyncio.start_server(self._serve, at.host or None, at.port)
            except OSError as error:
                log.warning("cannot listen at %s (%s): trying again", at.text, error.strerror)
                await asyncio.sleep(AGAIN_S)
                continue
            try:
                await server.serve_forever()
            finally:
                server.close()
                for task in self._serving:
                    if task is not None:
                        task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._queues) >= MOST_READERS:
            writer.close()
            return
        queue, task = self._queue(), asyncio.current_task()
        self._serving.add(task)
        try:
            await _greet(reader, writer, self._type)
            self._queues.append(queue)
            await _write(reader, writer, queue, self._sent)
        except (OSError, EOFError, TimeoutError) as error:
            log.info("a reader at %s is gone: %s", self.address.text, error)
        except asyncio.CancelledError:
            pass  # the end of the server: asyncio would print a traceback
        finally:
            self._serving.discard(task)
            if queue in self._queues:
                self._queues.remove(queue)


def control(kind: int, content_type: bytes = b"") -> bytes:
    """A control frame."""
    body = pack("!I", kind)
    if content_type:
        body += pack("!II", _CONTENT_TYPE, len(content_type)) + content_type
    return pack("!II", 0, len(body)) + body


async def _greet(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content_type: bytes
) -> None:
    """Agrees with the reader on what it will get."""
    is_ready = False
    try:
        writer.write(control(READY, content_type))
        kind, body = await asyncio.wait_for(_control(reader), HANDSHAKE_S)
        is_ready = kind == ACCEPT and content_type in body
    finally:
        if not is_ready:
            streams.close(writer)
    if not is_ready:
        raise EOFError("it is no reader of dnstap")
    writer.write(control(START, content_type))


async def _control(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    zero, size = unpack("!II", await reader.readexactly(8))
    if zero or not 4 <= size <= _LONGEST_CONTROL:
        raise EOFError("it does not speak frame streams")
    body = await reader.readexactly(size)
    return unpack("!I", body[:4])[0], body[4:]


async def _write(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    queue: Queue,
    sent: Callable[[int], None],
) -> None:
    """Writes frames until the reader leaves; at the end what is there, and that it is the end."""
    # Whatever a reader says now is that it leaves.
    leaving = asyncio.ensure_future(reader.read(1))

    def abort(left: "asyncio.Task[bytes]") -> None:
        if not left.cancelled():
            left.exception()  # how it left does not matter, but asyncio would say so
        writer.transport.abort()

    leaving.add_done_callback(abort)
    try:
        while not leaving.done():
            octets = await queue.some()
            writer.write(octets)
            await writer.drain()
            sent(len(octets))
        raise EOFError("it left")
    except asyncio.CancelledError:
        leaving.remove_done_callback(abort)
        if writer.transport.get_write_buffer_size():
            writer.transport.abort()  # it does not read, and would be waited for
        else:
            writer.write(queue.now(queue.most) + control(STOP))
        raise
    finally:
        leaving.cancel()
        streams.close(writer)
