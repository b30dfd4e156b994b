"""IPv4 addresses inside IPv6 addresses of a prefix (RFC 6052 §2.2), both ways."""

from ipaddress import IPv6Network

LENGTHS = (32, 40, 48, 56, 64, 96)
"""The lengths a prefix may have."""
_RESERVED = 8
"""The octet that is skipped: bits 64 to 71."""


class Prefix:
    """A prefix that IPv4 addresses are put behind."""

    def __init__(self, network: IPv6Network) -> None:
        if network.prefixlen not in LENGTHS:
            raise ValueError("a prefix length of 32, 40, 48, 56, 64 or 96")
        self._prefix = network.network_address.packed[: network.prefixlen // 8]
        places = [at for at in range(len(self._prefix), 16) if at != _RESERVED]
        self._places = places[:4]

    @property
    def is_clean(self) -> bool:
        """Whether the reserved octet is zero."""
        return self._prefix[_RESERVED : _RESERVED + 1] in {b"", b"\0"}

    def embed(self, address: bytes) -> bytes:
        """The IPv6 address of an IPv4 address, both packed."""
        out = bytearray(self._prefix.ljust(16, b"\0"))
        for place, octet in zip(self._places, address, strict=True):
            out[place] = octet
        return bytes(out)

    def extract(self, address: bytes) -> bytes | None:
        """The IPv4 address in an IPv6 address; None for one that is not of this prefix."""
        if not address.startswith(self._prefix) or address[_RESERVED]:
            return None
        return bytes(address[place] for place in self._places)
