"""PROXY headers, versions 1 and 2: bytes in front of a stream or in a datagram say who really asks.

The format is that of HAProxy's proxy-protocol.txt. A header ends where it says; what follows is the
client's own. Nothing here says whether a peer may be believed (plugins.proxyproto).
"""

import re
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
TEXT: Final = b"PROXY "
MAX_TEXT: Final = 107
"""Octets of a header of version 1, its end included."""
MAX_BINARY: Final = 4096
"""Octets of one of version 2 that are taken: addresses need 52, the rest is for TLVs."""

_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_SIZES = {1: 4, 2: 16}
STREAM, DATAGRAM = 1, 2

Place = tuple[bytes, int]
"""A packed address and a port."""


class Malformed(ValueError):
    """No PROXY header, though it began like one; or one that may not be here."""


class Header(Struct, frozen=True, gc=False):
    """What a header says."""

    size: int
    """Octets it takes."""
    source: Place | None = None
    """Who asks; None where the peer asks for himself (LOCAL, UNKNOWN)."""
    target: Place | None = None
    """The address that he asked."""
    tlvs: bytes = b""
    kind: int = 0
    """STREAM or DATAGRAM, as version 2 has it."""


NONE: Final = Header(0)
"""There is no header."""


def read(octets: bytes) -> Header | None:
    """The header that octets begin with, NONE where there is none; None when more are needed."""
    if octets.startswith(SIGNATURE):
        return _binary(octets)
    if octets.startswith(TEXT):
        return _text(octets)
    if SIGNATURE.startswith(octets) or TEXT.startswith(octets):
        return None
    return NONE


def _text(octets: bytes) -> Header | None:
    end = octets.find(b"\r\n", 0, MAX_TEXT)
    if end < 0:
        if len(octets) >= MAX_TEXT:
            raise Malformed("a PROXY line without an end")
        return None
    words = octets[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return Header(end + 2)
    family = {b"TCP4": 4, b"TCP6": 16}.get(words[1])
    if family is None or len(words) != 6:
        raise Malformed("a PROXY line without addresses")
    source, target = ((_address(words[at], family), _port(words[at + 2])) for at in (2, 3))
    return Header(end + 2, source, target, kind=STREAM)


def _address(word: bytes, size: int) -> bytes:
    try:
        packed = ip_address(word.decode("ascii")).packed
    except ValueError:
        packed = b""
    if len(packed) != size:
        raise Malformed("no address")
    return packed


def _port(word: bytes) -> int:
    if not _PORT.fullmatch(word) or int(word) > 0xFFFF:
        raise Malformed("no port")
    return int(word)


def _binary(octets: bytes) -> Header | None:
    if len(octets) < 16:
        return None
    version, command = octets[12] >> 4, octets[12] & 0xF
    size = 16 + int.from_bytes(octets[14:16], "big")
    if version != 2 or command > 1 or size > MAX_BINARY:
        raise Malformed("a PROXY header of another version")
    if len(octets) < size:
        return None
    if command == 0:
        return Header(size)
    family, kind = octets[13] >> 4, octets[13] & 0xF
    wide = _SIZES.get(family, 0)
    if not wide or kind not in {STREAM, DATAGRAM} or size < 16 + 2 * wide + 4:
        raise Malformed("a PROXY header without addresses")
    body = octets[16:size]
    ports = body[2 * wide : 2 * wide + 4]
    return Header(
        size,
        (_plain(body[:wide]), int.from_bytes(ports[:2], "big")),
        (_plain(body[wide : 2 * wide]), int.from_bytes(ports[2:], "big")),
        body[2 * wide + 4 :],
        kind,
    )


def _plain(address: bytes) -> bytes:
    """An IPv4-mapped address as IPv4."""
    return address[12:] if address[:12] == bytes(10) + b"\xff\xff" else address
