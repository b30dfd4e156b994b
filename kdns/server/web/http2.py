"""HTTP/2 for DNS over HTTPS and gRPC: streams become requests, and responses go back on them.

Bounds: streams at once, octets of bodies and fields, octets that a client lets us send but does not
make room for, and how many streams he may open only to reset them (CVE-2023-44487). What was asked
and then reset counts as under way until it is answered, so nobody has more work done than that.
"""

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from kdns.server.web.forwarded import forwarded
from kdns.server.web.webservices import Fields, Request, Response
from kdns.wire import hpack
from kdns.wire import http2 as wire
from kdns.wire.http2 import CALM, NO_ERROR, PREFACE, PROTOCOL, REFUSED, Failed, Link, Stream

if TYPE_CHECKING:
    from kdns.server.web.web import Web

WINDOW: Final = 1 << 18
"""Octets of bodies, of all streams together, that are not whole."""
BODY_WINDOW: Final = 1 << 17
"""Octets of one body that may come: more than it may have, so that it is refused, not awaited."""
MAX_UNSENT: Final = 1 << 20
"""Octets of responses for which the client makes no room."""
RESETS: Final = 100
"""Streams that a client may reset, beyond as many as he let us answer."""
TURN: Final = 8192
"""Octets that are read before their replies leave."""
_NAME: Final = re.compile(rb":?[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE: Final = re.compile(rb"(?![ \t])[^\0\r\n]*(?<![ \t])")
_PSEUDO: Final = frozenset((":method", ":scheme", ":authority", ":path"))
_BARRED: Final = frozenset(
    ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade")
)


class Meant(Struct, frozen=True):
    """What fields say: of a request, or those behind its body."""

    is_request: bool
    method: str = ""
    target: str = ""
    type: str = ""
    forwarded: tuple[str, ...] = ()
    length: int = -1
    """Of the body, where it is said."""


class Asked(Stream, kw_only=True):
    """A stream and its request."""

    request: Request
    since: float
    length: int
    pieces: list[bytes]
    size: int = 0
    """Octets of the body so far."""
    is_owed: bool = False
    """It waits for its response."""
    trailers: Fields = ()


class Http2(Link[Asked, Meant]):
    """The server's side of one connection."""

    def __init__(self, web: "Web") -> None:
        self._web = web
        self._most = min(web.listener.terms.max_streams, wire.MOST)
        settings = {
            wire.STREAMS: self._most,
            wire.STREAM_WINDOW: BODY_WINDOW,
            wire.FRAME_SIZE: wire.MAX_FRAME,
            wire.LIST_SIZE: wire.MAX_FIELDS,
        }
        super().__init__(settings, WINDOW)
        self._late = b""
        """Octets that are not read yet."""
        self._preface = len(PREFACE)
        self._coming: dict[int, Asked] = {}
        """Those whose bodies are not whole."""
        self._going: dict[int, Asked] = {}
        """Those whose responses wait for room."""
        self._asked = 0
        """Streams that are owed a response."""
        self._unsent = 0
        self._answered = self._resets = 0
        self._is_over = self._is_leaving = False
        self._is_in_turn = self._has_room = False
        self._flush()

    @property
    def is_idle(self) -> bool:
        """No request has begun, and no response waits for room."""
        return not (self._coming or self._going or self._web.is_full)

    @property
    def is_over(self) -> bool:
        """No request is being answered."""
        return self._is_over or not (self._asked or self._going or self._late or self._is_in_turn)

    def close(self) -> None:
        """Takes no more requests."""
        self._is_leaving = True

    def end(self, code: int = NO_ERROR) -> None:
        """Says that the connection ends."""
        if not self._is_over:
            self.say_goodbye(code)
            self._flush()
            self._is_over = True

    def receive(self, octets: bytes) -> None:
        """Reads frames; the replies to a few of them leave in one write."""
        self._late += octets
        if self._is_over or self._is_in_turn:
            return
        self._is_in_turn = True
        try:
            while self._late and not (self._is_over or self._web.is_full):
                piece, self._late = self._late[:TURN], self._late[TURN:]
                self._turn(piece)
        except Failed as error:
            self.end(error.code)
            self._end()
        finally:
            self._is_in_turn = False
        if not self._is_over:
            self._look_at_time()

    def _turn(self, octets: bytes) -> None:
        if self._preface:
            start = PREFACE[-self._preface :][: len(octets)]
            if not octets.startswith(start):
                raise Failed(PROTOCOL, "no preface")
            self._preface -= len(start)
            octets = octets[len(start) :]
        self.receive_frames(octets)
        if self._has_room:
            self._has_room = False
            for stream in list(self._going.values()):
                self._send(stream)
        if self._resets > RESETS + self._answered:
            self._web.listener.pipeline.counters.add("kdns_connections_closed_total", "resets")
            raise Failed(CALM, "too many resets")
        self._flush()

    # What comes

    def is_known(self, number: int) -> bool:
        """Whether a stream was ever opened."""
        return number <= self.last and number % 2 == 1

    def read(self, fields: hpack.Fields) -> Meant:
        """What fields mean; raises Failed where they may not be (RFC 9113 §8.2, §8.3)."""
        said: dict[str, str] = {}
        found: list[tuple[str, str]] = []
        for word, text in fields:
            name, value = word.decode("latin-1"), text.decode("latin-1")
            is_pseudo = name.startswith(":")
            is_late = is_pseudo and (name in said or name not in _PSEUDO or bool(found))
            if is_late or not _NAME.fullmatch(word) or not _VALUE.fullmatch(text):
                raise Failed(PROTOCOL, "a field that may not be")
            if name in _BARRED or (name == "te" and value != "trailers"):
                raise Failed(PROTOCOL, "a field of another version")
            if name == "content-length" and said.get(name, value) != value:
                raise Failed(PROTOCOL, "two lengths")
            said.setdefault(name, value)
            if not is_pseudo:
                found.append((name, value))
        method, target, length = (
            said.get(name, "") for name in (":method", ":path", "content-length")
        )
        is_request = bool(method) and (method == "CONNECT" or bool(target and said.get(":scheme")))
        if not is_request and not _PSEUDO.isdisjoint(said):
            raise Failed(PROTOCOL, "half a request")
        if length and not (length.isascii() and length.isdigit() and len(length) < 12):
            raise Failed(PROTOCOL, "no length")
        type_ = said.get("content-type", "").partition(";")[0].strip().lower()
        size = int(length) if length else -1
        return Meant(is_request, method, target, type_, forwarded(found), size)

    def begun(self, number: int, meant: Meant, *, is_end: bool) -> None:
        """A request begins."""
        if number % 2 == 0 or not meant.is_request:
            raise Failed(PROTOCOL, "no request")
        self.last = number
        if self._is_leaving:
            self.abandon(number, REFUSED)
            return
        if len(self.streams) >= self._most:
            raise Failed(PROTOCOL, "more streams than may be")
        if self.is_idle:
            self._web.renew()
        request = Request(meant.method, meant.target, meant.type, meant.forwarded)
        stream = Asked(
            number, self.stream_room, BODY_WINDOW, is_end,
            request=request, since=self._web.waits_since, length=meant.length, pieces=[],
        )  # fmt: skip
        self.streams[number] = stream
        if is_end:
            self._serve(stream)
        elif meant.length > self._web.service.max_body:
            self._refuse_body(stream)
        else:
            stream.since = self._web.listener.clock()
            self._coming[number] = stream

    def trailed(self, stream: Asked, meant: Meant) -> None:
        """Fields behind a body, which say nothing to us."""
        if meant.is_request or not stream.has_ended:
            raise Failed(PROTOCOL, "fields where a request has them not")
        if stream.number in self._coming:
            self._serve(stream)

    def came(self, stream: Asked, octets: bytes) -> None:
        """A part of a body."""
        if stream.number not in self._coming:  # it was refused: nobody waits for the rest
            self.credit(len(octets))
            return
        stream.size += len(octets)
        stream.pieces.append(octets)
        if stream.size > self._web.service.max_body:
            self._refuse_body(stream)
        elif stream.has_ended:
            self._serve(stream)

    def was_reset(self, stream: Asked, _code: int) -> None:
        """The client does not want it any more."""
        self._resets += 1
        number = stream.number
        if self._coming.pop(number, None) is not None:
            self.credit(stream.size)
        if stream.is_owed:
            stream.is_owed = False
            self._asked -= 1
        if self._going.pop(number, None) is not None:
            self._unsent -= len(stream.rest)

    def has_room(self) -> None:
        """The client lets us send more: at the end of the turn, however often he says so."""
        self._has_room = True

    def leaves(self, _last: int) -> None:
        """The client leaves."""
        self._web.is_closing = True

    def _refuse_body(self, stream: Asked) -> None:
        self._coming.pop(stream.number, None)
        self.credit(stream.size)
        self._owe(stream)
        self._web.refuse(413, partial(self._respond, stream))

    def _serve(self, stream: Asked) -> None:
        self._coming.pop(stream.number, None)
        self.credit(stream.size)
        if stream.length >= 0 and stream.size != stream.length:
            raise Failed(PROTOCOL, "a body that is not as long as was said")
        pieces = stream.pieces
        stream.request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._owe(stream)
        self._web.serve(stream.request, partial(self._respond, stream))

    def _owe(self, stream: Asked) -> None:
        stream.pieces = []
        stream.is_owed = True
        self._asked += 1

    # What goes

    def _respond(self, stream: Asked, response: Response) -> None:
        if not stream.is_owed or self._is_over:
            return
        stream.is_owed = False
        self._asked -= 1
        self._answered += 1
        body, trailers = response.body, response.trailers
        block = _block(response.status, response.fields, -1 if trailers else len(body))
        is_bare = not body and not trailers
        self.say_fields(stream.number, block, is_end=is_bare)
        if is_bare:
            self.finish(stream)
        else:
            stream.rest, stream.trailers = body, trailers
            self._unsent += len(body)
            self._going[stream.number] = stream
            self._send(stream)
        if not self._is_in_turn:
            self._flush()
        if self._unsent > MAX_UNSENT:
            self._web.listener.pipeline.counters.add("kdns_connections_closed_total", "unread")
            self._end()

    def _send(self, stream: Asked) -> None:
        """Sends as much of a response as the client has room for."""
        before = len(stream.rest)
        is_sent = self.say(stream, ends=not stream.trailers)
        self._unsent -= before - len(stream.rest)
        if not is_sent:
            return
        if stream.trailers:
            self.say_fields(stream.number, _block(0, stream.trailers, -1), is_end=True)
        del self._going[stream.number]
        self.finish(stream)

    def _flush(self) -> None:
        if self.outgoing:
            octets = b"".join(self.outgoing)
            self.outgoing.clear()
            self._web.write(octets)

    def _look_at_time(self) -> None:
        """Closes at what was begun too long ago, however busy the connection is beside it."""
        first = next(iter(self._coming.values()), None)
        listener = self._web.listener
        if first is not None and listener.clock() - first.since > listener.terms.read_s:
            listener.pipeline.counters.add("kdns_connections_closed_total", "time")
            self._end()

    def _end(self) -> None:
        """Says what is still to be said, and closes."""
        self._flush()
        self._is_over = True
        self._late = b""
        self._web.is_closing = True
        self._web.settle()


@lru_cache(maxsize=1024)
def _block(status: int, fields: Fields, length: int) -> bytes:
    """The fields of a response, or those behind its body where there is no status."""
    start: Fields = ((":status", str(status)),) if status else ()
    end: Fields = (("content-length", str(length)),) if length >= 0 else ()
    return hpack.encode((*start, *fields, *end))
