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


def soa_set(
    zone: Key,
    ttl: int,
    before: tuple[bytes, bytes],
    serial: int,
    timers: tuple[int, int, int],
    minimum: int,
) -> RRset:
    """The SOA of a zone whose mname and rname are the labels `before` put in front of its name.

    The record is compiled, so that a negative answer costs one join (perf: bench miss NXDOMAIN).
    """
    mname, rname = before
    tail = pack("!IIIII", serial & 0xFFFFFFFF, *timers, minimum)
    fixed = pack("!HHIH", types.SOA, types.IN, ttl, len(mname) + len(rname) + 4 + len(tail))
    rdata = mname + zone + rname + zone + tail
    pieces = (b"", fixed + mname, rname, tail)
    return RRset(zone, types.SOA, ttl, (rdata,), types.IN, pieces)
