"""Rdata with a grammar of its own: LOC, APL and the gateways of IPSECKEY and AMTRELAY.

Words to octets and back, beside the plain rows of `fields`; what is wrong raises ValueError.
"""

from ipaddress import IPv4Address, IPv6Address, ip_network
from re import compile as pattern
from struct import Struct

_LOC = Struct("!BBBBIII")
_MIDDLE = 1 << 31
_BELOW_SEA_CM = 10_000_000
_METRES = pattern(r"(-?[0-9]+)(?:\.([0-9]{1,2}))?m?")
_SECONDS = pattern(r"([0-9]+)(?:\.([0-9]{1,3}))?")
_APL = pattern(r"(!?)([12]):(.+)")


def parse_loc(words: list[str]) -> bytes:
    """LOC (RFC 1876 §3): degrees with a letter, altitude, and three sizes that may be left out."""
    rest = list(words)
    latitude = _angle(rest, "NS", 90)
    longitude = _angle(rest, "EW", 180)
    if not 1 <= len(rest) <= 4:
        raise ValueError("an altitude and at most three sizes follow the place")
    altitude = _centimetres(rest[0]) + _BELOW_SEA_CM
    if not 0 <= altitude < 1 << 32:
        raise ValueError(f"{rest[0]!r} is no altitude")
    sizes = [*map(_size, rest[1:]), *(0x12, 0x16, 0x13)[len(rest) - 1 :]]
    return _LOC.pack(0, *sizes, latitude, longitude, altitude)


def _angle(words: list[str], letters: str, most: int) -> int:
    parts: list[str] = []
    while words and words[0].upper() not in tuple(letters):
        parts.append(words.pop(0))
    if not words or not 1 <= len(parts) <= 3:
        raise ValueError(f"degrees, minutes and seconds end in {' or '.join(letters)}")
    sign = 1 if words.pop(0).upper() == letters[0] else -1
    degrees, minutes, seconds = (*parts, *("0", "0")[: 3 - len(parts)])
    match = _SECONDS.fullmatch(seconds)
    if not (degrees.isdigit() and minutes.isdigit() and match):
        raise ValueError(f"{' '.join(parts)!r} is no angle")
    thousandths = int(match[1]) * 1000 + int((match[2] or "").ljust(3, "0"))
    if int(minutes) > 59 or thousandths >= 60_000:
        raise ValueError(f"{' '.join(parts)!r} is no angle")
    total = (int(degrees) * 60 + int(minutes)) * 60_000 + thousandths
    if total > most * 3_600_000:
        raise ValueError(f"{degrees} degrees are too many")
    return _MIDDLE + sign * total


def _centimetres(text: str) -> int:
    match = _METRES.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no length in metres")
    whole, part = int(match[1]), int((match[2] or "").ljust(2, "0"))
    return whole * 100 + (-part if text.startswith("-") else part)


def _size(text: str) -> int:
    value = _centimetres(text)
    exponent = max(len(str(value)) - 1, 0)
    if value < 0 or exponent > 9:
        raise ValueError(f"{text!r} is no size")
    return int(value // 10**exponent) << 4 | exponent


def format_loc(rdata: bytes) -> str:
    """The text of LOC; ValueError for a version that is not known."""
    if len(rdata) != 16 or rdata[0]:
        raise ValueError("LOC has 16 octets, the first of them 0")
    _, *sizes, latitude, longitude, altitude = _LOC.unpack(rdata)
    if any(size & 0xF > 9 or size >> 4 > 9 for size in sizes):
        raise ValueError("a size of LOC is no decimal")
    metres = [_metres((size >> 4) * 10 ** (size & 0xF)) for size in sizes]
    place = f"{_degrees(latitude, 'NS')} {_degrees(longitude, 'EW')}"
    return " ".join((place, _metres(altitude - _BELOW_SEA_CM), *metres))


def _degrees(value: int, letters: str) -> str:
    total = abs(value - _MIDDLE)
    minutes, thousandths = divmod(total, 60_000)
    seconds = f"{thousandths // 1000}.{thousandths % 1000:03d}"
    return f"{minutes // 60} {minutes % 60} {seconds} {letters[value < _MIDDLE]}"


def _metres(centimetres: int) -> str:
    sign = "-" if centimetres < 0 else ""
    return f"{sign}{abs(centimetres) // 100}.{abs(centimetres) % 100:02d}m"


def parse_apl(words: list[str]) -> bytes:
    """APL (RFC 3123 §5): `[!]1:address/prefix` for IPv4, 2 for IPv6."""
    out = b""
    for word in words:
        match = _APL.fullmatch(word)
        if not match:
            raise ValueError(f"{word!r} is no prefix such as 1:192.0.2.0/24")
        net = ip_network(match[3], strict=False)
        if net.version != (4 if match[2] == "1" else 6):
            raise ValueError(f"{word!r} is of the other address family")
        part = net.network_address.packed.rstrip(b"\0")
        negation = 0x80 if match[1] else 0
        out += bytes((0, int(match[2]), net.prefixlen, negation | len(part))) + part
    return out


def format_apl(rdata: bytes) -> str:
    """The text of APL."""
    out = []
    at = 0
    while at < len(rdata):
        if at + 4 > len(rdata):
            raise ValueError("a prefix of APL is cut")
        family, prefix, size = rdata[at] << 8 | rdata[at + 1], rdata[at + 2], rdata[at + 3] & 0x7F
        part = rdata[at + 4 : at + 4 + size]
        width = {1: 4, 2: 16}.get(family, 0)
        if len(part) < size or size > width or prefix > width * 8:
            raise ValueError("a prefix of APL is cut or of another family")
        kind = IPv4Address if family == 1 else IPv6Address
        mark = "!" if rdata[at + 3] & 0x80 else ""
        out.append(f"{mark}{family}:{kind(part.ljust(width, bytes(1)))}/{prefix}")
        at += 4 + size
    return " ".join(out)
