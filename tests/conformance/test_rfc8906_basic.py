"""RFC 8906 §8.1: a server answers plain DNS, whatever odd bit, type or opcode a query carries."""

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from tests.conformance.server import Server, query


def is_apex_soa(server: Server, reply: dns.message.Message) -> bool:
    """True for an authoritative SOA of the zone without OPT."""
    return (
        reply.rcode() == dns.rcode.NOERROR
        and bool(reply.flags & dns.flags.AA)
        and reply.edns == -1
        and [(rrset.name, rrset.rdtype) for rrset in reply.answer]
        == [(server.apex, dns.rdatatype.SOA)]
    )


def test_8_1_1_the_server_is_configured_for_the_zone(server: Server) -> None:
    reply = server.ask(server.zone, "SOA")
    assert is_apex_soa(server, reply)
    assert not reply.flags & (dns.flags.RD | dns.flags.AD)


@pytest.mark.parametrize("type_", ["TYPE1000", "TYPE65280", "SPF", "CAA"])
def test_8_1_2_an_unknown_type_is_nodata(server: Server, type_: str) -> None:
    for name in (server.zone, server.name):
        reply = server.ask(name, type_)
        assert reply.rcode() == dns.rcode.NOERROR
        assert reply.flags & dns.flags.AA
        assert not reply.answer


@pytest.mark.parametrize("bit", ["CD", "AD"])
def test_8_1_3_a_dnssec_bit_without_edns_changes_nothing(server: Server, bit: str) -> None:
    reply = server.ask(server.zone, "SOA", flags=bit)
    assert is_apex_soa(server, reply)
    assert not reply.flags & dns.flags.AD  # nothing here was validated


def test_8_1_3_the_reserved_bit_is_not_echoed(server: Server) -> None:
    asked = query(server.zone, "SOA")
    asked.flags |= 0x40
    reply = server.exchange(asked)
    assert is_apex_soa(server, reply)
    assert not reply.flags & 0x40


def test_8_1_3_recursion_desired_is_copied_and_harmless(server: Server) -> None:
    reply = server.ask(server.zone, "SOA", flags="RD")
    assert is_apex_soa(server, reply)
    assert reply.flags & dns.flags.RD


@pytest.mark.parametrize("opcode", [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
def test_8_1_4_an_unknown_opcode_is_not_implemented(server: Server, opcode: int) -> None:
    packet = bytearray(query(server.zone, "SOA").to_wire())
    packet[2] |= opcode << 3
    reply = server.send(bytes(packet))
    assert reply[:2] == packet[:2]
    assert reply[2] & 0x80, "QR"
    assert reply[2] >> 3 & 0xF == opcode
    assert reply[3] & 0xF == dns.rcode.NOTIMP


def test_8_1_5_tcp_answers(server: Server) -> None:
    assert is_apex_soa(server, server.ask(server.zone, "SOA", tcp=True))
