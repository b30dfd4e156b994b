"""One side of an HTTP/2 connection without its socket: octets become frames met, and frames octets.

What both sides do alike is here (RFC 9113): the order and lengths of frames, settings, windows, the
state of streams. A subclass says what fields, data and resets mean. Bounds: frames, blocks of
fields and the frames they come in, room that is given. Whatever is against the rules ends the
connection: Failed says why.
"""

from collections import deque
from struct import Struct as Packed
from typing import Final, Generic, TypeVar

import msgspec

from kdns.wire.hpack import NO_TABLE, Decoder, Fields

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client begins with."""
MAX_FRAME: Final = 16_384
"""Octets of a frame that comes: what everybody may send without asking (§4.2)."""
MAX_FIELDS: Final = 16_384
"""Octets of the fields of a block."""
MOST: Final = 2**31 - 1
_MOST_PIECES: Final = 16
"""Frames that a block may come in."""
_MOST_SETTINGS: Final = 32
"""In a frame: each that changes windows is done at all streams."""
_GONE: Final = 128
"""Streams that were abandoned and about which something may still come."""

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
NO_ERROR, PROTOCOL, INTERNAL, FLOW, _, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION = range(10)
CALM: Final = 11
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32
TABLE_SIZE, ENABLE_PUSH, STREAMS, STREAM_WINDOW, FRAME_SIZE, LIST_SIZE = range(1, 7)

_HEAD = Packed("!BHBBL").pack
_SETTING = Packed("!HL")


class Failed(Exception):
    """The other side broke a rule, and the connection is at its end."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Stream(msgspec.Struct):
    """What both sides know of a stream."""

    number: int
    room: int
    """Octets that we may send."""
    unread: int
    """Octets that may come."""
    has_ended: bool = False
    """No more comes."""
    is_said: bool = False
    """We have said all."""
    rest: bytes | memoryview = b""
    """What is to be said when there is room."""


S = TypeVar("S", bound=Stream)
T = TypeVar("T")


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    """A frame."""
    size = len(body)
    return _HEAD(size >> 16, size & 0xFFFF, kind, flags, stream) + body


