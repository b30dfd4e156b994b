"""Blocks of HTTP/2: held equal to the package hpack, both ways."""

import hpack as reference
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.wire import hpack

CODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
NAMES = st.sampled_from([":path", ":status", "content-length", "x-y", "te", "date", "a" * 60])
VALUES = st.one_of(
    st.sampled_from(["200", "/", "POST", "z" * 900, "30", ""]),
    st.text(st.characters(max_codepoint=255), max_size=40),
)
BLOCKS = st.lists(
    st.tuples(st.lists(st.tuples(NAMES, VALUES), max_size=12), st.booleans(), st.booleans()),
    max_size=12,
)


def plain(fields):
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)


def read(fields):
    return fields


@given(st.binary(max_size=300))
def test_strings_come_back_as_they_were(octets):
    assert hpack.decoded(CODER.encode(octets)) == octets


@settings(deadline=None)
@given(BLOCKS)
def test_any_blocks_of_another_encoder_are_read(blocks):
    encoder, decoder = reference.Encoder(), hpack.Decoder(1 << 20, read)
    for fields, is_coded, is_again in blocks:
        for _ in range(1 + is_again * 2):
            block = encoder.encode(plain(fields), huffman=is_coded)
            assert decoder.decode(block) == plain(fields)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 40, 100, 200, 1000, 4096]), max_size=8), BLOCKS)
def test_the_table_is_made_smaller_and_larger(sizes, blocks):
    encoder, decoder = reference.Encoder(), hpack.Decoder(1 << 20, read)
    for size, (fields, is_coded, _) in zip(sizes, blocks, strict=False):
        encoder.header_table_size = size
        assert decoder.decode(encoder.encode(plain(fields), huffman=is_coded)) == plain(fields)


@settings(deadline=None)
@given(BLOCKS)
def test_what_we_write_is_read_by_another(blocks):
    decoder = reference.Decoder(1 << 20)
    decoder.max_allowed_table_size = 0
    start = hpack.NO_TABLE
    for fields, _, _ in blocks:
        found = decoder.decode(start + hpack.encode(fields), raw=True)
        assert tuple(found) == plain(fields)
        assert not decoder.header_table.dynamic_entries
        start = b""


@settings(deadline=None, max_examples=500)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_octets_are_read_as_another_reads_them(blocks):
    theirs, ours = reference.Decoder(1 << 20), hpack.Decoder(1 << 20, read)
    for block in blocks:
        try:
            expected = tuple((bytes(n), bytes(v)) for n, v in theirs.decode(block, raw=True))
        except reference.HPACKError:
            with pytest.raises(ValueError):  # noqa: PT011 - all that it raises
                ours.decode(block)
            return
        assert ours.decode(block) == expected


def test_a_few_octets_do_not_become_many_fields():
    decoder = hpack.Decoder(16_384, read)
    long = b"x" * 4000
    kept = b"\x40\x01a\x7f" + (len(long) - 127 & 127 | 128).to_bytes() + b"\x1e" + long
    assert decoder.decode(kept) == ((b"a", long),)
    assert len(decoder.decode(b"\xbe" * 4)) == 4
    with pytest.raises(ValueError, match="too many"):
        decoder.decode(b"\xbe" * 5)


def test_what_is_remembered_ends_with_what_it_stood_on():
    decoder = hpack.Decoder(16_384, read)
    decoder.decode(b"\x40\x01a\x01b")
    for _ in range(2):
        assert decoder.decode(b"\xbe") == ((b"a", b"b"),)
    decoder.decode(b"\x40\x01c\x01d")
    assert decoder.decode(b"\xbe") == ((b"c", b"d"),)


def test_only_so_much_is_remembered():
    decoder = hpack.Decoder(16_384, read)
    for at in range(1000):
        block = hpack.encode([("x", str(at))])
        assert decoder.decode(block) is decoder.decode(block)
    assert len(decoder._known) <= 64
