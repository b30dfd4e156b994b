"""Encodes what was asked and answered as dnstap messages: the few fields of dnstap.proto we fill.

Protocol buffers are tagged fields: `field << 3 | 0` and a varint, `| 2` a length and octets, `| 5`
four octets. The tags and types below are those of the dnstap project's schema.
"""

from struct import pack

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"

CLIENT_QUERY, CLIENT_RESPONSE, FORWARDER_QUERY, FORWARDER_RESPONSE = 5, 6, 7, 8
PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "https": 4, "https3": 4, "quic": 7, "grpc": 2}

_IDENTITY, _VERSION, _EXTRA, _MESSAGE, _TYPE = 1, 2, 3, 14, 15
_KIND, _FAMILY, _PROTOCOL, _ASKER, _ANSWERER, _ASKER_PORT, _ANSWERER_PORT = 1, 2, 3, 4, 5, 6, 7
_ASKED_S, _ASKED_NS, _QUERY, _ANSWERED_S, _ANSWERED_NS, _REPLY = 8, 9, 10, 12, 13, 14


def server(identity: bytes, version: bytes) -> bytes:
    """What all messages of one server begin with."""
    return _octets(_IDENTITY, identity) + _octets(_VERSION, version)


def message(
    kind: int,
    transport: str,
    asker: tuple[bytes, int],
    answerer: tuple[bytes, int],
    asked: float,
    answered: float | None = None,
    packet: bytes = b"",
) -> bytes:
    """One message: who asked whom, when, and the packet where it is wanted.

    An asker without an address is left out. `answered` is None for a query, whose packet is the
    one asked; else it is the reply.
    """
    out = (
        _number(_KIND, kind)
        + _number(_FAMILY, 1 if len(asker[0] or answerer[0]) == 4 else 2)
        + _number(_PROTOCOL, PROTOCOLS.get(transport, 1))
        + (_octets(_ASKER, asker[0]) if asker[0] else b"")
        + _octets(_ANSWERER, answerer[0])
        + (_number(_ASKER_PORT, asker[1]) if asker[0] else b"")
        + _number(_ANSWERER_PORT, answerer[1])
        + _time(_ASKED_S, _ASKED_NS, asked)
    )
    if answered is None:
        return out + (_octets(_QUERY, packet) if packet else b"")
    out += _time(_ANSWERED_S, _ANSWERED_NS, answered)
    return out + (_octets(_REPLY, packet) if packet else b"")


def frame(server: bytes, message: bytes, extra: bytes = b"") -> bytes:
    """A message of a server, as a data frame of a frame stream."""
    whole = server + (_octets(_EXTRA, extra) if extra else b"")
    whole += _octets(_MESSAGE, message) + _number(_TYPE, 1)
    return pack("!I", len(whole)) + whole


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _octets(field: int, octets: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(octets)) + octets


def _time(seconds: int, nanoseconds: int, time: float) -> bytes:
    whole = int(time)
    fraction = min(int((time - whole) * 1e9), 999_999_999)
    return _number(seconds, whole) + _varint(nanoseconds << 3 | 5) + pack("<I", fraction)
