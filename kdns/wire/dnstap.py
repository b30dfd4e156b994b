"""Encodes what was asked and answered as dnstap messages: the few fields of dnstap.proto we fill.

Protocol buffers are tagged fields: `field << 3 | 0` and a varint, `| 2` a length and octets, `| 5`
four octets. The tags and types below are those of the dnstap project's schema.
"""

from functools import lru_cache
from struct import Struct

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"

CLIENT_QUERY, CLIENT_RESPONSE, FORWARDER_QUERY, FORWARDER_RESPONSE = 5, 6, 7, 8
PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "https": 4, "https3": 4, "quic": 7, "grpc": 2}

_IDENTITY, _VERSION, _EXTRA, _MESSAGE, _TYPE = 1, 2, 3, 14, 15
_KIND, _FAMILY, _PROTOCOL, _ASKER, _ANSWERER, _ASKER_PORT, _ANSWERER_PORT = 1, 2, 3, 4, 5, 6, 7
_ASKED_S, _ASKED_NS, _QUERY, _ANSWERED_S, _ANSWERED_NS, _REPLY = 8, 9, 10, 12, 13, 14


_LENGTH = Struct("!I").pack
_NANOSECONDS = Struct("<I").pack


def server(identity: bytes, version: bytes) -> bytes:
    """What all messages of one server begin with."""
    return _octets(_IDENTITY, identity) + _octets(_VERSION, version)


def ends(transport: str, asker: tuple[bytes, int], answerer: tuple[bytes, int]) -> bytes:
    """Who asks whom, and over what; an asker without an address is left out."""
    (there, there_port), (here, here_port) = asker, answerer
    out = _carried(transport, 1 if len(there or here) == 4 else 2)
    if there:
        out += _octets(_ASKER, there)
    out += _octets(_ANSWERER, here)
    if there:
        out += _number(_ASKER_PORT, there_port)
    return out + _number(_ANSWERER_PORT, here_port)


def asked(time: float) -> bytes:
    """When it was asked."""
    return _time(_ASKED_S, _ASKED_NS, time)


def message(
    kind: int, ends: bytes, asked: bytes, answered: float | None = None, packet: bytes = b""
) -> bytes:
    """One message, with the packet where it is wanted.

    `answered` is None for a query, whose packet is the one asked; else it is the reply.
    """
    out = _number(_KIND, kind) + ends + asked
    if answered is not None:
        out += _time(_ANSWERED_S, _ANSWERED_NS, answered)
    return out + _octets(_QUERY if answered is None else _REPLY, packet) if packet else out


def frame(server: bytes, message: bytes, extra: bytes = b"") -> bytes:
    """A message of a server, as a data frame of a frame stream."""
    whole = server + (_octets(_EXTRA, extra) if extra else b"")
    whole += _octets(_MESSAGE, message) + _IS_MESSAGE
    return _LENGTH(len(whole)) + whole


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(4096)  # perf: kinds, seconds and most ports come again and again
def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


@lru_cache(64)
def _carried(transport: str, family: int) -> bytes:
    return _number(_FAMILY, family) + _number(_PROTOCOL, PROTOCOLS.get(transport, 1))


def _octets(field: int, octets: bytes) -> bytes:
    size = len(octets)
    if size < 0x80:
        return bytes((field << 3 | 2, size)) + octets
    return bytes((field << 3 | 2,)) + _varint(size) + octets


def _time(seconds: int, nanoseconds: int, time: float) -> bytes:
    whole = int(time)
    fraction = min(int((time - whole) * 1e9), 999_999_999)
    return _number(seconds, whole) + bytes((nanoseconds << 3 | 5,)) + _NANOSECONDS(fraction)


_IS_MESSAGE = _number(_TYPE, 1)
