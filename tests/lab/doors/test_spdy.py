"""Octets that are SPDY/3.1, and octets that are not."""

import zlib
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.lab.doors import spdy
from kdns.lab.doors.spdy import Octets, Opened, Ping, Reset, SpdyError
from tests.lab.doors.forwarding import Packer, control

CHUNKS = st.lists(st.integers(1, 40), min_size=1)
OPENED = {"streamtype": "data", "port": "80", "requestid": "0"}


def spoken() -> bytes:
    """One of each frame, some of which say nothing to us."""
    packer = Packer()
    return b"".join(
        [
            packer.opened(1, OPENED),
            packer.opened(3, OPENED, is_end=True),
            spdy.piece(1, b"octets"),
            control(2, pack(">I", 1) + packer.pack({"status": "200"})),
            control(4, pack(">I", 0)),
            spdy.piece(1, b""),
            control(8, pack(">I", 1) + packer.pack({"more": "x"})),
            packer.opened(5, {**OPENED, "port": "81"}),
            spdy.reset(5, 3),
            spdy.ping(7),
            spdy.goaway(0, 0),
            control(9, pack(">II", 1, 4096)),
            control(77, b"unheard of"),
            spdy.piece(1, b"the last", is_end=True),
        ]
    )


HEARD = [
    Opened(1, OPENED, is_end=False),
    Opened(3, OPENED, is_end=True),
    Octets(1, b"octets", is_end=False),
    Opened(5, {**OPENED, "port": "81"}, is_end=False),
    Reset(5),
    Ping(7),
    Octets(1, b"the last", is_end=True),
]


def joined(frames: list[spdy.Frame]) -> list[spdy.Frame]:
    """DATA as it was before it came in pieces."""
    found: list[spdy.Frame] = []
    for one in frames:
        last = found[-1] if found else None
        if isinstance(one, Octets) and isinstance(last, Octets) and last.stream == one.stream:
            found[-1] = Octets(one.stream, last.octets + one.octets, one.is_end)
        else:
            found.append(one)
    return found


def test_the_dictionary_is_that_of_the_draft() -> None:
    """Its checksum stands in the head of every first block that kubectl sends: 78bb e3c6a7c2."""
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_frames_are_understood_and_others_read_over() -> None:
    assert list(spdy.Reader().feed(spoken())) == HEARD


@given(CHUNKS)
@settings(deadline=None, max_examples=40)
def test_it_does_not_matter_where_pieces_begin(sizes: list[int]) -> None:
    reader, rest, found = spdy.Reader(), spoken(), []
    while rest:
        for size in sizes:
            found += list(reader.feed(rest[:size]))
            rest = rest[size:]
    assert joined(found) == HEARD


def test_a_large_frame_is_passed_on_as_it_comes() -> None:
    reader = spdy.Reader()
    whole = spdy.piece(1, bytes(1 << 20), is_end=True)
    first = list(reader.feed(whole[:1000]))
    assert first == [Octets(1, bytes(992), is_end=False)]
    assert not reader._held
    (rest,) = reader.feed(whole[1000:])
    assert (len(rest.octets), rest.is_end) == ((1 << 20) - 992, True)  # type: ignore[union-attr]


def bomb(size: int) -> bytes:
    """Headers of that size in a small block."""
    return control(1, pack(">IIH", 1, 0, 0) + Packer().squeeze(bytes(size)))


def ended() -> bytes:
    """Compression that comes to its end."""
    packing = zlib.compressobj(zdict=spdy.DICTIONARY)
    return pack(">IIH", 1, 0, 0) + packing.compress(pack(">I", 0)) + packing.flush()


BAD = {
    "another version": (pack(">HHI", 0x8002, 6, 4) + pack(">I", 1), "version 2"),
    "a long control frame": (pack(">HHI", 0x8003, 4, 0xFFFFFF), "16777215 octets"),
    "a frame that is cut off": (control(6, b""), "cut off"),
    "a stream that is cut off": (control(1, pack(">I", 1)), "cut off"),
    "a reset that is cut off": (control(3, pack(">I", 1)), "cut off"),
    "the stream 0": (control(1, pack(">IIH", 0, 0, 0) + Packer().pack({})), "number 0"),
    "octets for the stream 0": (spdy.piece(0, b"x"), "stream 0"),
    "no compression": (control(1, pack(">IIH", 1, 0, 0) + b"plain"), "cannot be unpacked"),
    "no dictionary": (control(1, pack(">IIH", 1, 0, 0) + zlib.compress(bytes(4))), "has ended"),
    "a bomb": (bomb(10 << 20), "more than 16384"),
    "a small bomb": (bomb(spdy.LARGEST + 1), "more than 16384"),
    "the end of compression": (control(1, ended()), "has ended"),
    "no headers": (control(1, pack(">IIH", 1, 0, 0) + Packer().squeeze(b"")), "cut off"),
    "a header too few": (
        control(1, pack(">IIH", 1, 0, 0) + Packer().squeeze(pack(">I", 1))), "cut off",
    ),
    "a long header": (
        control(1, pack(">IIH", 1, 0, 0) + Packer().squeeze(pack(">II", 1, 0xFFFFFFFF))),
        "longer than all",
    ),
    "a header twice": (
        control(1, pack(">IIH", 1, 0, 0)
                + Packer().squeeze(pack(">I", 2) + pack(">I1sI1s", 1, b"a", 1, b"b") * 2)),
        "twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name: str) -> None:
    octets, why = BAD[name]
    with pytest.raises(SpdyError, match=why):
        list(spdy.Reader().feed(octets))


@given(st.data())
@settings(deadline=None, max_examples=120)
def test_whatever_comes_is_understood_or_refused_and_never_held(data: st.DataObject) -> None:
    whole = bytearray(spoken())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        how = data.draw(st.sampled_from(["change", "cut", "put in", "repeat"]))
        if how == "change":
            whole[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del whole[at : at + data.draw(st.integers(1, 20))]
        elif how == "put in":
            whole[at:at] = data.draw(st.binary(max_size=30))
        else:
            whole[at:at] = whole[at : at + 40]
        if not whole:
            return
    check(bytes(whole))


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=100)
def test_noise(octets: bytes) -> None:
    check(octets)
    check(bytes([0x80, 3, 0, *octets]))


def check(octets: bytes) -> None:
    reader = spdy.Reader()
    try:
        for at in range(0, len(octets), 16):
            for frame in reader.feed(octets[at : at + 16]):
                assert isinstance(frame, Opened | Octets | Reset | Ping)
            assert len(reader._held) < spdy.LARGEST + 8 + 16
    except SpdyError as error:
        assert str(error)
