"""Builds rdata bytes from values: addresses, names, SRV, SOA, MX, TXT."""

from ipaddress import ip_address
from struct import pack

from kdns.wire import types
from kdns.wire.message import RRset
from kdns.wire.names import Key


def address(text: str) -> bytes:
    """Packs the text of an IPv4 or IPv6 address; ValueError when it is none."""
    return ip_address(text).packed


def srv(port: int, target: bytes, *, priority: int = 0, weight: int = 100) -> bytes:
    """SRV rdata (RFC 2782); the target is never compressed."""
    return pack("!HHH", priority, weight, port) + target


def mx(preference: int, exchange: bytes) -> bytes:
    """MX rdata."""
    return pack("!H", preference) + exchange


def soa(
    mname: bytes, rname: bytes, serial: int, timers: tuple[int, int, int], minimum: int
) -> bytes:
    """SOA rdata; `timers` are refresh, retry, expire."""
    return mname + rname + pack("!IIIII", serial & 0xFFFFFFFF, *timers, minimum)


def txt(*strings: bytes) -> bytes:
    """TXT rdata: each string cut into pieces of at most 255 octets."""
    out = bytearray()
    for string in strings:
        for at in range(0, len(string) or 1, 255):
            piece = string[at : at + 255]
            out.append(len(piece))
            out += piece
    return bytes(out)


def soa_set(zone: Key, ttl: int, rdata_tail: bytes, *, mname: bytes, rname: bytes) -> RRset:
    """The SOA of a zone whose mname and rname are labels (no root) put before the zone's name.

    `rdata_tail` is serial, timers and minimum. The record is compiled, so that a negative answer
    costs one join (perf: bench NXDOMAIN).
    """
    length = len(mname) + len(rname) + 4 + len(rdata_tail)
    fixed = pack("!HHIH", types.SOA, types.IN, ttl, length)
    pieces = (b"", fixed + mname, rname, rdata_tail)
    return RRset(
        zone, types.SOA, ttl, (mname + zone + rname + zone + rdata_tail,), types.IN, pieces
    )
