"""A SPDY connection becomes connections into a pod: two streams each, one for what passes and one
for what goes wrong (`portforward.k8s.io`). Nothing that one client sends harms another.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from kdns.lab.doors import crossing, spdy
from kdns.lab.doors.crossing import Crossing, Held, UnreachableError, Ways
from kdns.lab.doors.duties import until_first
from kdns.lab.doors.spdy import Frame, Octets, Opened, Ping, Reset, SpdyError
from kdns.lab.doors.wires import LEAVE_S, Wire
from kdns.lab.errors import Obj

_LOG = logging.getLogger("kdns.lab")
MOST = 256
"""Streams of one client at once."""
PULSE_S = 10.0
"""Who has gone without a word is noticed by it, also while nothing is read from him."""
_DATA, _ERROR = "data", "error"
_NUMBERS = 1 << 31


@dataclass(eq=False, slots=True)
class _Lane:
    """One connection, by its two streams."""

    request: str
    crossing: Crossing
    streams: dict[str, int] = field(default_factory=dict)
    port: int = 0
    task: asyncio.Task[None] | None = None


class Streams:
    """Those of one client to one pod."""

    def __init__(self, wire: Wire, ways: Ways, pod: Obj) -> None:
        self._wire = wire
        self._ways = ways
        self._pod = pod
        self._writer = spdy.Writer()
        self._held = Held()
        self._open: dict[int, tuple[_Lane, str]] = {}
        self._half: dict[str, _Lane] = {}
        """Those of which one stream has come; by what joins the two."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0

    async def run(self) -> None:
        """Until the client goes, or sends what cannot be understood."""
        try:
            await until_first(self._listen(), self._beat())
        except ConnectionError:
            return  # the client has gone
        except SpdyError as error:
            name = f"{self._pod['metadata']['namespace']}/{self._pod['metadata']['name']}"
            _LOG.warning("port-forward: a client of %s is cut off: %s", name, error)
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._wire.write(spdy.goaway(self._last, spdy.PROTOCOL_ERROR))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        reader = spdy.Reader()
        while octets := await self._wire.read():
            for frame in reader.feed(octets):
                await self._take(frame)
                await self._held.room()

    async def _beat(self) -> None:
        for number in count(2, 2):
            await asyncio.sleep(PULSE_S)
            await self._wire.write(spdy.ping(number % _NUMBERS))

    async def _take(self, frame: Frame) -> None:
        if isinstance(frame, Octets):
            self._pass(frame)
        elif isinstance(frame, Opened):
            await self._welcome(frame)
        elif isinstance(frame, Reset):
            await self._drop(frame.stream)
        elif isinstance(frame, Ping) and frame.number % 2:
            await self._wire.write(spdy.ping(frame.number))

    def _pass(self, frame: Octets) -> None:
        lane, kind = self._open.get(frame.stream, (None, ""))
        if lane is None or kind != _DATA:
            return  # it has ended here while that was under way, or says nothing to us
        lane.crossing.put(frame.octets)
        if frame.is_end:
            lane.crossing.finish()

    async def _welcome(self, frame: Opened) -> None:
        """A new stream, and a connection when it is the second of two."""
        stream = frame.stream
        if not stream % 2 or stream <= self._last:
            await self._wire.write(spdy.reset(stream, spdy.PROTOCOL_ERROR))
            return
        self._last = stream
        kind = frame.headers.get("streamtype", "")
        port = crossing.port(frame.headers.get("port", ""))
        request = frame.headers.get("requestid") or _request(stream, kind)
        lane = self._half.get(request) or _Lane(request, Crossing(self._held))
        is_known = kind in {_DATA, _ERROR} and kind not in lane.streams
        if not (is_known and port) or len(self._open) >= MOST:
            await self._wire.write(spdy.reset(stream, spdy.REFUSED))
            return
        self._half[request] = lane
        lane.streams[kind] = stream
        self._open[stream] = lane, kind
        await self._wire.write(self._writer.replied(stream))
        if kind == _DATA:
            lane.port = port
            if frame.is_end:
                lane.crossing.finish()
        if len(lane.streams) == 2:
            del self._half[request]
            self._start(lane)

    def _start(self, lane: _Lane) -> None:
        lane.task = asyncio.create_task(self._carry(lane))
        self._tasks.add(lane.task)
        lane.task.add_done_callback(self._gone)

    def _gone(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("port-forward: a connection failed: %r", error, exc_info=error)

    async def _carry(self, lane: _Lane) -> None:
        why = b""
        try:
            async with self._ways.joined(self._pod, lane.port) as connection:
                await lane.crossing.carry(connection, partial(self._give, lane.streams[_DATA]))
        except UnreachableError as error:
            why = str(error).encode()
        finally:
            lane.crossing.forget()
        with suppress(ConnectionError):
            await self._end(lane.streams[_ERROR], why)
            await self._end(lane.streams[_DATA])

    async def _give(self, stream: int, octets: bytes) -> None:
        await self._wire.write(spdy.piece(stream, octets))

    async def _end(self, stream: int, last: bytes = b"") -> None:
        """Our side of a stream. It is never reset: kubectl would take that for the pod's end."""
        if self._open.pop(stream, None):
            await self._wire.write(spdy.piece(stream, last, is_end=True))

    async def _drop(self, stream: int) -> None:
        """The client wants nothing more of a stream; without its data a connection is over."""
        lane, kind = self._open.pop(stream, (None, ""))
        if lane is None:
            return
        if self._half.get(lane.request) is lane:
            del self._half[lane.request]
        if kind == _ERROR and lane.task:
            return
        if lane.task:
            lane.task.cancel()
        lane.crossing.forget()
        for other in lane.streams.values():
            await self._end(other)


def _request(stream: int, kind: str) -> str:
    """What old clients mean who do not say it: the stream for data follows that for errors."""
    return f"stream {stream - 2 if kind == _DATA else stream}"
