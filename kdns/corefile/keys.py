"""The keys of server blocks, and zones named by words: `[scheme://]zone[:port]` becomes wire names.

An address block (`10.0.0.0/15`, `2001:db8::/33`) becomes the reverse zones it consists of: two for
this /15, 128 for an IPv4 /25, so no filter is needed behind them.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from kdns.corefile.tree import Word
from kdns.wire.names import IN_ADDR, IP6, Key, format_label, labels, parse_key

SCHEMES = {"dns": 53, "tls": 853, "https": 443, "https3": 443, "quic": 853, "grpc": 443}
"""The transports a key may name, each with its default port."""

_NETWORK = re.compile(r"([0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)/([0-9]+)")


@dataclass(frozen=True, slots=True)
class BlockKey:
    """One zone that a server block serves, on one port of one transport."""

    scheme: str
    zone: Key
    port: int
    word: Word
    """The key as written."""
    is_first: bool = True
    """False for the second and later zones of an address block: plugins are not told of them."""

    @property
    def text(self) -> str:
        """The key as written."""
        return self.word.text


def read_key(word: Word, *, port: int) -> tuple[BlockKey, ...]:
    """Reads one key of a server block; `port` is what `dns` keys without one get."""
    scheme, rest, given = split(word.text)
    if not rest:
        raise word.fail(f"expected a zone in {word.text!r}", "the root zone is written `.`")
    if given is None and rest.endswith(":"):
        raise word.fail(f"expected a port after the colon of {word.text!r}")
    if given is None:
        given = port if scheme == "dns" else SCHEMES[scheme]
    if not 0 <= given <= 0xFFFF:
        raise word.fail(f"expected a port from 0 to 65535, found {given} in {word.text!r}")
    try:
        zones = expand_zone(rest)
    except ValueError as error:
        raise word.fail(f"expected a zone: {error}") from error
    return tuple(
        BlockKey(scheme, zone, given, word, is_first=at == 0) for at, zone in enumerate(zones)
    )


def split(text: str) -> tuple[str, str, int | None]:
    """Splits `[scheme://]zone[:port]`; what is no known scheme or no number belongs to the zone."""
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in SCHEMES:
        scheme, rest = "dns", text
    zone, mark, port = rest.rpartition(":")
    if mark and re.fullmatch("[+-]?[0-9]{1,9}", port, re.ASCII):
        return scheme, zone, int(port)
    return scheme, rest, None


def expand_zone(text: str) -> tuple[Key, ...]:
    """The zones that a name or an address block stands for; ValueError when it is neither."""
    if match := _NETWORK.fullmatch(text):
        try:
            network = ip_network(f"{match[1]}/{int(match[2])}", strict=False)
        except ValueError:
            # CoreDNS: what only looks like an address block is a name.
            return (parse_key(text),)
        return tuple(_reverse_zones(network))
    return (parse_key(text),)


def _reverse_zones(network: IPv4Network | IPv6Network) -> list[Key]:
    bits, base = (8, IN_ADDR) if isinstance(network, IPv4Network) else (4, IP6)
    depth = -(-network.prefixlen // bits)
    return [
        Key(b"".join(reversed(_labels(block, depth))) + base)
        for block in network.subnets(new_prefix=depth * bits)
    ]


def _labels(block: IPv4Network | IPv6Network, depth: int) -> list[bytes]:
    packed = block.network_address.packed
    if isinstance(block, IPv4Network):
        parts = [b"%d" % byte for byte in packed]
    else:
        parts = [b"%c" % digit for digit in packed.hex().encode()]
    return [bytes((len(part),)) + part for part in parts[:depth]]


def is_preferred(zone: Key) -> bool:
    """True for a name in the preferred syntax of RFC 1035 §2.3.1, digits first allowed but last."""
    parts = [format_label(label) for label in labels(zone)]
    is_host = all(re.fullmatch("[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?", part) for part in parts)
    return is_host and (not parts or parts[-1][0].isalpha())
