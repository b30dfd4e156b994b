"""PROXY headers: what they say, where they end, and that nothing else is taken for one."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import proxied
from kdns.wire.proxied import DATAGRAM, NONE, STREAM, Malformed, read

A, B = b"\xc0\x00\x02\x07", b"\xc0\x00\x02\x08"
A6, B6 = (socket.inet_pton(socket.AF_INET6, one) for one in ("2001:db8::7", "2001:db8::8"))


def binary(
    source: bytes = A, target: bytes = B, kind: int = STREAM, tlvs: bytes = b"", command: int = 1
) -> bytes:
    body = source + target + struct.pack("!HH", 1234, 53) + tlvs
    family = 1 if len(source) == 4 else 2
    return (
        proxied.SIGNATURE
        + bytes((0x20 | command, family << 4 | kind))
        + len(body).to_bytes(2, "big")
        + body
    )


GOOD = {
    "v1": (b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 53\r\n", A, B, b""),
    "v1 v6": (b"PROXY TCP6 2001:db8::7 2001:db8::8 1234 53\r\n", A6, B6, b""),
    "v2": (binary(), A, B, b""),
    "v2 v6": (binary(A6, B6, DATAGRAM), A6, B6, b""),
    "v2 mapped": (binary(bytes(10) + b"\xff\xff" + A, bytes(10) + b"\xff\xff" + B), A, B, b""),
    "v2 tlvs": (binary(tlvs=b"\x04\x00\x01x"), A, B, b"\x04\x00\x01x"),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("rest", [b"", b"\0\x1d" + bytes(29)])
def test_a_header_says_who_asks(name: str, rest: bytes) -> None:
    octets, source, target, tlvs = GOOD[name]
    found = read(octets + rest)
    assert found is not None
    assert (found.size, found.source, found.target) == (len(octets), (source, 1234), (target, 53))
    assert found.tlvs == tlvs


@pytest.mark.parametrize(
    "octets", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN a b\r\n", binary(command=0)]
)
def test_a_proxy_may_ask_for_itself(octets: bytes) -> None:
    found = read(octets)
    assert found is not None
    assert (found.size, found.source) == (len(octets), None)


@pytest.mark.parametrize("name", GOOD)
def test_any_part_of_a_header_waits_for_the_rest(name: str) -> None:
    octets = GOOD[name][0]
    assert all(read(octets[:size]) is None for size in range(len(octets)))


@pytest.mark.parametrize(
    "octets",
    [
        b"PROXY \r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1234\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 53 9\r\n",
        b"PROXY TCP4 2001:db8::7 192.0.2.8 1234 53\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 01234 53\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 65536 53\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 +1 53\r\n",
        b"PROXY UDP4 192.0.2.7 192.0.2.8 1 53\r\n",
        b"PROXY TCP4 " + b"x" * 120,
        proxied.SIGNATURE + b"\x11\x11\x00\x00",
        proxied.SIGNATURE + b"\x22\x11\x00\x00",
        proxied.SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        proxied.SIGNATURE + b"\x21\x31\x00\x0c" + bytes(12),
        proxied.SIGNATURE + b"\x21\x00\x00\x00",
        proxied.SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_is_wrong_is_no_header(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read(octets)


@given(st.binary(max_size=200))
def test_anything_else_is_none(octets: bytes) -> None:
    for begin in (b"", proxied.SIGNATURE, proxied.TEXT):
        try:
            found = read(begin + octets)
        except Malformed:
            continue
        assert found is None or found == NONE or 0 < found.size <= len(begin + octets)
