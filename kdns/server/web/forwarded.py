"""Who really asks behind HTTP proxies: the fields Forwarded (RFC 7239) and X-Forwarded-For.

A field counts as far as those are believed who wrote it: from the peer backwards, up to the first
address that is no trusted proxy. What a client writes himself is behind that and never looked at.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from kdns.corefile.nets import Nets
from kdns.server.peers import Peer, address_of
from kdns.server.streams.named import peer_at

MOST: Final = 32
"""Words that are looked at."""


def asker(peer: Peer, words: tuple[str, ...], trusted: Nets) -> tuple[bytes, int, Peer]:
    """Who asks: address, port, and both as the socket module has them."""
    address, port = address_of(peer), int(peer[1])
    for word in reversed(words[-MOST:]):
        if address not in trusted:
            break
        said = place(word)
        if said is None:
            break
        (address, port), peer = said, peer_at(said)
    return address, port, peer


def place(word: str) -> tuple[bytes, int] | None:
    """An address, perhaps with a port, as X-Forwarded-For and Forwarded (RFC 7239 §6) have it."""
    host, port = word.strip().strip('"'), ""
    if host.startswith("["):
        host, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    return (mapped or address).packed, min(number, 0xFFFF)


def forwarded(fields: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Who is said to ask, nearest proxy last; `Forwarded` counts where both kinds are there."""
    found: list[str] = []
    older: list[str] = []
    for name, value in fields:
        if name == "forwarded":
            for element in value.split(","):
                pairs = (pair.partition("=") for pair in element.split(";"))
                said = [what for key, _, what in pairs if key.strip().lower() == "for"]
                found.append(said[0] if said else "unknown")
        elif name == "x-forwarded-for":
            older += value.split(",")
    return tuple(found or older)
