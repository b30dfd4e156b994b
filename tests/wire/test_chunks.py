"""Chunks give the same body however they come; what is none, and what is too long, is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire.chunks import Chunks

BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def taken(octets: bytes, step: int, most: int = 1000) -> tuple[Chunks, bytes]:
    made, held = Chunks(most), bytearray()
    for at in range(0, len(octets), step):
        held += octets[at : at + step]
        del held[: made.take(held)]
    return made, bytes(held)


@given(BODIES, st.integers(1, 50), st.sampled_from([b"", b";x=y", b" "]), st.binary(max_size=9))
def test_a_body_is_the_same_however_it_comes(parts, step, said, behind):
    octets = b"".join(f"{len(one):X}".encode() + said + b"\r\n" + one + b"\r\n" for one in parts)
    made, left = taken(octets + b"0\r\n\r\n" + behind, step)
    assert made.is_whole
    assert made.body == b"".join(parts)
    assert left == behind


def test_what_was_read_is_not_read_again():
    made, held = Chunks(100), bytearray(b"2\r\nab\r\n3\r\nc")
    assert made.take(held) == 7
    assert made.body == b"ab"
    assert not made.is_whole


@pytest.mark.parametrize(
    "octets", [b"x\r\n", b"-1\r\n", b"\r\n", b"1\r\nabc", b"1" * 300, b"0\r\nA: b"]
)
def test_what_is_no_chunk_is_refused(octets):
    with pytest.raises(ValueError, match="chunk"):
        taken(octets, 1000)


def test_a_body_that_is_too_long_is_refused_before_it_comes():
    with pytest.raises(OverflowError):
        taken(b"2\r\nab\r\n3\r\n", 1000, most=4)
