"""The network interfaces of this machine and their addresses, from getifaddrs(3).

The standard library has no such call. IPv6 link-local addresses carry their zone, `fe80::1%eth0`:
without it they cannot be bound.
"""

import ctypes
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

_FAMILY_AT = 0 if sys.platform.startswith("linux") else 1
"""Where sockaddr keeps its family; BSD puts the length before it."""


class _Interface(ctypes.Structure):
    """The head of struct ifaddrs, alike on Linux, macOS and BSD."""


_Interface._fields_ = (
    ("next", ctypes.POINTER(_Interface)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
)


def interfaces() -> dict[str, tuple[str, ...]]:
    """Every interface with its addresses, IPv4 before IPv6; empty for one that has none."""
    found: dict[str, tuple[str, ...]] = {name: () for _, name in socket.if_nameindex()}
    for name, address in sorted(_addresses(), key=lambda one: ":" in one[1]):
        found[name] = (*found.get(name, ()), address)
    return found


def own_addresses(listen: Iterable[tuple[str, int]]) -> tuple[bytes, ...]:
    """The addresses we are bound to; those of all interfaces but loopback for the wildcard."""
    own: dict[bytes, None] = {}
    for host, _ in listen:
        address = ip_address(host.partition("%")[0] or "::")
        found = [address] if int(address) else _of_interfaces()
        own |= dict.fromkeys(one.packed for one in found)
    return tuple(own)


def _of_interfaces() -> list[IPv4Address | IPv6Address]:
    texts = (text.partition("%")[0] for group in interfaces().values() for text in group)
    return [address for address in map(ip_address, texts) if not address.is_loopback]


def _addresses() -> Iterator[tuple[str, str]]:
    libc = ctypes.CDLL(None, use_errno=True)
    head = ctypes.POINTER(_Interface)()
    if libc.getifaddrs(ctypes.byref(head)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        at = head
        while at:
            name = at.contents.name.decode()
            address = _format(at.contents.address, name)
            if address:
                yield name, address
            at = at.contents.next
    finally:
        libc.freeifaddrs(head)


def _format(sockaddr: int | None, name: str) -> str:
    """The text of an IPv4 or IPv6 socket address, empty for other families."""
    if not sockaddr:
        return ""
    family = int.from_bytes(ctypes.string_at(sockaddr, 2), sys.byteorder)
    if _FAMILY_AT:
        family = ctypes.string_at(sockaddr + 1, 1)[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(family, ctypes.string_at(sockaddr + 4, 4))
    if family != socket.AF_INET6:
        return ""
    address = IPv6Address(ctypes.string_at(sockaddr + 8, 16))
    return f"{address}%{name}" if address.is_link_local else str(address)
