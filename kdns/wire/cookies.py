"""DNS cookies as octets: found in a packet, made and checked, put on a reply (RFC 7873, RFC 9018).

A server cookie is 16 octets: version 1, three reserved ones, the time it was made at, and a hash of
the client cookie, these eight and the client's address under our secret.
"""

from collections.abc import Sequence
from hashlib import blake2s
from hmac import compare_digest
from struct import Struct
from struct import error as _StructError

from kdns.wire import types
from kdns.wire.scan import options, skip_name
from kdns.wire.siphash import siphash

COOKIE = 10
CLIENT = 8
"""Octets of a client cookie."""
WHOLE = CLIENT + 16
ROOM = 4 + WHOLE
"""What it adds to a reply."""
PAST_S, AHEAD_S, RENEWED_S = 3600, 300, 1800
"""How old a server cookie may be, how far ahead, and from when on it is renewed (RFC 9018 §4.3)."""
DAY_S = 86400

_HEAD = Struct("!BxxxI")
_FIXED = Struct("!HHIH").unpack_from
_RANGE = 1 << 32


class Secrets:
    """What server cookies are made and checked with."""

    def __init__(self, *, own: bytes = b"", shared: Sequence[bytes] = ()) -> None:
        self._own = own
        self._shared = tuple(shared)

    def make(self, client: bytes, address: bytes, now: int) -> bytes:
        """The whole cookie for a client, as of a time in Unix seconds."""
        head = _HEAD.pack(1, now % _RANGE)
        text = client + head + address
        if self._shared:
            return client + head + siphash(self._shared[0], text)
        return client + head + self._hash(text, now)

    def age(self, cookie: bytes, address: bytes, now: int) -> int | None:
        """How many seconds ago we made a whole cookie for this address; None for any other."""
        if len(cookie) != WHOLE or cookie[CLIENT] != 1:
            return None
        made = _HEAD.unpack_from(cookie, CLIENT)[1]
        age = (now - made + _RANGE // 2) % _RANGE - _RANGE // 2  # serial arithmetic, RFC 1982
        if not -AHEAD_S <= age <= PAST_S:
            return None
        text, hash_ = cookie[:16] + address, cookie[16:]
        if self._shared:
            is_ours = any(compare_digest(siphash(one, text), hash_) for one in self._shared)
        else:
            is_ours = compare_digest(self._hash(text, now - age), hash_)
        return age if is_ours else None

    def _hash(self, text: bytes, made: int) -> bytes:
        """With a key of its own for each day, so that none is used for long."""
        day = made // DAY_S
        key = blake2s(day.to_bytes(8, "big"), key=self._own).digest()
        return blake2s(text, key=key, digest_size=8).digest()


def cookie_of(block: bytes) -> bytes | None:
    """The first cookie among EDNS options, None where there is none; others do not count."""
    return next((value for code, value in options(block) if code == COOKIE), None)


def is_formed(cookie: bytes) -> bool:
    """True for a client cookie, with a server cookie of any server behind it or without."""
    return len(cookie) == CLIENT or 16 <= len(cookie) <= 40


def block_alone(packet: bytes) -> bytes | None:
    """The options of a packet that asks nothing but a cookie (RFC 7873 §5.4); else None."""
    if packet[4:12] != b"\0\0\0\0\0\0\0\1" or packet[2] & 0xF8 or packet[12:15] != b"\0\0\x29":
        return None
    length = int.from_bytes(packet[21:23], "big")
    block = packet[23:]
    try:
        whole = sum(4 + len(value) for _, value in options(block))
    except _StructError:
        return None
    return block if len(block) == length == whole else None


def put(reply: bytes, cookie: bytes) -> bytes:
    """A reply with this cookie in its OPT; as it is without one, signed, or with a cookie."""
    at = opt_at(reply)
    if at is None:
        return reply
    length = int.from_bytes(reply[at + 9 : at + 11], "big")
    end = at + 11 + length
    if length and cookie_of(reply[at + 11 : end]) is not None:
        return reply
    option = COOKIE.to_bytes(2, "big") + len(cookie).to_bytes(2, "big") + cookie
    size = (length + len(option)).to_bytes(2, "big")
    return reply[: at + 9] + size + reply[at + 11 : end] + option + reply[end:]


def opt_at(reply: bytes) -> int | None:
    """Where the OPT of a reply of ours begins; None where there is none, or a signature behind."""
    asked, *counts = (int.from_bytes(reply[at : at + 2], "big") for at in (4, 6, 8, 10))
    if not counts[-1]:
        return None
    at = 12
    for _ in range(asked):
        at = skip_name(reply, at) + 4
    found = None
    for _ in range(sum(counts)):
        start, at = at, skip_name(reply, at)
        type_, _, _, length = _FIXED(reply, at)
        at += 10 + length
        if type_ == types.OPT:
            found = start
        elif type_ == types.TSIG:
            return None
    return found
