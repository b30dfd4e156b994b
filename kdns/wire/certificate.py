"""A certificate in PEM becomes the time at which it ends: as much of X.509 as that takes."""

import binascii
from datetime import UTC, datetime
from typing import Final

BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
END: Final = b"-----END CERTIFICATE-----"
VERSION: Final = 0xA0
"""The tag of a field that certificates of version 1 do not have."""
FORMATS: Final = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}
"""How times are written, by tag: two digits for years up to 2049, four for others."""


def end(pem: bytes) -> float:
    """Unix time up to which the first certificate of a file holds; raises ValueError."""
    _, has_begun, rest = pem.partition(BEGIN)
    text, has_ended, _ = rest.partition(END)
    if not (has_begun and has_ended):
        raise ValueError("no certificate in PEM")
    try:
        return _end(binascii.a2b_base64(text))
    except IndexError:
        raise ValueError("the certificate is cut off") from None


def _end(der: bytes) -> float:
    _, at, _ = _opened(der, 0)  # the certificate
    _, at, _ = _opened(der, at)  # what is signed of it
    tag, _, after = _opened(der, at)
    if tag == VERSION:
        at = after
    for _ in ("serial number", "algorithm", "issuer"):
        at = _opened(der, at)[2]
    _, at, _ = _opened(der, at)  # from when, until when
    _, _, at = _opened(der, at)
    tag, at, after = _opened(der, at)
    if tag not in FORMATS:
        raise ValueError(f"a time has the tag {tag:#x}")
    when = datetime.strptime(der[at:after].decode("ascii"), FORMATS[tag])
    return when.replace(tzinfo=UTC).timestamp()


def _opened(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag of the field at a place, where its content begins, and where it ends."""
    tag, size, at = der[at], der[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size = int.from_bytes(der[at : at + count], "big")
        at += count
    if at + size > len(der):
        raise IndexError
    return tag, at, at + size
