"""RFC 1035 §4.1 and what clarified it: header bits, the question, and packets that are no query."""

import struct

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest

from tests.conformance.server import Server, query

TRANSPORTS = pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])


@TRANSPORTS
@pytest.mark.parametrize("id_", [0, 1, 0x1234, 0xFFFF], ids=hex)
def test_4_1_1_the_id_is_echoed(server: Server, id_: int, tcp: bool) -> None:
    asked = query(server.name)
    asked.id = id_
    assert server.exchange(asked, tcp=tcp).id == id_


@TRANSPORTS
def test_4_1_1_the_same_question_under_many_ids(server: Server, tcp: bool) -> None:
    """Whoever remembers replies must still give each asker his own id."""
    packet = query(server.name, use_edns=0).to_wire()[2:]
    for id_ in range(1, 20):
        assert server.send(struct.pack("!H", id_) + packet, tcp=tcp)[:2] == struct.pack("!H", id_)


@pytest.mark.parametrize("flags", ["", "RD", "RD CD"])
def test_4_1_1_recursion_desired_is_copied(server: Server, flags: str) -> None:
    for name in (server.name, server.missing()):
        reply = server.ask(name, flags=flags)
        assert bool(reply.flags & dns.flags.RD) == ("RD" in flags)


def test_4_1_1_bits_of_replies_in_a_query_change_nothing(server: Server) -> None:
    plain = server.ask(server.name)
    odd = server.ask(server.name, flags="AA RA")
    asked = query(server.name)
    asked.flags |= 5  # an rcode in a query
    assert odd.flags == server.exchange(asked).flags == plain.flags
    assert odd.answer == plain.answer


def test_4_1_1_a_cluster_answer_is_authoritative(server: Server) -> None:
    assert server.ask(server.name).flags & dns.flags.AA


@TRANSPORTS
def test_4_1_2_the_question_is_echoed_whole(server: Server, tcp: bool) -> None:
    for name, type_ in ((server.name, "A"), (server.missing(), "SRV"), (server.zone, "TYPE4711")):
        packet = query(name, type_).to_wire()
        reply = server.send(packet, tcp=tcp)
        assert reply[4:6] == b"\0\1"
        assert reply[12 : len(packet)] == packet[12:]


def test_4_1_1_a_response_is_never_answered(server: Server) -> None:
    """RFC 8906 §3: or two servers answer each other for ever."""
    packet = query(server.name, flags="QR").to_wire()
    assert server.is_silent_for(packet)


@pytest.mark.parametrize("size", [0, 1, 2, 11])
def test_4_1_1_what_has_no_header_is_not_answered(server: Server, size: int) -> None:
    assert server.is_silent_for(query(server.name).to_wire()[:size])


@TRANSPORTS
@pytest.mark.parametrize("count", [0, 2])
def test_9619_a_query_has_exactly_one_question(server: Server, count: int, tcp: bool) -> None:
    """RFC 9619 §4: more than one is FORMERR; for none at all we ask the same."""
    packet = query(server.name).to_wire()
    body = packet[12:] * count
    reply = server.send(packet[:4] + struct.pack("!4H", count, 0, 0, 0) + body, tcp=tcp)
    assert reply[:2] == packet[:2]
    assert reply[3] & 0xF == dns.rcode.FORMERR


BROKEN = {
    "name-runs-out": lambda packet: packet[:20],
    "label-type-01": lambda packet: packet[:12] + b"\x41" + packet[13:],
    "label-type-10": lambda packet: packet[:12] + b"\x81" + packet[13:],
    "pointer-to-itself": lambda packet: packet[:12] + b"\xc0\x0c" + packet[-4:],
    "pointer-forward": lambda packet: packet[:12] + b"\xc0\x40" + packet[-4:],
    "name-over-255": lambda packet: packet[:12] + (b"\x3f" + b"x" * 63) * 4 + b"\0" + packet[-4:],
}


@TRANSPORTS
@pytest.mark.parametrize("how", BROKEN)
def test_4_1_2_an_unreadable_question_is_a_format_error(
    server: Server, how: str, tcp: bool
) -> None:
    packet = query(server.name).to_wire()
    reply = server.send(BROKEN[how](packet), tcp=tcp)
    assert reply[:2] == packet[:2]
    assert reply[3] & 0xF == dns.rcode.FORMERR


def test_4_1_1_records_that_are_not_there_do_not_stop_the_server(server: Server) -> None:
    """Answered or FORMERR, but not silence and no crash."""
    packet = query(server.name).to_wire()
    for counts in ((1, 1, 0, 1), (1, 65535, 65535, 65535)):
        reply = server.send(packet[:4] + struct.pack("!4H", *counts) + packet[12:])
        assert reply[3] & 0xF in (dns.rcode.NOERROR, dns.rcode.FORMERR)
    assert server.ask(server.name).rcode() == dns.rcode.NOERROR


@TRANSPORTS
@pytest.mark.parametrize("cls", ["CH", "HS", "NONE", "ANY", "CLASS4711", "CLASS0"])
def test_3_2_4_another_class_gets_a_reply(server: Server, cls: str, tcp: bool) -> None:
    """With what, is the server's affair: refused, passed on, or answered."""
    asked = dns.message.make_query(server.name, "A", cls)
    reply = server.exchange(asked, tcp=tcp)
    assert reply.question == asked.question
    assert reply.rcode() != dns.rcode.FORMERR


def test_2_3_4_the_longest_name_is_answered(server: Server) -> None:
    room = 255 - len(server.apex.to_wire())
    label = "x" * 62 + "."
    name = label * (room // 63)
    if rest := room % 63 - 1:
        name += "y" * rest + "." if rest > 0 else ""
    reply = server.ask(name + server.zone)
    assert reply.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("octets", [b"a.b", b"\0", b"\xff\xfe", b" ", b"\\", b"*", b"_"], ids=repr)
def test_3_1_a_label_may_hold_any_octet(server: Server, octets: bytes) -> None:
    """RFC 2181 §11 says so once more."""
    rest = dns.name.from_text(server.zone).to_wire()
    packet = query(server.name).to_wire()
    odd = packet[:12] + bytes([len(octets)]) + octets + rest + packet[-4:]
    reply = server.send(odd)
    assert reply[12 : len(odd)] == odd[12:]
    assert dns.message.from_wire(reply).rcode() == dns.rcode.NXDOMAIN
