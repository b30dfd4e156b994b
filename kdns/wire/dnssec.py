"""Fields of DNSSEC records that have a text of their own: times, type bitmaps, hashes (RFC 4034,
RFC 5155). Text to octets and back; what is wrong raises ValueError.
"""

from base64 import b32hexdecode, b32hexencode
from collections.abc import Iterable
from datetime import UTC, datetime

from kdns.wire import types

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> int:
    """Seconds of Unix time, from YYYYMMDDHHmmSS or from a number (RFC 4034 §3.2)."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no time as YYYYMMDDHHmmSS")
    if len(text) != 14:
        return int(text)
    moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return int((moment - _EPOCH).total_seconds()) & 0xFFFFFFFF


def format_time(seconds: int) -> str:
    """The text of Unix time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")


def parse_types(words: Iterable[str]) -> bytes:
    """The bitmap of some types (RFC 4034 §4.1.2)."""
    windows: dict[int, bytearray] = {}
    for word in words:
        number = types.parse_type(word)
        bits = windows.setdefault(number >> 8, bytearray(32))
        bits[(number & 0xFF) >> 3] |= 0x80 >> (number & 7)
    out = bytearray()
    for window in sorted(windows):
        bits = windows[window].rstrip(b"\0")
        out += bytes((window, len(bits))) + bits
    return bytes(out)


def read_types(bitmap: bytes) -> list[int]:
    """The types of a bitmap; ValueError when it is cut."""
    found = []
    at = 0
    while at < len(bitmap):
        bits = bitmap[at + 2 : at + 2 + bitmap[at + 1]] if at + 1 < len(bitmap) else b""
        if not bits or len(bits) < bitmap[at + 1]:
            raise ValueError("the types are cut")
        found += [
            bitmap[at] << 8 | place << 3 | bit
            for place, octet in enumerate(bits)
            for bit in range(8)
            if octet & 0x80 >> bit
        ]
        at += 2 + len(bits)
    return found


def format_types(bitmap: bytes) -> str:
    """The text of a bitmap."""
    return " ".join(map(types.type_name, read_types(bitmap)))


def parse_hash(text: str) -> bytes:
    """A hash in base32 with the extended hex alphabet, without padding (RFC 5155 §3.3)."""
    padded = text.upper() + "=" * (-len(text) % 8)
    try:
        found = b32hexdecode(padded)
    except ValueError as error:
        raise ValueError(f"{text!r} is no hash in base32hex") from error
    if not 0 < len(found) < 256:
        raise ValueError("a hash has 1 to 255 octets")
    return found


def format_hash(octets: bytes) -> str:
    """The text of a hash."""
    return b32hexencode(octets).decode().rstrip("=").lower()
