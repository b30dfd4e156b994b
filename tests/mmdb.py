"""Makes MaxMind DBs for tests: networks and the records they lead to."""

from ipaddress import ip_network
from struct import pack


def value(what):
    """A value in the format of the data section."""
    if isinstance(what, bool):
        return bytes((int(what), 14 - 7))
    if isinstance(what, str):
        return _head(2, len(what.encode())) + what.encode()
    if isinstance(what, float):
        return _head(3, 8) + pack("!d", what)
    if isinstance(what, int):
        octets = what.to_bytes((what.bit_length() + 7) // 8, "big")
        return _head(6, len(octets)) + octets
    if isinstance(what, dict):
        return _head(7, len(what)) + b"".join(value(k) + value(v) for k, v in what.items())
    return _head(11, len(what)) + b"".join(map(value, what))


def _head(kind, size):
    first, more = (size, b"") if size < 29 else (29, bytes((size - 29,)))
    return bytes((kind << 5 | first,)) + more if kind < 8 else bytes((first, kind - 7)) + more


def database(networks, *, type_="GeoLite2-City", bits=24, version=6):
    """A file: `networks` is {network: record}."""
    nodes = [[None, None]]
    data, places = b"", {}
    for network, record in networks.items():
        net = ip_network(network)
        number = int(net.network_address)
        length, width = net.prefixlen, net.max_prefixlen
        if net.version == 4 and version == 6:
            length, width = length + 96, 128
        places[network] = len(data)
        data += value(record)
        at = 0
        for depth in range(length):
            bit = number >> (width - 1 - depth) & 1
            if depth == length - 1:
                nodes[at][bit] = ("data", places[network])
            else:
                if nodes[at][bit] is None:
                    nodes.append([None, None])
                    nodes[at][bit] = len(nodes) - 1
                at = nodes[at][bit]
    count = len(nodes)

    def number_of(slot):
        if slot is None:
            return count
        return slot if isinstance(slot, int) else count + 16 + slot[1]

    tree = b""
    for left, right in nodes:
        a, b = number_of(left), number_of(right)
        if bits == 28:
            tree += (a & 0xFFFFFF).to_bytes(3, "big") + bytes((a >> 24 << 4 | b >> 24,))
            tree += (b & 0xFFFFFF).to_bytes(3, "big")
        else:
            tree += a.to_bytes(bits // 8, "big") + b.to_bytes(bits // 8, "big")
    metadata = {
        "node_count": count, "record_size": bits, "ip_version": version, "database_type": type_,
        "languages": ["en"], "binary_format_major_version": 2, "binary_format_minor_version": 0,
        "build_epoch": 1, "description": {"en": "test"},
    }  # fmt: skip
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + value(metadata)