class Link(Generic[S, T]):
    """The connection; `outgoing` is what is to be written."""

    def __init__(self, settings: dict[int, int], window: int) -> None:
        self.outgoing: list[bytes] = []
        self.streams: dict[int, S] = {}
        self.room = 65_535
        """Octets that we may send, of all streams together."""
        self.most = MOST
        """Streams that the other side lets us open."""
        self.stream_room = 65_535
        self.max_frame = 16_384
        self.last = 0
        """The highest stream that the other side has opened."""
        self._window = self._unread = 65_535 + window
        self._owed = 0
        self._stream_unread = settings[STREAM_WINDOW]
        self._decoder: Decoder[T] = Decoder(MAX_FIELDS, self.read)
        self._held = b""
        self._block: tuple[int, int] | None = None
        """Stream and flags of the fields that are not whole."""
        self._pieces: list[bytes] = []
        self._start = NO_TABLE
        self._has_settings = False
        self._gone: deque[int] = deque(maxlen=_GONE)
        self._meet = (
            self._octets, self._headers, self._priority, self._reset, self._settings,
            self._push, self._ping, self._goaway, self._more_room, self._continuation,
        )  # fmt: skip
        body = b"".join(_SETTING.pack(*each) for each in settings.items())
        self.outgoing += (
            frame(SETTINGS, 0, 0, body),
            frame(WINDOW, 0, 0, window.to_bytes(4, "big")),
        )

    # What a subclass says

    def read(self, fields: Fields) -> T:
        """What fields mean, for as often as they come; raises ValueError where they may not be."""
        raise NotImplementedError

    def begun(self, number: int, meant: T, *, is_end: bool) -> None:
        """Fields came on a stream that is not there."""
        raise NotImplementedError

    def trailed(self, stream: S, meant: T) -> None:
        """Fields came on a stream; whether they end it stands in it."""
        raise NotImplementedError

    def came(self, stream: S, octets: bytes) -> None:
        """Data came; whether it ends the stream stands in it."""
        raise NotImplementedError

    def was_reset(self, stream: S, code: int) -> None:
        """The other side has abandoned a stream."""
        raise NotImplementedError

    def has_room(self) -> None:
        """The other side allows more."""
        raise NotImplementedError

    def leaves(self, last: int) -> None:
        """The other side takes no streams beyond this one."""
        raise NotImplementedError

    def is_known(self, number: int) -> bool:
        """Whether a stream was ever opened."""
        raise NotImplementedError

    def is_gone(self, number: int) -> bool:
        """Whether something may still come about a stream that is not there."""
        return number in self._gone

    # What a subclass does

    def receive_frames(self, octets: bytes) -> None:
        """Meets all frames that are whole; raises Failed."""
        held = self._held + octets if self._held else octets
        at, size = 0, len(held)
        meet = self._meet
        while size - at >= 9:
            end = at + 9 + (held[at] << 16 | held[at + 1] << 8 | held[at + 2])
            if end - at > MAX_FRAME + 9:
                raise Failed(SIZE, "an overlong frame")
            if end > size:
                break
            kind = held[at + 3]
            if (kind == CONTINUATION) is (self._block is None):
                raise Failed(PROTOCOL, "fields that are not whole, or were whole before")
            if not self._has_settings and kind != SETTINGS:
                raise Failed(PROTOCOL, "no settings")
            if kind <= CONTINUATION:
                number = held[at + 5] << 24 | held[at + 6] << 16 | held[at + 7] << 8 | held[at + 8]
                meet[kind](held[at + 4], number & MOST, held[at + 9 : end])
            at = end
        self._held = held[at:]

    def open(self, stream: S) -> None:
        """Takes a stream in."""
        self.streams[stream.number] = stream

    def say_fields(self, number: int, block: bytes, *, is_end: bool) -> None:
        """Sends fields."""
        if self._start:
            block, self._start = self._start + block, b""
        piece, block = block[: self.max_frame], block[self.max_frame :]
        flags = is_end | (not block) << 2
        self.outgoing.append(frame(HEADERS, flags, number, piece))
        while block:
            piece, block = block[: self.max_frame], block[self.max_frame :]
            self.outgoing.append(frame(CONTINUATION, (not block) << 2, number, piece))

    def say(self, stream: S, *, ends: bool) -> bool:
        """Sends what there is room for of a stream's rest; true when all of it has left."""
        rest = stream.rest
        while True:
            size = min(len(rest), stream.room, self.room, self.max_frame)
            if size <= 0 and rest:
                return False
            is_last = size == len(rest)
            self.outgoing.append(frame(DATA, ends and is_last, stream.number, bytes(rest[:size])))
            stream.room -= size
            self.room -= size
            if is_last:
                stream.rest = b""
                return True
            rest = stream.rest = memoryview(rest)[size:]

    def finish(self, stream: S) -> None:
        """All is said on a stream."""
        stream.is_said = True
        if stream.has_ended:
            self.streams.pop(stream.number, None)

    def abandon(self, number: int, code: int) -> None:
        """Resets a stream."""
        self.outgoing.append(frame(RESET, 0, number, code.to_bytes(4, "big")))
        self.streams.pop(number, None)
        self._gone.append(number)

    def credit(self, octets: int) -> None:
        """Lets so many octets more come."""
        self._owed += octets
        if self._owed > self._window >> 2:
            self._unread += self._owed
            self.outgoing.append(frame(WINDOW, 0, 0, self._owed.to_bytes(4, "big")))
            self._owed = 0

    def say_goodbye(self, code: int) -> None:
        """Says that the connection ends, and why."""
        self.outgoing.append(
            frame(GOAWAY, 0, 0, self.last.to_bytes(4, "big") + code.to_bytes(4, "big"))
        )

    # Frames

    def _octets(self, flags: int, number: int, body: bytes) -> None:
        size = len(body)
        self._unread -= size
        if self._unread < 0:
            raise Failed(FLOW, "more data than there is room for")
        stream = self.streams.get(number)
        if stream is None or stream.has_ended:
            self._demand_abandoned(number)
            self.credit(size)
            return
        stream.unread -= size
        if stream.unread < 0:
            raise Failed(FLOW, "more data than a stream has room for")
        if flags & PADDED:
            body = _unpadded(body)
            self.credit(size - len(body))
        stream.has_ended = bool(flags & END_STREAM)
        self.came(stream, body)
        if stream.has_ended and stream.is_said:
            self.streams.pop(number, None)

    def _headers(self, flags: int, number: int, body: bytes) -> None:
        if flags & PADDED:
            body = _unpadded(body)
        if flags & HAS_PRIORITY:
            if len(body) < 5:
                raise Failed(SIZE, "no room for a priority")
            if int.from_bytes(body[:4], "big") & MOST == number:
                raise Failed(PROTOCOL, "a stream that depends on itself")
            body = body[5:]
        if not number:
            raise Failed(PROTOCOL, "fields of no stream")
        if flags & END_HEADERS:
            self._whole(flags, number, body)
            return
        self._block = (number, flags)
        self._pieces = [body]

    def _continuation(self, flags: int, number: int, body: bytes) -> None:
        assert self._block is not None
        if number != self._block[0]:
            raise Failed(PROTOCOL, "fields of another stream")
        self._pieces.append(body)
        if len(self._pieces) > _MOST_PIECES or sum(map(len, self._pieces)) > MAX_FIELDS * 2:
            raise Failed(CALM, "fields without end")
        if flags & END_HEADERS:
            (number, flags), self._block = self._block, None
            self._whole(flags, number, b"".join(self._pieces))
            self._pieces = []

    def _whole(self, flags: int, number: int, block: bytes) -> None:
        try:
            meant = self._decoder.decode(block)
        except ValueError as error:
            raise Failed(COMPRESSION, str(error)) from error
        stream = self.streams.get(number)
        if stream is None:
            if self.is_known(number):
                self._demand_abandoned(number)
            else:
                self.begun(number, meant, is_end=bool(flags & END_STREAM))
            return
        if stream.has_ended:
            raise Failed(CLOSED, "fields on a stream that had ended")
        stream.has_ended = bool(flags & END_STREAM)
        self.trailed(stream, meant)
        if stream.has_ended and stream.is_said:
            self.streams.pop(number, None)

    def _demand_abandoned(self, number: int) -> None:
        """What comes where nothing may come is passed over only if we were the first to leave."""
        if not self.is_known(number):
            raise Failed(PROTOCOL, "a stream that was never opened")
        if not self.is_gone(number):
            raise Failed(CLOSED, "a stream that is closed")

    def _priority(self, _flags: int, number: int, body: bytes) -> None:
        if len(body) != 5:
            raise Failed(SIZE, "no priority")
        if not number or int.from_bytes(body[:4], "big") & MOST == number:
            raise Failed(PROTOCOL, "a stream that depends on itself")

    def _reset(self, _flags: int, number: int, body: bytes) -> None:
        if len(body) != 4:
            raise Failed(SIZE, "no code")
        if not self.is_known(number):
            raise Failed(PROTOCOL, "a reset of what never was")
        stream = self.streams.pop(number, None)
        if stream is not None:
            self.was_reset(stream, int.from_bytes(body, "big"))

    def _settings(self, flags: int, number: int, body: bytes) -> None:
        if number:
            raise Failed(PROTOCOL, "settings of a stream")
        if len(body) % 6 or (flags & ACK and body):
            raise Failed(SIZE, "settings that are not whole")
        if flags & ACK:
            if not self._has_settings:
                raise Failed(PROTOCOL, "no settings")
            return
        if len(body) > 6 * _MOST_SETTINGS:
            raise Failed(CALM, "settings without end")
        self._has_settings = True
        for code, value in _SETTING.iter_unpack(body):
            self._set(code, value)
        self.outgoing.append(frame(SETTINGS, ACK, 0))
        self.has_room()

    def _set(self, code: int, value: int) -> None:
        if code == STREAM_WINDOW:
            if value > MOST:
                raise Failed(FLOW, "a window too large")
            more, self.stream_room = value - self.stream_room, value
            for stream in self.streams.values():
                stream.room += more
                if stream.room > MOST:
                    raise Failed(FLOW, "a window too large")
        elif code == STREAMS:
            self.most = value
        elif code == FRAME_SIZE:
            if not MAX_FRAME <= value < 1 << 24:
                raise Failed(PROTOCOL, "no size of a frame")
            self.max_frame = value
        elif code == ENABLE_PUSH and value > 1:
            raise Failed(PROTOCOL, "neither push nor none")

    def _push(self, _flags: int, _number: int, _body: bytes) -> None:
        raise Failed(PROTOCOL, "a push that nobody wants")

    def _ping(self, flags: int, number: int, body: bytes) -> None:
        if number:
            raise Failed(PROTOCOL, "a ping of a stream")
        if len(body) != 8:
            raise Failed(SIZE, "no ping")
        if not flags & ACK:
            self.outgoing.append(frame(PING, ACK, 0, body))

    def _goaway(self, _flags: int, number: int, body: bytes) -> None:
        if number:
            raise Failed(PROTOCOL, "the end of a stream alone")
        if len(body) < 8:
            raise Failed(SIZE, "no end")
        self.leaves(int.from_bytes(body[:4], "big") & MOST)

    def _more_room(self, _flags: int, number: int, body: bytes) -> None:
        if len(body) != 4:
            raise Failed(SIZE, "no window")
        more = int.from_bytes(body, "big") & MOST
        if not more:
            raise Failed(PROTOCOL, "no more room")
        if not number:
            self.room += more
            if self.room > MOST:
                raise Failed(FLOW, "a window too large")
        else:
            stream = self.streams.get(number)
            if stream is None:
                if not self.is_known(number):
                    raise Failed(PROTOCOL, "room for what never was")
                return
            stream.room += more
            if stream.room > MOST:
                raise Failed(FLOW, "a window too large")
        self.has_room()


def _unpadded(body: bytes) -> bytes:
    if not body or body[0] >= len(body):
        raise Failed(PROTOCOL, "more padding than there is")
    return body[1 : len(body) - body[0]]
