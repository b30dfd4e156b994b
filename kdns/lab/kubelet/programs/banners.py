"""What databases and queues say first, in their own protocols where a client expects one.

The MySQL handshake (protocol 10) and error packet, the error response of Postgres, the replies of
Redis; all others a readable line. Whoever reads it learns which pod has answered.
"""

import os
import struct

VERSION = "8.0.0-kdns-lab"
_CAPABILITIES = 0x1 | 0x2 | 0x4 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x80000
"""Long password, found rows, long flag, connect with db, protocol 4.1, transactions, secure
connection, plugin auth; no TLS, so that no client asks for it."""
_UTF8MB4 = 45
_AUTOCOMMIT = 2
_PLUGIN = b"mysql_native_password"
TLS_REQUESTS = {80877103, 80877104}
"""SSLRequest and GSSENCRequest of Postgres."""


def line(said: str) -> bytes:
    """A line for people."""
    return said.encode(errors="replace") + b"\r\n"


# MySQL


def mysql_greeting(number: int) -> bytes:
    """The handshake; `number` is the connection's."""
    salt = bytes(33 + one % 90 for one in os.urandom(20))  # printable, never 0
    low, high = _CAPABILITIES & 0xFFFF, _CAPABILITIES >> 16
    return _packet(
        0,
        b"\x0a" + VERSION.encode() + b"\0",
        struct.pack("<I", number) + salt[:8] + b"\0",
        struct.pack("<HBHHB", low, _UTF8MB4, _AUTOCOMMIT, high, len(salt) + 1),
        bytes(10),
        salt[8:] + b"\0" + _PLUGIN + b"\0",
    )


def mysql_refusal(said: str, number: int = 2) -> bytes:
    """Error 1045, Access denied, which clients print."""
    body = b"\xff" + struct.pack("<H", 1045) + b"#28000" + said.encode(errors="replace")
    return _packet(number, body)


def _packet(number: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("<I", len(body))[:3] + bytes([number & 0xFF]) + body


# Postgres


def postgres_refusal(said: str) -> bytes:
    """The fatal error that psql prints."""
    fields = (
        b"SFATAL",
        b"VFATAL",
        b"C28000",
        b"M" + said.encode(errors="replace").replace(b"\0", b""),
    )
    body = b"".join(one + b"\0" for one in fields) + b"\0"
    return b"E" + struct.pack(">I", len(body) + 4) + body


# Redis


def redis_reply(words: list[bytes], said: str) -> bytes:
    """What a command gets."""
    name = words[0].upper() if words else b""
    if name == b"PING":
        return b"+PONG\r\n" if len(words) == 1 else redis_bulk(words[1])
    if name == b"ECHO" and len(words) > 1:
        return redis_bulk(words[1])
    if name in {b"INFO", b"HELLO"}:
        return redis_bulk(f"# Server\r\nredis_version:{VERSION}\r\n# {said}\r\n".encode())
    if name == b"QUIT":
        return b"+OK\r\n"
    return b"-ERR " + said.encode() + b"\r\n"


def redis_bulk(text: bytes) -> bytes:
    """A text of any bytes."""
    return b"$%d\r\n%s\r\n" % (len(text), text)
