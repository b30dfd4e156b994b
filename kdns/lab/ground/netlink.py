"""Links, addresses, routes and rules of a network namespace, said to the kernel by rtnetlink.

A request is bytes and the words for what it asks, in the manner of ip(8); those words are the
`filename` of the OSError that the kernel's refusal becomes. Several requests go in one packet.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple, Self

Network = IPv4Network | IPv6Network

# linux/netlink.h, linux/rtnetlink.h
_REQUEST, _ACK, _REPLACE, _EXCL, _CREATE = 1, 4, 0x100, 0x200, 0x400
_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE, _DELROUTE, _NEWRULE, _DELRULE = 16, 17, 20, 24, 25, 32, 33
_ERROR = 2
_HEAD: Final = struct.Struct("=IHHII")  # nlmsghdr
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg
_ROUTE: Final = struct.Struct("=BBBBBBBBI")  # rtmsg, and fib_rule_hdr
_UP, _NOARP = 1, 0x80
_NODAD = 2
_MAIN, _LOCAL = 254, 255
_BY_BOOT = 3
_UNIVERSE, _ON_LINK, _ON_HOST = 0, 253, 254
_UNICAST, _TO_US = 1, 2
_TO_TABLE, _BLACKHOLE = 1, 6
LOCAL_PRIORITY = 30_000
LO = 1
"""The index of lo in every namespace."""


class Request(NamedTuple):
    """One message to the kernel."""

    kind: int
    flags: int
    body: bytes
    words: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule drops, or looks up in a table; what is not said matches all.

    In a lab the table of local addresses is looked up at LOCAL_PRIORITY, not at 0 as elsewhere, so
    that rules of lower priority may drop what is meant for the lab's own addresses.
    """

    priority: int
    source: Network | None = None
    target: Network | None = None
    iif: str = ""
    protocol: int = 0
    """TCP is 6, UDP 17."""
    ports: tuple[int, int] | None = None
    """The first and the last target port."""
    is_v6: bool = False
    table: int = 0
    """0: it drops."""


def link_up(index: int) -> Request:
    """Sets a link up."""
    body = _LINK.pack(0, 0, index, _UP, _UP)
    return Request(_NEWLINK, 0, body, f"link set {index} up")


def veth(name: str, index: int, *, peer: str, peer_index: int, space: int) -> Request:
    """A pair, this end up, the peer (which cannot be yet) in another open network namespace.

    Both ends have one hardware address and ask nobody for the other's: so no ARP or neighbour
    discovery comes before a first packet, and the kernel's table of neighbours, one for all
    namespaces and 1,024 entries small, does not bound the number of pods.
    """
    flags = _UP | _NOARP
    hardware = _attribute(1, b"\x02kdns" + b"\x01")
    end = _LINK.pack(0, 0, peer_index, _NOARP, _NOARP)
    end += _text(3, peer) + hardware + _attribute(28, struct.pack("=i", space))
    details = _text(1, "veth") + _attribute(2, _attribute(1, end))  # IFLA_INFO_DATA, VETH_INFO_PEER
    body = _LINK.pack(0, 0, index, flags, flags) + _text(3, name) + hardware
    body += _attribute(18, details)  # IFLA_LINKINFO
    return Request(_NEWLINK, _CREATE | _EXCL, body, f"link add {name} type veth peer {peer}")


def delete_link(index: int) -> Request:
    """Removes a link, and its peer."""
    return Request(_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0), f"link del {index}")


def address(text: str, index: int) -> Request:
    """Gives a link one address, which is the whole of its network."""
    at = ip_network(text)
    packed = at.network_address.packed
    body = _ADDRESS.pack(_family(at), at.prefixlen, _NODAD, _UNIVERSE, index)
    body += _attribute(1, packed) + _attribute(2, packed)
    return Request(_NEWADDR, _CREATE | _REPLACE, body, f"addr add {text} dev {index}")


def local_route(network: Network) -> Request:
    """Makes all addresses of a network the namespace's own."""
    body = _route(network, table=_LOCAL, scope=_ON_HOST, kind=_TO_US) + _device(LO)
    return Request(_NEWROUTE, _CREATE | _REPLACE, body, f"route add local {network} dev lo")


def route(network: Network, index: int) -> Request:
    """Sends what is for a network out of a link, where whoever is meant is at once."""
    body = _route(network, table=_MAIN, scope=_ON_LINK, kind=_UNICAST) + _device(index)
    return Request(_NEWROUTE, _CREATE | _REPLACE, body, f"route add {network} dev {index}")


