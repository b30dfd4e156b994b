"""Requests over one HTTP/2 connection, without its socket: octets in, responses out (RFC 9113).

Requests wait here while the other side allows no more streams, and their bodies while its windows
are full. A stream that fails fails alone.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from kdns.client.line import StaleError, UpstreamError

Headers = Sequence[tuple[str, str]]
_MOST_BODY = 70_000
"""A message of 65,535 octets and what frames it."""
_MOST_STREAMS = 100
_STREAM_WINDOW = 1 << 17
"""Octets of one reply that may come unasked: more than the longest has."""
_WINDOW = 1 << 24
"""Octets of all replies together that the other side may send before we say more."""


@dataclass(slots=True)
class Response:
    """What came for a request; trailers join the headers."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    @property
    def status(self) -> str:
        """The status code."""
        return self.headers.get(b":status", b"").decode("ascii", "replace")


Outcome = Response | UpstreamError
Come = list[tuple[int, Outcome]]
"""By the number the asker gave a request."""


class Http2:
    """The client's side of a connection."""

    busy = 100
    """Requests from which another connection is worth its price."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(
            header_encoding=None,
            validate_outbound_headers=False,  # perf: they are our own, always the same
            normalize_outbound_headers=False,
        )
        self._link = h2.connection.H2Connection(config)
        self._link.initiate_connection()
        codes = h2.settings.SettingCodes
        self._link.update_settings(
            {codes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW, codes.ENABLE_PUSH: 0}
        )
        self._link.increment_flow_control_window(_WINDOW)
        self._waiting: deque[tuple[int, Headers, bytes]] = deque()
        self._bodies: dict[int, memoryview] = {}
        """What is left to be sent, by stream."""
        self._streams: dict[int, tuple[int, Response]] = {}
        self._taken = 0
        """Octets that came since the other side was last told that there is room."""
        self.is_over = False
        """True once the other side takes no more requests."""

    def ask(self, number: int, headers: Headers, body: bytes) -> None:
        """Takes a request; its octets are in `out` as soon as there is room for it.

        Raises UpstreamError where the connection is at its end.
        """
        self._waiting.append((number, headers, body))
        try:
            self._pump()
        except h2.exceptions.H2Error as error:
            raise UpstreamError(f"http2: {error}") from error

    def cancel(self, number: int) -> None:
        """Nobody waits for a response any more."""
        self._waiting = deque(one for one in self._waiting if one[0] != number)
        for stream, (mine, _) in self._streams.items():
            if mine == number:
                self._reset(stream, h2.errors.ErrorCodes.CANCEL)
                break
        with suppress(h2.exceptions.H2Error):  # the next octets will say it again
            self._pump()

    def out(self) -> bytes:
        """What is to be written now."""
        return self._link.data_to_send()

    def receive(self, octets: bytes) -> Come:
        """The responses that the octets complete; raises UpstreamError for a broken connection."""
        come: Come = []
        try:
            for event in self._link.receive_data(octets):
                self._take(event, come)
            self._pump()
        except (h2.exceptions.H2Error, ValueError) as error:
            raise UpstreamError(f"http2: {error}") from error
        return come

    def _take(self, event: h2.events.Event, come: Come) -> None:
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            held = self._streams.get(event.stream_id)
            if held is not None:
                held[1].headers.update(event.headers or ())
        elif isinstance(event, h2.events.DataReceived):
            self._take_data(event, come)
        elif isinstance(event, h2.events.StreamEnded):
            self._end(event.stream_id, None, come)
        elif isinstance(event, h2.events.StreamReset):
            code = int(event.error_code)
            refused = code == h2.errors.ErrorCodes.REFUSED_STREAM
            kind = StaleError if refused else UpstreamError
            self._end(event.stream_id, kind(f"http2: stream reset, code {code}"), come)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._leave(come)

    def _take_data(self, event: h2.events.DataReceived, come: Come) -> None:
        held = self._streams.get(event.stream_id)
        self._taken += event.flow_controlled_length or 0
        if self._taken > _WINDOW // 2:
            self._link.increment_flow_control_window(self._taken)
            self._taken = 0
        if held is None:
            return
        held[1].body += event.data or b""
        if len(held[1].body) > _MOST_BODY:
            self._reset(event.stream_id, h2.errors.ErrorCodes.CANCEL)
            come.append((held[0], UpstreamError("http2: response too long")))

    def _leave(self, come: Come) -> None:
        """GOAWAY: all is asked elsewhere, for h2 takes nothing more from then on."""
        self.is_over = True
        for stream in tuple(self._streams):
            self._end(stream, StaleError("http2: going away"), come)
        come += [(number, StaleError("http2: going away")) for number, _, _ in self._waiting]
        self._waiting.clear()

    def _end(self, stream: int, error: UpstreamError | None, come: Come) -> None:
        held = self._streams.pop(stream, None)
        self._bodies.pop(stream, None)
        if held is not None:
            come.append((held[0], error or held[1]))

    def _reset(self, stream: int, code: h2.errors.ErrorCodes) -> None:
        self._streams.pop(stream, None)
        self._bodies.pop(stream, None)
        try:
            self._link.reset_stream(stream, code)
        except h2.exceptions.H2Error:
            return  # it is closed already

    def _pump(self) -> None:
        """Sends what there is room for now."""
        link = self._link
        for stream in tuple(self._bodies):
            self._send_body(stream)
        most = min(link.remote_settings.max_concurrent_streams, _MOST_STREAMS)
        while self._waiting and not self.is_over and len(self._streams) < most:
            number, headers, body = self._waiting.popleft()
            stream = link.get_next_available_stream_id()
            link.send_headers(stream, list(headers), end_stream=not body)
            self._streams[stream] = (number, Response())
            if body:
                self._bodies[stream] = memoryview(body)
                self._send_body(stream)

    def _send_body(self, stream: int) -> None:
        link, left = self._link, self._bodies[stream]
        while left:
            room = min(link.local_flow_control_window(stream), link.max_outbound_frame_size)
            if room <= 0:
                self._bodies[stream] = left
                return
            piece, left = left[:room], left[room:]
            link.send_data(stream, bytes(piece), end_stream=not left)
        del self._bodies[stream]
