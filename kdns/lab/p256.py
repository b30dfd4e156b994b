"""Keys and signatures on the curve P-256 (FIPS 186-5, SEC 1), for the lab's own certificates.

For learning and testing only: nothing here runs in constant time, so whoever can measure how long
a signature takes could learn about the key. The lab signs twice when it starts and never again;
what protects connections afterwards is OpenSSL's.
"""

import hashlib
import secrets
from typing import NamedTuple

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point = tuple[int, int, int]
"""Jacobian coordinates: x/z², y/z³; z is 0 at infinity."""


class Key(NamedTuple):
    """A private key and its public point."""

    secret: int
    x: int
    y: int

    @property
    def point(self) -> bytes:
        """The public key, uncompressed (SEC 1 §2.3.3)."""
        return b"\4" + self.x.to_bytes(32) + self.y.to_bytes(32)


def new_key() -> Key:
    """A key nobody else has."""
    return key_of(secrets.randbelow(N - 1) + 1)


def key_of(secret: int) -> Key:
    """The key of a secret number."""
    return Key(secret, *_times(secret, _G))


def sign(key: Key, message: bytes) -> tuple[int, int]:
    """ECDSA with SHA-256: the numbers r and s."""
    digest = int.from_bytes(hashlib.sha256(message).digest())
    while True:
        once = secrets.randbelow(N - 1) + 1
        r = _times(once, _G)[0] % N
        s = pow(once, -1, N) * (digest + r * key.secret) % N
        if r and s:
            return r, s


def _times(factor: int, point: tuple[int, int]) -> tuple[int, int]:
    """A multiple of a point, by doubling and adding; the factor is below N."""
    found: _Point = (1, 1, 0)
    for bit in f"{factor:b}":
        found = _twice(found)
        if bit == "1":
            found = _plus(found, point)
    x, y, z = found
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P


def _twice(point: _Point) -> _Point:
    x, y, z = point
    square = z * z % P
    slope = 3 * (x - square) * (x + square) % P  # the curve's a is -3
    squared = y * y % P
    mixed = 4 * x * squared % P
    above = (slope * slope - 2 * mixed) % P
    return above, (slope * (mixed - above) - 8 * squared * squared) % P, 2 * y * z % P


def _plus(point: _Point, other: tuple[int, int]) -> _Point:
    """The sum with another point, which is never the same one: factors are below N."""
    x, y, z = point
    if not z:
        return (*other, 1)
    square = z * z % P
    wide = (other[0] * square - x) % P
    high = (other[1] * square * z - y) % P
    wide2 = wide * wide % P
    wide3 = wide * wide2 % P
    shared = x * wide2 % P
    above = (high * high - wide3 - 2 * shared) % P
    return above, (high * (shared - above) - y * wide3) % P, z * wide % P