def delete_route(network: Network, index: int) -> Request:
    """Undoes `route`."""
    body = _route(network, table=_MAIN, scope=_ON_LINK, kind=_UNICAST) + _device(index)
    return Request(_DELROUTE, 0, body, f"route del {network} dev {index}")


def add_rule(rule: Rule) -> Request:
    """Makes a rule."""
    return Request(_NEWRULE, _CREATE | _EXCL, _rule(rule), f"rule add {_said(rule)}")


def move_local_rule(*, is_v6: bool) -> tuple[Request, Request]:
    """Has local addresses looked up at LOCAL_PRIORITY."""
    after = Rule(LOCAL_PRIORITY, is_v6=is_v6, table=_LOCAL)
    return add_rule(after), delete_rule(Rule(0, is_v6=is_v6, table=_LOCAL))


def delete_rule(rule: Rule) -> Request:
    """Undoes `add_rule`."""
    return Request(_DELRULE, 0, _rule(rule), f"rule del {_said(rule)}")


class Netlink:
    """A socket that stays in the network namespace where it was made."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes it."""
        self._socket.close()

    def run(self, *requests: Request) -> None:
        """Says all of them; raises OSError for the first that is refused, the others are done."""
        packet = b"".join(
            _HEAD.pack(_HEAD.size + len(one.body), one.kind, _REQUEST | _ACK | one.flags, at, 0)
            + one.body
            for at, one in enumerate(requests)
        )
        if packet:
            self._socket.send(packet)
        refused: OSError | None = None
        left = set(range(len(requests)))
        while left:
            for at, number in _verdicts(self._socket.recv(65536)):
                left.discard(at)
                if number and refused is None:
                    refused = OSError(number, os.strerror(number), requests[at].words)
        if refused:
            raise refused


def is_gone(error: OSError) -> bool:
    """True for the refusal to remove what is not there."""
    return error.errno in {errno.ENODEV, errno.ESRCH, errno.ENOENT}


def _verdicts(packet: bytes) -> Iterator[tuple[int, int]]:
    """The number of each request that is answered, and its errno or 0."""
    at = 0
    while at < len(packet):
        size, kind, _, number, _ = _HEAD.unpack_from(packet, at)
        if kind == _ERROR:
            yield number, -struct.unpack_from("=i", packet, at + _HEAD.size)[0]
        at += _padded(size)


def _padded(size: int) -> int:
    return (size + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    size = len(value) + 4
    return struct.pack("=HH", size, kind) + value + bytes(_padded(size) - size)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _family(network: Network) -> int:
    return socket.AF_INET if network.version == 4 else socket.AF_INET6


def _route(network: Network, *, table: int, scope: int, kind: int) -> bytes:
    family, size = _family(network), network.prefixlen
    body = _ROUTE.pack(family, size, 0, 0, table, _BY_BOOT, scope, kind, 0)
    return body + _attribute(1, network.network_address.packed) if size else body


def _device(index: int) -> bytes:
    return _attribute(4, struct.pack("=I", index))  # RTA_OIF


def _rule(rule: Rule) -> bytes:
    family = socket.AF_INET6 if rule.is_v6 else socket.AF_INET
    action = _TO_TABLE if rule.table else _BLACKHOLE
    target = rule.target.prefixlen if rule.target else 0
    source = rule.source.prefixlen if rule.source else 0
    body = _ROUTE.pack(family, target, source, 0, rule.table, 0, 0, action, 0)
    body += _attribute(6, struct.pack("=I", rule.priority))
    if rule.target:
        body += _attribute(1, rule.target.network_address.packed)
    if rule.source:
        body += _attribute(2, rule.source.network_address.packed)
    if rule.iif:
        body += _text(3, rule.iif)
    if rule.protocol:
        body += _attribute(22, bytes([rule.protocol]))
    if rule.ports:
        body += _attribute(24, struct.pack("=HH", *rule.ports))
    return body


def _said(rule: Rule) -> str:
    words = [f"priority {rule.priority}"]
    words += [f"from {rule.source}"] if rule.source else []
    words += [f"to {rule.target}"] if rule.target else []
    words += [f"iif {rule.iif}"] if rule.iif else []
    words += [f"ipproto {rule.protocol}"] if rule.protocol else []
    words += [f"dport {rule.ports[0]}-{rule.ports[1]}"] if rule.ports else []
    return " ".join([*words, f"lookup {rule.table}" if rule.table else "blackhole"])
