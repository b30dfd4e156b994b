"""RFC 2308: negative answers carry the SOA that says how long they hold."""

import dns.flags
import dns.rcode
import dns.rdatatype
import pytest

from tests.conformance.server import Server, only_soa

TYPES = ["A", "AAAA", "SRV", "TXT", "MX", "PTR", "NS", "TYPE65280"]


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_2_1_a_name_error_carries_the_soa(server: Server, type_: str, tcp: bool) -> None:
    reply = server.ask(server.missing(), type_, tcp=tcp)
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert reply.flags & dns.flags.AA
    assert only_soa(reply).name == server.apex


@pytest.mark.parametrize("type_", ["MX", "PTR", "TYPE65280"])
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_2_2_no_data_carries_the_soa(server: Server, type_: str, tcp: bool) -> None:
    reply = server.ask(server.name, type_, tcp=tcp)
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.flags & dns.flags.AA
    assert only_soa(reply).name == server.apex


def test_2_2_an_empty_non_terminal_is_no_data(server: Server) -> None:
    for name in server.ancestors():
        reply = server.ask(name, "MX")
        assert reply.rcode() == dns.rcode.NOERROR, name
        assert only_soa(reply).name == server.apex


def test_2_2_the_apex_has_no_data_of_other_types(server: Server) -> None:
    reply = server.ask(server.zone, "MX")
    assert reply.rcode() == dns.rcode.NOERROR
    assert only_soa(reply).name == server.apex


def test_3_the_soa_s_ttl_is_the_least_of_its_own_and_the_minimum(server: Server) -> None:
    apex = server.ask(server.zone, "SOA").answer[0]
    expected = min(apex.ttl, apex[0].minimum)
    for name, type_ in ((server.missing(), "A"), (server.name, "MX")):
        soa = only_soa(server.ask(name, type_))
        assert soa.ttl == expected, name
        assert soa[0] == apex[0]


def test_5_a_negative_answer_holds_for_seconds_not_weeks(server: Server) -> None:
    soa = only_soa(server.ask(server.missing()))
    assert 0 < min(soa.ttl, soa[0].minimum) <= 10800  # §5: one to three hours at most


def test_10_a_reply_without_data_is_no_referral(server: Server) -> None:
    for name in (server.missing(), *server.ancestors()):
        reply = server.ask(name)
        assert dns.rdatatype.NS not in [rrset.rdtype for rrset in reply.authority]
