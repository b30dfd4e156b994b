"""Socket addresses and the ancillary data of a reply, between bytes, tuples and DNS clients.

A peer is the tuple the socket module gives, or the bytes of a sockaddr. On a wildcard address the
kernel says which of our addresses was asked, and a reply leaves from there.
"""

import socket
import struct
import sys
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

_MAPPED = bytes(10) + b"\xff\xff"
_PKTINFO6 = struct.Struct("@16sI")
_PKTINFO4 = struct.Struct("@I4s4s")
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)

Peer = tuple[Any, ...]  # Any: an address tuple as the socket module gives it
Ancillary = list[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a socket is bound to."""

    address: bytes
    port: int
    is_wildcard: bool

    @classmethod
    def of(cls, sock: socket.socket) -> "Bound":
        """What this one is bound to."""
        host, port = sock.getsockname()[:2]
        address = ip_address(host).packed
        return cls(address, port, not any(address))

    @property
    def where(self) -> str:
        """The same in words."""
        host = "every address" if self.is_wildcard else str(ip_address(self.address))
        return f"{host}, port {self.port}"


def address_of(peer: Peer | bytes) -> bytes:
    """The packed address of a peer, of a socket or in a sockaddr; IPv4-mapped ones as IPv4."""
    if isinstance(peer, bytes):
        return peer[4:8] if len(peer) == 16 else unmapped(peer[8:24])
    host: str = peer[0]
    if len(peer) == 2:
        return socket.inet_pton(socket.AF_INET, host)
    return unmapped(socket.inet_pton(socket.AF_INET6, host.partition("%")[0]))


def is_over_v6(peer: Peer) -> bool:
    """True for an IPv6 address that is not IPv4 inside."""
    return len(peer) == 4 and not (peer[0].startswith("::ffff:") and "." in peer[0])


def peer_of(name: bytes) -> Peer:
    """A sockaddr as the socket module has it."""
    port = int.from_bytes(name[2:4], "big")
    if len(name) == 16:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    flow, scope = int.from_bytes(name[4:8], "big"), int.from_bytes(name[24:28], sys.byteorder)
    return socket.inet_ntop(socket.AF_INET6, name[8:24]), port, flow, scope


def unmapped(packed: bytes) -> bytes:
    """An IPv4-mapped address as IPv4."""
    return packed[12:] if packed[:12] == _MAPPED else packed


def ask_for_local_addresses(sock: socket.socket) -> None:
    """Makes the kernel say with each packet which address it was sent to."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def local_in(ancillary: Ancillary) -> bytes:
    """The address of ours that was asked; empty where the kernel did not say."""
    for level, kind, received in ancillary:
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return unmapped(received[:16])
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            return received[4:8]
    return b""


def from_local(ancillary: Ancillary) -> Ancillary:
    """Turns the received "sent to" into a "send from", the interface left to routing."""
    return [_turned(*each) for each in ancillary]


@lru_cache(maxsize=64)  # perf: wild, paced. A machine has few addresses that are asked.
def _turned(level: int, kind: int, received: bytes) -> tuple[int, int, bytes]:
    if level == socket.IPPROTO_IPV6:
        address, index = _PKTINFO6.unpack(received[:20])
        is_link_local = address[:2] == b"\xfe\x80"
        return level, kind, _PKTINFO6.pack(address, index if is_link_local else 0)
    _, local, _ = _PKTINFO4.unpack(received[:12])
    return level, kind, _PKTINFO4.pack(0, local, bytes(4))
