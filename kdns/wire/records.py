"""Builds rdata bytes from values: addresses, names, SRV, SOA, MX, TXT."""

from ipaddress import ip_address
from struct import pack


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
