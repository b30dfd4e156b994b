"""Requests over one HTTP/2 connection, without its socket: octets in, responses out (RFC 9113).

Requests wait here while the other side allows no more streams, and their bodies while its windows
are full. A stream that fails fails alone.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from kdns.client.line import StaleError, UpstreamError
from kdns.wire import hpack
from kdns.wire import http2 as wire
from kdns.wire.http2 import CANCEL, MOST, PROTOCOL, REFUSED, Failed, Link, Stream

Headers = Sequence[tuple[str, str]]
Read = dict[bytes, bytes]
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
    body: bytes | bytearray = b""

    @property
    def status(self) -> str:
        """The status code."""
        return self.headers.get(b":status", b"").decode("ascii", "replace")


Outcome = Response | UpstreamError
Come = list[tuple[int, Outcome]]
"""By the number the asker gave a request."""


class Asked(Stream, kw_only=True):
    """A stream, by the number the asker gave it, and what came on it."""

    asker: int
    response: Response


class Http2(Link[Asked, Read]):
    """The client's side of a connection."""

    busy = 100
    """Requests from which another connection is worth its price."""

    def __init__(self) -> None:
        super().__init__({wire.STREAM_WINDOW: _STREAM_WINDOW, wire.ENABLE_PUSH: 0}, _WINDOW)
        self.outgoing.insert(0, wire.PREFACE)
        self._waiting: deque[tuple[int, Headers, bytes]] = deque()
        self._bodies: dict[int, Asked] = {}
        """Those that have not said all."""
        self._next = 1
        self._come: Come = []
        self.is_over = False
        """True once the other side takes no more requests."""

    def ask(self, number: int, headers: Headers, body: bytes) -> None:
        """Takes a request; its octets are in `out` as soon as there is room for it.

        Raises UpstreamError where the connection is at its end.
        """
        if self._next > MOST:
            raise UpstreamError("http2: no streams left")
        self._waiting.append((number, headers, body))
        self._pump()

    def cancel(self, number: int) -> None:
        """Nobody waits for a response any more."""
        self._waiting = deque(one for one in self._waiting if one[0] != number)
        for stream in self.streams.values():
            if stream.asker == number:
                self._abandon(stream)
                break
        self._pump()

    def out(self) -> bytes:
        """What is to be written now."""
        octets = b"".join(self.outgoing)
        self.outgoing.clear()
        return octets

    def receive(self, octets: bytes) -> Come:
        """The responses that the octets complete; raises UpstreamError for a broken connection."""
        come: Come = []
        self._come = come
        try:
            self.receive_frames(octets)
        except Failed as error:
            raise UpstreamError(f"http2: {error}") from error
        self._pump()
        return come

    # What comes

    def is_known(self, number: int) -> bool:
        """Whether a stream was ever opened."""
        return number < self._next and number % 2 == 1

    def is_gone(self, _number: int) -> bool:
        """We leave first, and replies may come late."""
        return True

    def read(self, fields: hpack.Fields) -> Read:
        """The fields of a response; of several with one name, the last."""
        is_late = False
        for name, _ in fields:
            is_pseudo = name.startswith(b":")
            if (is_pseudo and (is_late or name != b":status")) or name != name.lower() or not name:
                raise Failed(PROTOCOL, "a field that may not be")
            is_late |= not is_pseudo
        return dict(fields)

    def begun(self, _number: int, _meant: Read, *, is_end: bool) -> None:
        """A server opens nothing that we would want."""
        raise Failed(PROTOCOL, f"a stream of the server's own{' ends' if is_end else ''}")

    def trailed(self, stream: Asked, meant: Read) -> None:
        """Headers, or trailers."""
        response, status = stream.response, meant.get(b":status", b"")
        if response.headers and (status or not stream.has_ended):
            raise Failed(PROTOCOL, "headers in the middle of a response")
        if not status.startswith(b"1"):
            response.headers = {**response.headers, **meant} if response.headers else meant
        if stream.has_ended:
            self._complete(stream)

    def came(self, stream: Asked, octets: bytes) -> None:
        """A part of a body."""
        self.credit(len(octets))
        response = stream.response
        if not response.body:
            response.body = octets
        else:
            if not isinstance(response.body, bytearray):
                response.body = bytearray(response.body)
            response.body += octets
        if len(response.body) > _MOST_BODY:
            self._abandon(stream)
            self._come.append((stream.asker, UpstreamError("http2: response too long")))
        elif stream.has_ended:
            self._complete(stream)

    def was_reset(self, stream: Asked, code: int) -> None:
        """The server gives nothing for a request."""
        self._bodies.pop(stream.number, None)
        kind = StaleError if code == REFUSED else UpstreamError
        self._come.append((stream.asker, kind(f"http2: stream reset, code {code}")))

    def has_room(self) -> None:
        """What waits is looked at when all has come."""

    def leaves(self, _last: int) -> None:
        """GOAWAY: all is asked elsewhere, for that is sooner than to see what still comes."""
        self.is_over = True
        gone = [stream.asker for stream in self.streams.values()]
        gone += [number for number, _, _ in self._waiting]
        self._come += [(number, StaleError("http2: going away")) for number in gone]
        self.streams.clear()
        self._bodies.clear()
        self._waiting.clear()

    def _complete(self, stream: Asked) -> None:
        response = stream.response
        size = response.headers.get(b"content-length")
        if size is not None and size != b"%d" % len(response.body):
            failed = UpstreamError("http2: a response that is not as long as was said")
            self._come.append((stream.asker, failed))
        else:
            self._come.append((stream.asker, response))
        if not stream.is_said:
            self._abandon(stream)

    def _abandon(self, stream: Asked) -> None:
        self._bodies.pop(stream.number, None)
        self.abandon(stream.number, CANCEL)

    # What goes

    def _pump(self) -> None:
        """Sends what there is room for now."""
        for stream in tuple(self._bodies.values()) if self._bodies else ():
            self._send(stream)
        most = min(self.most, _MOST_STREAMS)
        while self._waiting and not self.is_over and len(self.streams) < most:
            self._begin(*self._waiting.popleft())

    def _begin(self, asker: int, headers: Headers, body: bytes) -> None:
        number, self._next = self._next, self._next + 2
        stream = Asked(
            number, self.stream_room, _STREAM_WINDOW, rest=body, asker=asker, response=Response()
        )
        self.streams[number] = stream
        self.say_fields(number, hpack.encode(headers), is_end=not body)
        if not body:
            stream.is_said = True
        elif not self._send(stream):
            self._bodies[number] = stream

    def _send(self, stream: Asked) -> bool:
        if not self.say(stream, ends=True):
            return False
        self._bodies.pop(stream.number, None)
        self.finish(stream)
        return True
