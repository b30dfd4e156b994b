"""Transaction signatures (RFC 8945): the TSIG at a packet's end is read, verified and made.

Octets, keys and a Unix time in; what is wrong, or signed octets, out. Comparison of MACs takes the
same time whatever differs.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from struct import error as _StructError

from kdns.wire import names, types
from kdns.wire.message import WireError
from kdns.wire.names import Key
from kdns.wire.parse import read_name
from kdns.wire.scan import skip_name

BADSIG = 16
"""As an error of a TSIG; as a code of EDNS the number means BADVERS."""
FUDGE_S = 300
"""How far the clocks of two servers may be apart."""
ALGORITHMS: Mapping[Key, str] = {
    names.parse_key("hmac-sha1"): "sha1",
    names.parse_key("hmac-sha224"): "sha224",
    names.parse_key("hmac-sha256"): "sha256",
    names.parse_key("hmac-sha384"): "sha384",
    names.parse_key("hmac-sha512"): "sha512",
}

_COUNTS = Struct("!HHHH").unpack_from
_FIXED = Struct("!HHIH").unpack_from
_RECORD = Struct("!HHIH").pack
_TIMES = Struct("!HIH").unpack_from
_TIME = Struct("!HIH").pack
_TWO = Struct("!HH").pack


@dataclass(frozen=True, slots=True)
class Tsig:
    """A TSIG as it stands in a packet."""

    at: int
    """Where it begins."""
    key: Key
    """The key's name."""
    algorithm: Key
    time: int
    fudge: int
    mac: bytes
    original_id: int
    error: int = 0
    other: bytes = b""

    def variables(self) -> bytes:
        """What is signed beside the message (RFC 8945 §4.3.3)."""
        head = self.key + b"\0\xff\0\0\0\0" + self.algorithm + self.times()
        return head + _TWO(self.error, len(self.other)) + self.other

    def times(self) -> bytes:
        """What is signed of it behind the first of several messages."""
        return _TIME(self.time >> 32, self.time & 0xFFFFFFFF, self.fudge)


def find(packet: bytes) -> Tsig | None:
    """The TSIG of a packet, None without one; WireError where it is not the last record."""
    try:
        return _find(packet)
    except (IndexError, _StructError, ValueError, WireError):
        raise WireError("tsig", types.FORMERR) from None


def _find(packet: bytes) -> Tsig | None:
    questions, *counts = _COUNTS(packet, 4)
    at = 12
    for _ in range(questions):
        at = skip_name(packet, at) + 4
    total = sum(counts)
    for place in range(total):
        start, at = at, skip_name(packet, at)
        type_, cls, ttl, size = _FIXED(packet, at)
        at += 10
        if type_ == types.TYPES["TSIG"]:
            if place < total - 1 or not counts[2] or cls != 255 or ttl or at + size != len(packet):
                raise ValueError
            return _read(packet, start, at)
        at += size
    return None


def _read(packet: bytes, start: int, at: int) -> Tsig:
    key, algorithm = (names.fold(read_name(packet, place, {})[0]) for place in (start, at))
    at = skip_name(packet, at)
    high, low, fudge = _TIMES(packet, at)
    at += 8
    size = int.from_bytes(packet[at : at + 2], "big")
    mac = packet[at + 2 : at + 2 + size]
    at += 2 + size
    original_id, error, more = Struct("!HHH").unpack_from(packet, at)
    other = packet[at + 6 :]
    if len(other) != more:
        raise ValueError
    return Tsig(start, key, algorithm, high << 32 | low, fudge, mac, original_id, error, other)


def verify(packet: bytes, found: Tsig, secret: bytes | None, now: int) -> int:
    """What is wrong with a packet's TSIG as an extended rcode, 0 when nothing is."""
    hash_ = ALGORITHMS.get(found.algorithm)
    if secret is None or hash_ is None:
        return types.RCODES["BADKEY"]
    digest = hmac.digest(secret, _unsigned(packet, found) + found.variables(), hash_)
    if len(found.mac) != len(digest):
        least = max(10, len(digest) // 2)
        is_cut = least <= len(found.mac) < len(digest)
        is_cut = is_cut and hmac.compare_digest(digest[: len(found.mac)], found.mac)
        return types.RCODES["BADTRUNC"] if is_cut else BADSIG
    if not hmac.compare_digest(digest, found.mac):
        return BADSIG
    if abs(now - found.time) > found.fudge:
        return types.RCODES["BADTIME"]
    return 0


def _unsigned(packet: bytes, found: Tsig) -> bytes:
    """The packet as it was before it was signed."""
    count = int.from_bytes(packet[10:12], "big") - 1
    head = found.original_id.to_bytes(2, "big") + packet[2:10] + count.to_bytes(2, "big")
    return head + packet[12 : found.at]


@dataclass(slots=True)
class Signer:
    """Signs the messages of a reply, one after the other."""

    found: Tsig
    """What the request was signed with."""
    secret: bytes
    now: int
    error: int = 0
    _before: bytes | None = None
    """The MAC of the message before; that of the request before the first one."""

    @property
    def room(self) -> int:
        """Octets that it adds to a message."""
        size = hmac.new(self.secret, b"", ALGORITHMS[self.found.algorithm]).digest_size
        return len(self.found.key) + len(self.found.algorithm) + 26 + size + 6 * bool(self.error)

    def sign(self, message: bytes) -> bytes:
        """The message with its TSIG."""
        found, is_first = self.found, self._before is None
        before = found.mac if self._before is None else self._before
        time, other = self.now, b""
        if self.error == types.RCODES["BADTIME"]:
            time, other = found.time, self.now.to_bytes(6, "big")
        id_ = int.from_bytes(message[:2], "big")
        made = Tsig(0, found.key, found.algorithm, time, FUDGE_S, b"", id_, self.error, other)
        signed = len(before).to_bytes(2, "big") + before + message
        signed += made.variables() if is_first else made.times()
        self._before = hmac.digest(self.secret, signed, ALGORITHMS[found.algorithm])
        return append(message, made, self._before)


def append(message: bytes, made: Tsig, mac: bytes) -> bytes:
    """The message with a TSIG at its end."""
    rdata = made.algorithm + made.times() + len(mac).to_bytes(2, "big") + mac
    rdata += Struct("!HHH").pack(made.original_id, made.error, len(made.other)) + made.other
    record = made.key + _RECORD(types.TYPES["TSIG"], 255, 0, len(rdata)) + rdata
    count = int.from_bytes(message[10:12], "big") + 1
    return message[:10] + count.to_bytes(2, "big") + message[12:] + record
