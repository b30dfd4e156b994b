"""RFC 4343: names match whatever their letter case, and keep the asker's."""

from random import Random

import dns.message
import dns.name
import dns.rcode
import pytest

from tests.conformance.server import Server, query, records

SPELLINGS = {
    "upper": str.upper,
    "title": str.title,
    **{
        f"random-{seed}": lambda text, seed=seed: "".join(
            Random(f"{seed}{at}").choice((c.lower(), c.upper())) for at, c in enumerate(text)
        )
        for seed in range(4)
    },
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_3_letter_case_does_not_matter_for_the_match(
    server: Server, spelling: str, tcp: bool
) -> None:
    for name in (server.name, server.zone, *server.ancestors()):
        plain = server.ask(name, tcp=tcp)
        odd = server.ask(SPELLINGS[spelling](name), tcp=tcp)
        assert odd.rcode() == plain.rcode()
        assert records(odd.answer) == records(plain.answer)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_3_a_missing_name_is_missing_in_every_spelling(server: Server, spelling: str) -> None:
    reply = server.ask(SPELLINGS[spelling](server.missing()))
    assert reply.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_4_1_the_question_comes_back_octet_by_octet(
    server: Server, spelling: str, tcp: bool
) -> None:
    for name in (server.name, server.missing()):
        packet = query(SPELLINGS[spelling](name)).to_wire()
        assert server.send(packet, tcp=tcp)[12 : len(packet)] == packet[12:]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_4_1_the_owner_is_spelled_as_asked(server: Server, spelling: str) -> None:
    """What clients that mix case (0x20) compare."""
    asked = dns.name.from_text(SPELLINGS[spelling](server.name))
    reply = server.ask(asked.to_text())
    assert [rrset.name.to_text() for rrset in reply.answer] == [asked.to_text()]


def test_two_spellings_at_once_each_get_their_own(server: Server) -> None:
    asked = [query(SPELLINGS[spelling](server.name)).to_wire() for spelling in SPELLINGS] * 3
    with server.udp() as sock:
        for packet in asked:
            sock.send(packet)
        replies = [sock.recv(65535) for _ in asked]
    got = {reply[:2]: reply[12 : len(asked[0])] for reply in replies}
    assert got == {packet[:2]: packet[12:] for packet in asked}


@pytest.mark.parametrize("octet", [0x40, 0x5B, 0x60, 0x7B, 0xE1], ids=hex)
def test_3_only_ascii_letters_are_folded(server: Server, octet: int) -> None:
    """`@` is no upper case of a backquote, although they differ in the same bit."""
    packet = query("x" + server.name[1:]).to_wire()
    odd = packet[:13] + bytes([octet]) + packet[14:]
    reply = dns.message.from_wire(server.send(odd))
    assert reply.rcode() == dns.rcode.NXDOMAIN
