"""Values become DER (X.690), and DER becomes PEM (RFC 7468): as much as certificates need."""

import base64
from datetime import UTC, datetime


def value(tag: int, *parts: bytes) -> bytes:
    """Any value: its tag, length and content."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts: bytes) -> bytes:
    """Several values in a row."""
    return value(0x30, *parts)


def number(number: int) -> bytes:
    """A whole number that is not negative."""
    return value(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def octets(content: bytes) -> bytes:
    """Bytes."""
    return value(0x04, content)


def bits(content: bytes, unused: int = 0) -> bytes:
    """Bits, the last few of which may not count."""
    return value(0x03, bytes([unused]), content)


def true() -> bytes:
    """Yes."""
    return value(0x01, b"\xff")


def text(words: str) -> bytes:
    """A text in UTF-8."""
    return value(0x0C, words.encode())


def oid(dotted: str) -> bytes:
    """The name of a thing, as `2.5.4.3`."""
    first, second, *rest = map(int, dotted.split("."))
    return value(0x06, *map(_base128, (first * 40 + second, *rest)))


def _base128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))


def time(seconds: float) -> bytes:
    """A time; from 2050 on, years have four digits (RFC 5280 §4.1.2.5)."""
    moment = datetime.fromtimestamp(seconds, UTC)
    if moment.year < 2050:
        return value(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return value(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def pem(label: str, content: bytes) -> bytes:
    """The text form of it."""
    armour = base64.b64encode(content).decode()
    lines = [armour[at : at + 64] for at in range(0, len(armour), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()
