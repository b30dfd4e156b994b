"""RFC 2181 and RFC 3597: RRsets are whole and even, truncation is told, unknown types are types."""

from collections import Counter

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.conformance.server import Server, only_soa, query


def test_5_2_the_ttls_of_an_rrset_are_equal(server: Server) -> None:
    for name in filter(None, (server.name, server.big)):
        wire = server.send(query(name).to_wire(), tcp=True)
        reply = dns.message.from_wire(wire, one_rr_per_rrset=True)
        assert len(reply.answer) >= 1
        assert len({rrset.ttl for rrset in reply.answer}) == 1


def test_5_0_an_rrset_has_no_record_twice(server: Server) -> None:
    for name in filter(None, (server.name, server.big)):
        wire = server.send(query(name).to_wire(), tcp=True)
        reply = dns.message.from_wire(wire, one_rr_per_rrset=True)
        counts = Counter(str(rrset[0]) for rrset in reply.answer)
        assert set(counts.values()) == {1}


def test_8_ttls_are_below_2_to_the_31(server: Server) -> None:
    for name in (server.name, server.zone, server.missing()):
        for section in (reply := server.ask(name)).answer, reply.authority:
            assert all(rrset.ttl < 1 << 31 for rrset in section)


def test_9_tc_is_set_when_an_rrset_does_not_fit(server: Server, big: str) -> None:
    reply = server.ask(big)
    whole = server.ask(big, tcp=True)
    assert reply.flags & dns.flags.TC
    assert not whole.flags & dns.flags.TC
    assert sum(map(len, reply.answer)) < sum(map(len, whole.answer))


def test_9_tc_is_clear_when_everything_fits(server: Server) -> None:
    for name in (server.name, server.missing()):
        assert not server.ask(name).flags & dns.flags.TC


def test_7_1_the_soa_of_a_negative_answer_is_the_zone_s_own(server: Server) -> None:
    soa = server.ask(server.zone, "SOA").answer[0]
    assert only_soa(server.ask(server.missing()))[0] == soa[0]


@pytest.mark.parametrize("number", [0xFF00, 0xFFFE, 4711, 1024])
def test_3597_3_an_unknown_type_is_asked_like_any_other(server: Server, number: int) -> None:
    type_ = f"TYPE{number}"
    there, missing = server.ask(server.name, type_), server.ask(server.missing(), type_)
    assert (there.rcode(), missing.rcode()) == (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    only_soa(there)
    only_soa(missing)


def test_3597_3_an_unknown_record_in_a_query_does_no_harm(server: Server) -> None:
    packet = query(server.name).to_wire()
    odd = b"\1x\0\xff\x0a\0\1\0\0\0\0\0\3abc"
    reply = dns.message.from_wire(server.send(packet[:10] + b"\0\1" + packet[12:] + odd))
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.answer[0].rdtype == dns.rdatatype.A
