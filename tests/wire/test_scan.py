"""Scanning: any bytes give a Question or a WireError, and the Question is what dnspython reads."""

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.wire import names, types
from kdns.wire.message import WireError
from kdns.wire.scan import options, scan
from tests.strategies import broken_packets, packets

HEAD = bytes.fromhex("1234 0100 0001 0000 0000 0000")
ASKED = b"\x03web\x04shop\0\0\x01\0\x01"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def head(*counts: int, flags: int = 0x0100) -> bytes:
    return b"\x12\x34" + flags.to_bytes(2, "big") + b"".join(c.to_bytes(2, "big") for c in counts)


@given(packets())
def test_a_query_is_read_as_dnspython_reads_it(packet: bytes) -> None:
    question, theirs = scan(packet), dns.message.from_wire(packet)
    asked = theirs.question[0]
    assert (question.id, question.type, question.cls) == (theirs.id, asked.rdtype, asked.rdclass)
    assert question.name == asked.name.to_wire()
    assert question.key == question.name.lower()
    assert question.has_opt == (theirs.edns >= 0)
    if question.has_opt:
        assert (question.size, question.version) == (theirs.payload, theirs.edns)
        assert question.do == bool(theirs.ednsflags & 0x8000)
        assert [(o.otype, o.to_wire()) for o in theirs.options] == options(question.options)


@settings(max_examples=250)
@given(st.binary(max_size=80) | broken_packets())
def test_any_bytes_give_a_question_or_a_wire_error(packet: bytes) -> None:
    try:
        question = scan(packet)
    except WireError as error:
        assert error.rcode in {None, types.FORMERR, types.NOTIMP}
        assert error.question_end <= len(packet)
    else:
        assert len(question.name) <= 255
        names.parse(names.format(question.name))


@pytest.mark.parametrize(
    ("packet", "cause", "rcode"),
    [
        pytest.param(b"", "short", None, id="empty"),
        pytest.param(HEAD[:11], "short", None, id="eleven octets"),
        pytest.param(head(1, 0, 0, 0, flags=0x8100) + ASKED, "response", None, id="QR"),
        pytest.param(head(1, 0, 0, 0, flags=0x2800) + ASKED, "opcode", types.NOTIMP, id="UPDATE"),
        pytest.param(head(0, 0, 0, 0, flags=0x1000), "opcode", types.NOTIMP, id="STATUS"),
        pytest.param(head(0, 0, 0, 0), "counts", types.FORMERR, id="no question"),
        pytest.param(head(2, 0, 0, 0) + ASKED * 2, "counts", types.FORMERR, id="two questions"),
        pytest.param(head(1, 2, 0, 0) + ASKED, "counts", types.FORMERR, id="two answers"),
        pytest.param(head(1, 0, 2, 0) + ASKED, "counts", types.FORMERR, id="two authorities"),
        pytest.param(head(1, 0, 0, 3) + ASKED, "counts", types.FORMERR, id="three additional"),
        pytest.param(HEAD, "question", types.FORMERR, id="header only"),
        pytest.param(HEAD + b"\xc0\x0c\0\1\0\1", "question", types.FORMERR, id="pointer"),
        pytest.param(HEAD + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", "question", types.FORMERR, id="64"),
        pytest.param(HEAD + ASKED[:-1], "question", types.FORMERR, id="half a class"),
        pytest.param(HEAD + b"\x3f" + b"a" * 20, "question", types.FORMERR, id="name cut"),
        pytest.param(
            HEAD + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", "name", types.FORMERR, id="long name"
        ),
        pytest.param(head(1, 0, 0, 1) + ASKED + OPT[:-1], "record", types.FORMERR, id="OPT cut"),
        pytest.param(head(1, 0, 0, 2) + ASKED + OPT * 2, "opt", types.FORMERR, id="two OPTs"),
        pytest.param(
            head(1, 0, 0, 1) + ASKED + b"\x01a" + OPT, "opt", types.FORMERR, id="OPT with owner"
        ),
        pytest.param(
            head(1, 0, 0, 1) + ASKED + OPT[:-1] + b"\3\0\x0a\0", "opt", types.FORMERR, id="option cut"
        ),
        pytest.param(
            head(1, 0, 0, 1) + ASKED + OPT[:-1] + b"\5\0\x0a\0\4a", "opt", types.FORMERR,
            id="option longer than OPT",
        ),
        pytest.param(
            head(1, 0, 0, 1) + ASKED + b"\0\0\1\0\1\0\0\0\0\0\4aa", "record", types.FORMERR,
            id="rdata beyond the end",
        ),
        pytest.param(
            head(1, 0, 0, 1) + ASKED + b"\x80\0\1\0\1\0\0\0\0\0\0", "label", types.FORMERR,
            id="label type 10",
        ),
    ],
)  # fmt: skip
def test_a_bad_packet_gets_what_coredns_gives(packet: bytes, cause: str, rcode: int | None) -> None:
    with pytest.raises(WireError) as caught:
        scan(packet)
    assert (caught.value.cause, caught.value.rcode) == (cause, rcode)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(HEAD + ASKED + b"junk", id="trailing junk"),
        pytest.param(head(1, 1, 1, 2) + ASKED, id="counted records that are not there"),
        pytest.param(head(1, 0, 0, 2) + ASKED + OPT, id="one of two additional there"),
        pytest.param(
            head(1, 0, 0, 2) + ASKED + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\0" + OPT, id="OPT second"
        ),
        pytest.param(head(1, 1, 0, 1) + ASKED + OPT + OPT, id="OPT in the answer is none"),
        pytest.param(HEAD[:2] + b"\x06\xff" + HEAD[4:] + ASKED, id="flags of a reply"),
        pytest.param(head(1, 0, 0, 0, flags=0x2000) + ASKED, id="NOTIFY"),
    ],
)
def test_what_coredns_tolerates_is_a_question(packet: bytes) -> None:
    assert scan(packet).name == ASKED[:-4]


def test_a_question_that_was_read_is_kept_for_the_reply() -> None:
    with pytest.raises(WireError) as caught:
        scan(head(1, 0, 0, 1) + ASKED + OPT[:-1])
    assert caught.value.question_end == 12 + len(ASKED)
