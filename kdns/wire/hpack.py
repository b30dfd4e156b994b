"""Blocks of HTTP/2 become fields, and fields blocks (HPACK, RFC 7541).

What we write leaves the table of the other side alone, so that a block depends on its fields only.
Blocks that leave our table as it is are remembered with what they were read as, for clients send
the same few again and again. Bounds: octets of a block's fields, the table, what is remembered.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import accumulate
from typing import Final, Generic, TypeVar

T = TypeVar("T")
Field = tuple[bytes, bytes]
Fields = tuple[Field, ...]

TABLE: Final = 4096
"""Octets of the table, which nobody has asked to be other than it is at first (§4.2)."""
NO_TABLE: Final = b"\x20"
"""What our first block begins with: the table of the other side holds nothing. Whatever it allows
later, no more need be said (§4.2)."""
_OVERHEAD: Final = 32
_REMEMBERED: Final = 64
_LONGEST: Final = 512
"""Octets of a block, or of a value, that is remembered."""

_STATIC: Final[Fields] = tuple(
    (name, value)
    for name, _, value in (
        line.partition(b" ")
        for line in b""":authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate""".split(b"\n")
    )
)
"""Appendix A."""
_PLACES: Final = {field: at for at, field in enumerate(_STATIC, 1)}
_NAMES: Final = {name: at for at, (name, _) in reversed(list(enumerate(_STATIC, 1)))}

# Appendix B. The code is a canonical one: the lengths, a base-36 digit each, say all of it.
_LENGTHS: Final = (
    "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6"
    "f56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn"
    "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu"
)
_SIZES: Final = tuple(int(digit, 36) for digit in _LENGTHS)
_SYMBOLS: Final = sorted(range(257), key=_SIZES.__getitem__)
_WIDTH: Final = 40
"""Bits that are looked at: the longest code has 30, and up to 7 more have come."""
_STARTS: Final = tuple(
    accumulate((1 << _WIDTH - _SIZES[symbol] for symbol in _SYMBOLS[:-1]), initial=0)
)
"""Where the codes begin among all words of so many bits, in the order of the symbols."""
_END: Final = 256


class Decoder(Generic[T]):
    """The blocks that come over one connection, each as what `read` makes of its fields."""

    def __init__(self, most: int, read: Callable[[Fields], T]) -> None:
        self._most = most
        """Octets of the fields of a block, 32 of overhead for each."""
        self._read = read
        self._table: deque[Field] = deque()
        self._size = 0
        self._limit = TABLE
        self._known: dict[bytes, T] = {}
        self._is_changed = False

    def decode(self, block: bytes) -> T:
        """Reads a block; raises ValueError, and what `read` raises."""
        known = self._known.get(block)
        if known is not None:
            return known
        self._is_changed = False
        fields = self._fields(block)
        if self._is_changed:
            self._known.clear()
        found = self._read(fields)
        if not self._is_changed and len(block) <= _LONGEST:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[block] = found
        return found

    def _fields(self, block: bytes) -> Fields:
        found: list[Field] = []
        at, left, size = 0, self._most, len(block)
        try:
            while at < size:
                octet = block[at]
                if octet & 0xE0 == 0x20:
                    if found:
                        raise ValueError("a table size behind a field")
                    limit, at = _number(block, at, 5)
                    self._resize(limit)
                    continue
                field, at = self._field(block, at, octet)
                found.append(field)
                left -= len(field[0]) + len(field[1]) + _OVERHEAD
                if left < 0:
                    raise ValueError("too many fields")
        except IndexError:
            raise ValueError("a field that is not whole") from None
        return tuple(found)

    def _field(self, block: bytes, at: int, octet: int) -> tuple[Field, int]:
        if octet & 0x80:
            place, at = _number(block, at, 7)
            return self._at(place), at
        is_kept = octet & 0x40
        place, at = _number(block, at, 6 if is_kept else 4)
        if place:
            name = self._at(place)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        if is_kept:
            self._keep((name, value))
        return (name, value), at

    def _at(self, place: int) -> Field:
        if not place:
            raise ValueError("no field has the number 0")
        return _STATIC[place - 1] if place <= len(_STATIC) else self._table[place - 62]

    def _keep(self, field: Field) -> None:
        self._is_changed = True
        self._table.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + _OVERHEAD
        self._fit()

    def _resize(self, limit: int) -> None:
        if limit > TABLE:
            raise ValueError("a table larger than it may be")
        self._is_changed = True
        self._limit = limit
        self._fit()

    def _fit(self) -> None:
        while self._size > self._limit:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _OVERHEAD


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """A block that leaves the table of the other side alone."""
    return b"".join(
        [_known(*field) if len(field[1]) < _LONGEST else _field(*field) for field in fields]
    )


def _field(name: str, value: str) -> bytes:
    word, text = name.encode("latin-1"), value.encode("latin-1")
    place = _PLACES.get((word, text))
    if place is not None:
        return _written(place, 7, 0x80)
    place = _NAMES.get(word, 0)
    head = _written(place, 4, 0)
    if not place:
        head += _written(len(word), 7, 0) + word
    return head + _written(len(text), 7, 0) + text


_known = lru_cache(maxsize=1024)(_field)


def _written(number: int, bits: int, kind: int) -> bytes:
    """An integer behind so many bits that say what it is (§5.1)."""
    most = (1 << bits) - 1
    if number < most:
        return bytes((kind | number,))
    out = bytearray((kind | most,))
    number -= most
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer and where it ends."""
    most = (1 << bits) - 1
    number = block[at] & most
    at += 1
    if number < most:
        return number, at
    for shift in range(0, 28, 7):
        octet = block[at]
        at += 1
        number += (octet & 127) << shift
        if octet < 128:
            return number, at
    raise ValueError("a number without end")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """Octets and where they end (§5.2)."""
    is_coded = block[at] & 0x80
    size, at = _number(block, at, 7)
    end = at + size
    if end > len(block):
        raise IndexError
    octets = block[at:end]
    return (decoded(octets) if is_coded else octets), end


def decoded(octets: bytes) -> bytes:
    """What Huffman's code says (§5.2); raises ValueError."""
    out = bytearray()
    bits = left = 0
    for octet in octets:
        bits = bits << 8 | octet
        left += 8
        while left >= 5:
            at = bisect_right(_STARTS, bits << _WIDTH - left) - 1
            symbol = _SYMBOLS[at]
            size = _SIZES[symbol]
            if size > left:
                break
            if symbol == _END:
                raise ValueError("the end of a string in it")
            out.append(symbol)
            left -= size
            bits &= (1 << left) - 1
    if left > 7 or bits != (1 << left) - 1:
        raise ValueError("no padding of a string")
    return bytes(out)
