"""The bytes of a query to an upstream, and what its reply says."""

from struct import Struct

from kdns.client.line import UpstreamError
from kdns.wire import types
from kdns.wire.message import WireError
from kdns.wire.parse import Message, parse

_HEAD = Struct("!HHHHHH").pack
_TAIL = Struct("!HH").pack
_OPT = Struct("!BHHIH").pack


def build(name: bytes, type_: int, cls: int = types.IN, *, flags: int = types.RD) -> bytes:
    """A query without EDNS, under id 0."""
    return _HEAD(0, flags, 1, 0, 0, 0) + name + _TAIL(type_, cls)


def with_opt(packet: bytes, size: int, options: bytes, *, do: bool) -> bytes:
    """The query with an OPT behind it."""
    opt = _OPT(0, types.OPT, size, 0x8000 if do else 0, len(options)) + options
    return packet[:11] + b"\x01" + packet[12:] + opt


def read(reply: bytes, *, is_datagram: bool) -> Message:
    """Parses a reply whose question fits; a datagram with a broken rest was cut off (CoreDNS)."""
    try:
        return parse(reply)
    except WireError as error:
        if not is_datagram:
            raise UpstreamError(f"bad reply: {error}") from error
        flags = reply[2] << 8 | reply[3]
        return Message(0, flags | types.TC, flags & 0xF, ())
