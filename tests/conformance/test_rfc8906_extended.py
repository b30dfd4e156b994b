"""RFC 8906 §8.2: a server answers queries with EDNS, of whatever version, flags and options."""

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.conformance.server import Server, query

UNKNOWN_FLAG = 0x40
UNKNOWN_OPTION = dns.edns.GenericOption(100, b"")
KNOWN_OPTIONS = [
    dns.edns.GenericOption(3, b""),  # NSID
    dns.edns.GenericOption(10, bytes(8)),  # COOKIE
    dns.edns.GenericOption(9, b""),  # EXPIRE
    dns.edns.ECSOption("0.0.0.0", 0),
]


def ask(server: Server, version: int = 0, flags: int = 0, options=()) -> dns.message.Message:
    """The reply to a query for the SOA of the zone with this OPT."""
    asked = query(server.zone, "SOA")
    asked.use_edns(version, flags, 4096, options=list(options))
    return server.exchange(asked)


def assert_answered(server: Server, reply: dns.message.Message) -> None:
    """NOERROR, the SOA, AA, OPT of version 0."""
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.flags & dns.flags.AA
    assert not reply.flags & dns.flags.AD
    assert [rrset.rdtype for rrset in reply.answer] == [dns.rdatatype.SOA]
    assert reply.edns == 0


def assert_badvers(reply: dns.message.Message) -> None:
    """BADVERS, nothing answered, OPT with the version we could use."""
    assert reply.rcode() == dns.rcode.BADVERS
    assert not reply.answer
    assert not reply.flags & (dns.flags.AA | dns.flags.AD)
    assert reply.edns == 0
    assert 100 not in [option.otype for option in reply.options]
    assert not reply.ednsflags & UNKNOWN_FLAG


def test_8_2_1_minimal_edns_is_answered(server: Server) -> None:
    assert_answered(server, ask(server))


@pytest.mark.parametrize("version", [1, 2, 255])
def test_8_2_2_another_edns_version_is_badvers(server: Server, version: int) -> None:
    assert_badvers(ask(server, version))


def test_8_2_3_an_unknown_option_is_ignored_and_not_echoed(server: Server) -> None:
    reply = ask(server, options=[UNKNOWN_OPTION])
    assert_answered(server, reply)
    assert 100 not in [option.otype for option in reply.options]


@pytest.mark.parametrize("bit", [1 << at for at in range(14)], ids=hex)
def test_8_2_4_an_unknown_edns_flag_is_ignored_and_not_echoed(server: Server, bit: int) -> None:
    reply = ask(server, flags=bit)
    assert_answered(server, reply)
    assert not reply.ednsflags & 0x3FFF


def test_8_2_5_version_1_with_an_unknown_flag_is_badvers(server: Server) -> None:
    assert_badvers(ask(server, 1, UNKNOWN_FLAG))


def test_8_2_6_version_1_with_an_unknown_option_is_badvers(server: Server) -> None:
    assert_badvers(ask(server, 1, options=[UNKNOWN_OPTION]))


def test_8_2_7_a_truncated_reply_carries_opt(server: Server, big: str) -> None:
    reply = server.ask(big, use_edns=0, payload=512)
    assert reply.flags & dns.flags.TC
    assert reply.edns == 0


def test_8_2_8_do_is_answered_and_copied(server: Server) -> None:
    reply = ask(server, flags=dns.flags.DO)
    assert_answered(server, reply)
    assert reply.ednsflags & dns.flags.DO  # RFC 3225 §3


def test_8_2_9_version_1_with_do_is_badvers(server: Server) -> None:
    assert_badvers(ask(server, 1, dns.flags.DO))


def test_8_2_10_several_known_options_are_answered(server: Server) -> None:
    assert_answered(server, ask(server, options=KNOWN_OPTIONS))


def test_everything_at_once_is_badvers(server: Server) -> None:
    assert_badvers(ask(server, 1, UNKNOWN_FLAG | dns.flags.DO, [UNKNOWN_OPTION, *KNOWN_OPTIONS]))


def test_edns_is_answered_over_tcp(server: Server) -> None:
    """RFC 8906 §3.2.7."""
    reply = server.ask(server.zone, "SOA", tcp=True, use_edns=0)
    assert_answered(server, reply)
