"""RFC 6891: an OPT record answers an OPT record, and its size bounds the reply."""

import struct

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.conformance.server import Server, query

OPT = struct.pack("!BHHIH", 0, 41, 1232, 0, 0)


def with_records(server: Server, *records: bytes) -> bytes:
    """A query for the server's name with these records in the additional section."""
    packet = query(server.name).to_wire()
    return packet[:10] + struct.pack("!H", len(records)) + packet[12:] + b"".join(records)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_6_1_1_opt_comes_only_when_asked_with_opt(server: Server, tcp: bool) -> None:
    for name in (server.name, server.missing()):
        assert server.ask(name, tcp=tcp).edns == -1
        assert server.ask(name, tcp=tcp, use_edns=0).edns == 0


def test_6_1_1_there_is_one_opt_and_it_is_in_the_additional_section(server: Server) -> None:
    asked = query(server.name, use_edns=0)
    reply = server.send(asked.to_wire())
    dns.message.from_wire(reply)  # refuses an OPT in another section, and a second one
    assert reply.count(b"\0\0\x29") == 1


def test_6_1_1_two_opts_are_a_format_error(server: Server) -> None:
    reply = dns.message.from_wire(server.send(with_records(server, OPT, OPT)))
    assert reply.rcode() == dns.rcode.FORMERR


def test_6_1_2_an_opt_whose_owner_is_not_the_root_is_a_format_error(server: Server) -> None:
    reply = dns.message.from_wire(server.send(with_records(server, b"\1x" + OPT)))
    assert reply.rcode() == dns.rcode.FORMERR


def test_6_1_2_an_opt_with_half_an_option_is_a_format_error(server: Server) -> None:
    broken = struct.pack("!BHHIH", 0, 41, 1232, 0, 3) + b"\0\x64\0"
    reply = dns.message.from_wire(server.send(with_records(server, broken)))
    assert reply.rcode() == dns.rcode.FORMERR


def test_6_1_1_an_opt_may_stand_behind_another_record(server: Server) -> None:
    other = b"\1x\0" + struct.pack("!HHIH", 1, 1, 0, 4) + bytes(4)
    for records in ((other, OPT), (OPT, other)):
        reply = dns.message.from_wire(server.send(with_records(server, *records)))
        assert (reply.rcode(), reply.edns) == (dns.rcode.NOERROR, 0)


def test_6_1_3_badvers_keeps_the_question_and_offers_version_0(server: Server) -> None:
    asked = query(server.name)
    asked.use_edns(1)
    reply = server.exchange(asked)
    assert reply.rcode() == dns.rcode.BADVERS
    assert reply.question == asked.question
    assert reply.edns == 0


@pytest.mark.parametrize("size", [0, 1, 511])
def test_6_2_3_a_size_below_512_counts_as_512(server: Server, big: str, size: int) -> None:
    small = server.send(query(big, use_edns=0, payload=size).to_wire())
    usual = server.send(query(big, use_edns=0, payload=512).to_wire())
    assert 480 < len(usual) <= 512
    assert len(small) == len(usual)


@pytest.mark.parametrize("size", [512, 513, 700, 1232, 1400])
def test_6_2_3_a_udp_reply_is_never_larger_than_asked(server: Server, big: str, size: int) -> None:
    reply = server.send(query(big, use_edns=0, payload=size).to_wire())
    assert len(reply) <= size
    assert dns.message.from_wire(reply).flags & dns.flags.TC


def test_6_2_3_a_larger_size_lets_the_whole_answer_through(server: Server, big: str) -> None:
    reply = server.ask(big, use_edns=0, payload=65535)
    assert not reply.flags & dns.flags.TC
    assert sum(map(len, reply.answer)) == sum(map(len, server.ask(big, tcp=True).answer))


def test_6_2_3_without_opt_the_limit_is_512(server: Server, big: str) -> None:
    reply = server.send(query(big).to_wire())
    assert len(reply) <= 512
    assert dns.message.from_wire(reply).flags & dns.flags.TC


def test_6_2_3_the_size_of_the_reply_s_opt_is_one_that_clients_may_use(server: Server) -> None:
    """Values below 512 are treated as 512; we ask that none is sent for an ordinary query."""
    assert server.ask(server.name, use_edns=0, payload=1232).payload >= 512


def test_7_the_extended_rcode_of_a_plain_reply_is_zero(server: Server) -> None:
    reply = server.ask(server.missing(), use_edns=0)
    assert reply.ednsflags >> 16 == 0
    assert reply.rcode() == dns.rcode.NXDOMAIN
