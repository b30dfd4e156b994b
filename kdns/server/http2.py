"""HTTP/2 for DNS over HTTPS and gRPC: streams become requests, with the package h2 for the framing.

Bounds: streams at once, octets of bodies and fields, octets that a client lets us send but does not
make room for, and how many streams he may open only to reset them (CVE-2023-44487). What was asked
and then reset counts as under way until it is answered, so nobody has more work done than that.
"""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from msgspec import Struct

from kdns.server.forwarded import forwarded
from kdns.server.webservices import PREFACE, Fields, Request, Response

if TYPE_CHECKING:
    from kdns.server.web import Web

MAX_FRAME: Final = 16_384
MAX_FIELDS: Final = 16_384
"""Octets of the fields of a request."""
WINDOW: Final = 1 << 18
"""Octets of bodies, of all streams together, that are not whole."""
BODY_WINDOW: Final = 1 << 17
"""Octets of one body that may come: more than it may have, so that it is refused, not awaited."""
MAX_UNSENT: Final = 1 << 20
"""Octets of responses for which the client makes no room."""
RESETS: Final = 100
"""Streams that a client may reset, beyond as many as he let us answer."""
MOST: Final = 2**31 - 1


class Coming(Struct):
    """A request whose body is not whole."""

    request: Request
    since: float
    credit: int = 0
    """Octets of flow control that are owed for it."""


class Going(Struct):
    """A response that has not left."""

    body: memoryview
    trailers: Fields


class Lengths:
    """Looks at the lengths of frames: h2 says that one is too long when all of it has come."""

    def __init__(self) -> None:
        self._left = len(PREFACE)
        """Octets until the next frame."""
        self._head = b""

    def check(self, octets: bytes) -> None:
        """Raises ValueError where a frame is too long."""
        at = 0
        while at < len(octets):
            if self._left:
                step = min(self._left, len(octets) - at)
                self._left -= step
                at += step
                continue
            step = 9 - len(self._head)
            self._head += octets[at : at + step]
            at += step
            if len(self._head) == 9:
                self._left, self._head = int.from_bytes(self._head[:3], "big"), b""
                if self._left > MAX_FRAME:
                    raise ValueError("an overlong frame")


