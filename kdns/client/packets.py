"""The bytes of a query to an upstream, and what its reply says."""

from functools import partial
from os import urandom
from struct import Struct

from kdns.client.line import UpstreamError
from kdns.wire import types
from kdns.wire.message import WireError
from kdns.wire.parse import Message, parse

_number = partial(int.from_bytes, byteorder="big")
_HEAD = Struct("!HHHHHH").pack
_TAIL = Struct("!HH").pack
_OPT = Struct("!BHHIH").pack

_CASES = bytes(0x20 if chr(at).isalpha() and at < 128 else 0 for at in range(256))
"""The bit of each octet that is the case of a letter. No length of a label looks like a letter."""

Asked = tuple[bytes, bytes]
"""A query, and the question in it."""


def build(name: bytes, type_: int, cls: int = types.IN, *, flags: int = types.RD) -> bytes:
    """A query without EDNS, under id 0."""
    return _HEAD(0, flags, 1, 0, 0, 0) + name + _TAIL(type_, cls)


def asking(
    name: bytes, type_: int, cls: int, flags: int, opt: tuple[int, bool, bytes] | None
) -> Asked:
    """A query under id 0 with an OPT (size, DO, options) or none, and the question in it."""
    question = name + _TAIL(type_, cls)
    if opt is None:
        return _HEAD(0, flags, 1, 0, 0, 0) + question, question
    size, do, options = opt
    end = _OPT(0, types.OPT, size, 0x8000 if do else 0, len(options)) + options
    return _HEAD(0, flags, 1, 0, 0, 1) + question + end, question


def mixed(asked: Asked) -> Asked:
    """The same query with each letter of its name in a case drawn at random (0x20)."""
    packet, question = asked
    size = len(question) - 4
    letters = _number(question[:size].translate(_CASES))
    name = _number(question[:size]) ^ (letters & _number(urandom(size)))
    drawn = name.to_bytes(size, "big") + question[size:]
    return packet[:12] + drawn + packet[12 + len(question) :], drawn


def read(reply: bytes, *, is_datagram: bool) -> Message:
    """Parses a reply whose question fits; a datagram with a broken rest was cut off (CoreDNS)."""
    try:
        return parse(reply)
    except WireError as error:
        if not is_datagram:
            raise UpstreamError(f"bad reply: {error}") from error
        flags = reply[2] << 8 | reply[3]
        return Message(0, flags | types.TC, flags & 0xF, ())
