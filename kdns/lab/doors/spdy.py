"""SPDY/3.1 (draft 3): octets become frames, and frames octets; nothing here does I/O.

kubectl forwards ports by it, plainly or within a WebSocket. Frames that mean nothing to a forward
are read over. So are windows: neither kubectl nor a kubelet keeps or widens any, so that what holds
a sender back is the connection itself.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import error as StructError
from struct import pack, unpack_from
from typing import Final

PROTOCOL_ERROR: Final = 1
REFUSED: Final = 3
"""Why a stream is reset (§2.6.3)."""
LARGEST = 16 * 1024
"""Of a control frame, and of its headers when they are unpacked: kubectl's have 60 octets."""
_VERSION = 0x8003
_STREAM, _REPLY, _RESET, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_FIN = 1
_ID = 0x7FFFFFFF
_HEAD = 8
_WORDS = (
    "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,"
    "accept-ranges,age,allow,authorization,cache-control,connection,content-base,content-encoding,"
    "content-language,content-length,content-location,content-md5,content-range,content-type,date,"
    "etag,expect,expires,from,host,if-match,if-modified-since,if-none-match,if-range,"
    "if-unmodified-since,last-modified,location,max-forwards,pragma,proxy-authenticate,"
    "proxy-authorization,range,referer,retry-after,server,te,trailer,transfer-encoding,upgrade,"
    "user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,"
    "public,set-cookie,keep-alive,origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
    "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(pack(">I", len(one)) + one.encode() for one in _WORDS.split(","))
DICTIONARY += _TEXT.encode()
"""What both sides' compression of headers begins with (§2.6.10.1)."""


class SpdyError(Exception):
    """What has come is no SPDY, or more of it than anybody needs."""


@dataclass(frozen=True, slots=True)
class Opened:
    """SYN_STREAM."""

    stream: int
    headers: Mapping[str, str]
    is_end: bool
    """The other side will send nothing on it."""


@dataclass(frozen=True, slots=True)
class Octets:
    """DATA, or a part of it: frames of up to 16 MiB are passed on as they come."""

    stream: int
    octets: bytes
    is_end: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """RST_STREAM."""

    stream: int


@dataclass(frozen=True, slots=True)
class Ping:
    """PING; those of clients have odd numbers."""

    number: int


Frame = Opened | Octets | Reset | Ping


class Reader:
    """Reads one side of a connection; holds no more than one control frame."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._data: tuple[int, int, bool] | None = None
        """The stream of a DATA frame, how much of it is to come, and whether it is the last."""
        self._packed = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, octets: bytes) -> Iterator[Frame]:
        """The frames that are there now; raises SpdyError, after which nothing can be read."""
        self._held += octets
        while self._has_enough():
            is_data = self._data or not self._held[0] & 0x80
            frame = self._take_data() if is_data else self._take_control()
            if frame:
                yield frame

    def _has_enough(self) -> bool:
        if self._data:
            return bool(self._held)
        if len(self._held) < _HEAD:
            return False
        if not self._held[0] & 0x80:
            return True
        version, length = int.from_bytes(self._held[:2]), int.from_bytes(self._held[5:8])
        if version != _VERSION:
            raise SpdyError(f"a frame is of version {version & 0x7FFF}")
        if length > LARGEST:
            raise SpdyError(f"a control frame has {length} octets")
        return len(self._held) >= _HEAD + length

    def _take_data(self) -> Octets | None:
        if self._data is None:
            first, second = unpack_from(">II", self._held)
            del self._held[:_HEAD]
            self._data = (first & _ID, second & 0xFFFFFF, bool(second >> 24 & _FIN))
        stream, left, is_last = self._data
        if stream == 0:
            raise SpdyError("octets are for the stream 0, which is none")
        octets = bytes(self._held[:left])
        del self._held[:left]
        left -= len(octets)
        self._data = (stream, left, is_last) if left else None
        is_end = is_last and not left
        return Octets(stream, octets, is_end) if octets or is_end else None

    def _take_control(self) -> Frame | None:
        kind, flags = int.from_bytes(self._held[2:4]), self._held[4]
        end = _HEAD + int.from_bytes(self._held[5:8])
        body = bytes(self._held[_HEAD:end])
        del self._held[:end]
        try:
            return self._read(kind, body, is_end=bool(flags & _FIN))
        except StructError:
            raise SpdyError(f"a control frame of type {kind} is cut off") from None

    def _read(self, kind: int, body: bytes, *, is_end: bool) -> Frame | None:
        if kind == _STREAM:
            stream = unpack_from(">IIH", body)[0] & _ID
            if stream == 0:
                raise SpdyError("a stream has the number 0")
            return Opened(stream, _headers(self._unpacked(body[10:])), is_end)
        if kind in {_REPLY, _HEADERS}:
            self._unpacked(body[4:])  # later ones build on it
        if kind == _RESET:
            return Reset(unpack_from(">II", body)[0] & _ID)
        if kind == _PING:
            return Ping(unpack_from(">I", body)[0])
        return None

    def _unpacked(self, block: bytes) -> bytes:
        try:
            found = self._packed.decompress(block, LARGEST + 1)
        except zlib.error as error:
            raise SpdyError(f"headers cannot be unpacked: {error}") from None
        if len(found) > LARGEST or self._packed.unconsumed_tail:
            raise SpdyError(f"headers have more than {LARGEST} octets")
        if self._packed.eof:
            raise SpdyError("the compression of headers has ended")
        return found


def _headers(block: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    (count,) = unpack_from(">I", block)
    at = 4
    for _ in range(count):
        words = []
        for _ in range(2):
            (length,) = unpack_from(">I", block, at)
            at += 4 + length
            if at > len(block):
                raise SpdyError("a header is longer than all of them")
            words.append(block[at - length : at].decode("latin-1"))
        name, value = words
        if name in found:
            raise SpdyError(f"the header {name!r} comes twice")
        found[name] = value
    return found


class Writer:
    """Writes the frames whose headers are compressed."""

    def __init__(self) -> None:
        self._packing = zlib.compressobj(zdict=DICTIONARY)

    def replied(self, stream: int) -> bytes:
        """SYN_REPLY, without headers."""
        block = self._packing.compress(pack(">I", 0)) + self._packing.flush(zlib.Z_SYNC_FLUSH)
        return _control(_REPLY, pack(">I", stream) + block)


def piece(stream: int, octets: bytes = b"", *, is_end: bool = False) -> bytes:
    """DATA."""
    return pack(">II", stream, (is_end * _FIN) << 24 | len(octets)) + octets


def reset(stream: int, why: int) -> bytes:
    """RST_STREAM."""
    return _control(_RESET, pack(">II", stream, why))


def ping(number: int) -> bytes:
    """PING."""
    return _control(_PING, pack(">I", number))


def goaway(last: int, why: int) -> bytes:
    """GOAWAY."""
    return _control(_GOAWAY, pack(">II", last, why))


def _control(kind: int, body: bytes) -> bytes:
    return pack(">HHI", _VERSION, kind, len(body)) + body
