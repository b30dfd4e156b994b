"""Upstreams as a Corefile writes them: text into addresses, resolv.conf into addresses.

What is no address is a Place, a file or a host name, which only somebody with files and sockets
can tell; both are looked up once, at start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from kdns.wire import names

PORTS = {"dns": 53, "tls": 853, "quic": 853, "https": 443}
_GRPC_PORTS = {**PORTS, "grpc": 443}
_NAMED = frozenset(("tls", "quic"))


@dataclass(frozen=True, slots=True)
class Target:
    """One server: how to talk to it and where it is."""

    scheme: str
    host: str
    port: int
    server_name: str = ""
    """Name the server must prove, `%name` behind the address."""
    named: str = ""
    """The host name it was looked up by: what it must prove where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file in the form of resolv.conf, or a host name."""

    scheme: str
    text: str
    """As written behind the scheme: what a file would be called."""
    host: str
    port: int
    server_name: str = ""

    def at(self, address: str, named: str = "") -> Target:
        """The server at an address this place stands for, found under a name or in a file."""
        is_plain = self.scheme == "dns"
        return Target(self.scheme, address, self.port, self.server_name, "" if is_plain else named)


def parse_grpc_target(word: str) -> Target | Place:
    """Reads `[scheme://]address[:port]` or a path, for gRPC; the scheme only says a port."""
    return parse_target(word, _GRPC_PORTS)


def parse_target(word: str, ports: Mapping[str, int] = PORTS) -> Target | Place:
    """Reads `[scheme://]address[:port][%name]`, a path or a host name."""
    scheme, mark, rest = word.partition("://")
    if not mark:
        scheme, rest = "dns", word
    if scheme not in ports:
        raise ValueError("a server as dns://, tls://, https:// or quic://")
    if scheme == "https" and "/" in rest:
        raise ValueError("https:// without a path, as /dns-query is always asked")
    body, server_name = rest, ""
    if "/" not in rest:
        body, _, server_name = rest.partition("%")
    if scheme not in _NAMED:
        server_name = ""  # CoreDNS: a zone index or name behind the address is dropped
    host, port = _split(body, ports[scheme])
    if not host:
        raise ValueError("an IP address, a host name or a file of nameserver lines")
    try:
        return Target(scheme, str(ip_address(host)), port, server_name)
    except ValueError:
        return Place(scheme, rest, host, port, server_name)


def parse_address(word: str) -> tuple[str, int]:
    """Reads an IP address with or without a port, 53 by default."""
    found = parse_target(word)
    if word.endswith("]"):  # CoreDNS: brackets only where a port follows
        raise ValueError("an IP address, or one with a port such as 10.0.0.1:53")
    if isinstance(found, Place) or found.scheme != "dns" or "://" in word:
        raise ValueError("an IP address, or one with a port such as 10.0.0.1:53")
    return found.host, found.port


def _split(text: str, default: int) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `[v6]:port` or a bare IPv6 address."""
    if text.startswith("["):
        host, mark, rest = text[1:].partition("]")
        if not mark or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address in brackets, such as [2001:db8::1]:53")
        return host, _port(rest[1:]) if rest else default
    host, mark, port = text.rpartition(":")
    if not mark or ":" in host or "/" in port:
        return text, default
    return host, _port(port)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise ValueError("a port from 1 to 65535")
    return int(text)


def parse_nameservers(text: str) -> list[str]:
    """The addresses in a resolv.conf; zone suffixes such as `%eth0` are cut off (CoreDNS)."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.append(str(ip_address(words[1].partition("%")[0])))
            except ValueError:
                continue
    return found


def host_name(place: Place) -> bytes:
    """The absolute name of a host; ValueError when it cannot be one."""
    name = names.parse(place.host)
    if "/" in place.host or "," in place.host or len(name) < 2:
        raise ValueError("a host name")
    return name


def distinct(targets: list[Target]) -> list[Target]:
    """The targets without those that name the same server again."""
    seen: dict[Target, Target] = {}
    for target in targets:
        seen.setdefault(replace(target, server_name=target.server_name.lower()), target)
    return list(seen.values())