class Http2:
    """The server's side of one connection."""

    def __init__(self, web: "Web") -> None:
        self._web = web
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        # Not by `update`: what a client has not acknowledged would bound nothing.
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: min(web.listener.terms.max_streams, MOST),
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_FIELDS,
                SettingCodes.MAX_FRAME_SIZE: MAX_FRAME,
                SettingCodes.INITIAL_WINDOW_SIZE: BODY_WINDOW,
            },
        )
        self._h2.decoder.max_header_list_size = MAX_FIELDS
        self._lengths = Lengths()
        self._coming: dict[int, Coming] = {}
        self._asked: set[int] = set()
        """Streams that are owed a response."""
        self._going: dict[int, Going] = {}
        self._unsent = 0
        self._answered = self._resets = 0
        self._is_over = self._is_leaving = False
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW)
        self._flush()

    @property
    def is_idle(self) -> bool:
        """No request has begun, and no response waits for room."""
        return not (self._coming or self._going or self._web.is_full)

    @property
    def is_over(self) -> bool:
        """No request is being answered."""
        return self._is_over or not (self._asked or self._going)

    def close(self) -> None:
        """Takes no more requests."""
        self._is_leaving = True

    def end(self) -> None:
        """Says that the connection ends."""
        if not self._is_over:
            self._tell_end(ErrorCodes.NO_ERROR)
            self._is_over = True

    def receive(self, octets: bytes) -> None:
        """Reads frames."""
        if self._is_over or not octets:
            return
        try:
            self._lengths.check(octets)
            for event in self._h2.receive_data(octets):
                self._meet(event)
        except (H2Error, ValueError, UnicodeError):
            self._end()
            return
        if self._resets > RESETS + self._answered:
            self._web.listener.pipeline.counters.add("kdns_connections_closed_total", "resets")
            self._tell_end(ErrorCodes.ENHANCE_YOUR_CALM)
            self._end()
            return
        self._flush()
        self._look_at_time()

    def _meet(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin(event)
            case DataReceived():
                self._gather(event)
            case StreamEnded():
                self._serve(event.stream_id)
            case StreamReset():
                self._resets += 1
                self._forget(event.stream_id)
            case WindowUpdated():
                self._send_more()
            case ConnectionTerminated():
                self._web.is_closing = True
            case _:
                pass

    def _begin(self, event: RequestReceived) -> None:
        assert event.stream_id is not None
        if self._is_leaving:
            self._h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        if self.is_idle:
            self._web.renew()
        said: dict[str, str] = {}
        fields = []
        for name, value in event.headers:
            word, text = str(name), str(value)
            said.setdefault(word, text)
            fields.append((word, text))
        type_ = said.get("content-type", "").partition(";")[0].strip().lower()
        method, target = said.get(":method", ""), said.get(":path", "")
        request = Request(method, target, type_, forwarded(fields))
        self._coming[event.stream_id] = Coming(request, self._web.listener.clock())
        if event.stream_ended is not None:
            return
        if said.get("content-length", "0").isdigit() and (
            int(said.get("content-length", "0")) > self._web.service.max_body
        ):
            self._refuse_body(event.stream_id)

    def _gather(self, event: DataReceived) -> None:
        assert event.stream_id is not None
        coming = self._coming.get(event.stream_id)
        size = event.flow_controlled_length or 0
        if coming is None:  # it was refused: nobody waits for the rest
            self._h2.acknowledge_received_data(size, event.stream_id)
            return
        coming.credit += size
        coming.request.body += event.data or b""
        if len(coming.request.body) > self._web.service.max_body:
            self._refuse_body(event.stream_id)

    def _refuse_body(self, stream: int) -> None:
        self._give_credit(stream, self._coming.pop(stream))
        self._asked.add(stream)
        self._web.refuse(413, partial(self._respond, stream))

    def _serve(self, stream: int) -> None:
        coming = self._coming.pop(stream, None)
        if coming is None:
            return
        self._give_credit(stream, coming)
        self._asked.add(stream)
        self._web.serve(coming.request, partial(self._respond, stream))

    def _give_credit(self, stream: int, coming: Coming) -> None:
        if coming.credit:
            self._h2.acknowledge_received_data(coming.credit, stream)

    def _forget(self, stream: int | None) -> None:
        coming = self._coming.pop(stream, None) if stream is not None else None
        if coming is not None and coming.credit:
            self._h2.increment_flow_control_window(coming.credit)
        self._asked.discard(stream or 0)
        going = self._going.pop(stream or 0, None)
        if going is not None:
            self._unsent -= len(going.body)

    def _respond(self, stream: int, response: Response) -> None:
        if stream not in self._asked or self._is_over:
            return
        self._asked.discard(stream)
        self._answered += 1
        fields = [(":status", str(response.status)), *response.fields]
        if not response.trailers:
            fields.append(("content-length", str(len(response.body))))
        is_bare = not response.body and not response.trailers
        try:
            self._h2.send_headers(stream, fields, end_stream=is_bare)
        except H2Error:
            return
        if not is_bare:
            self._going[stream] = Going(memoryview(response.body), response.trailers)
            self._unsent += len(response.body)
            self._send(stream)
        self._flush()
        if self._unsent > MAX_UNSENT:
            self._web.listener.pipeline.counters.add("kdns_connections_closed_total", "unread")
            self._end()

    def _send(self, stream: int) -> None:
        """Sends as much of a response as the client has room for."""
        going = self._going[stream]
        try:
            while going.body or not going.trailers:
                room = self._h2.local_flow_control_window(stream)
                size = min(len(going.body), room, self._h2.max_outbound_frame_size)
                if size <= 0 and going.body:
                    return
                is_last = size == len(going.body) and not going.trailers
                self._h2.send_data(stream, bytes(going.body[:size]), end_stream=is_last)
                going.body = going.body[size:]
                self._unsent -= size
                if is_last:
                    break
            if going.trailers:
                self._h2.send_headers(stream, going.trailers, end_stream=True)
        except H2Error:  # the stream was reset in the meantime
            self._unsent -= len(going.body)
        del self._going[stream]
        self._web.renew()

    def _send_more(self) -> None:
        for stream in list(self._going):
            self._send(stream)

    def _flush(self) -> None:
        self._web.write(self._h2.data_to_send())

    def _look_at_time(self) -> None:
        """Closes at what was begun too long ago, however busy the connection is beside it."""
        first = next(iter(self._coming.values()), None)
        listener = self._web.listener
        if first is not None and listener.clock() - first.since > listener.terms.read_s:
            listener.pipeline.counters.add("kdns_connections_closed_total", "time")
            self._end()

    def _tell_end(self, code: ErrorCodes) -> None:
        with suppress(H2Error):
            self._h2.close_connection(code)
        self._flush()

    def _end(self) -> None:
        """Says what is still to be said, and closes."""
        self._flush()
        self._is_over = True
        self._web.is_closing = True
        self._web.settle()
