"""What kdns does beyond what every server must: clauses of `kdns conformance` ask for less."""

import socket
from random import Random

import dns.message
import dns.name
import dns.rcode
import pytest

from tests.conformance.server import Server, exactly, frame, query, receive

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
def test_the_owner_is_spelled_as_asked(server: Server, spelling: str) -> None:
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


def queries(server: Server, count: int) -> dict[int, bytes]:
    """Queries of every outcome, by id."""
    names = [server.name, server.missing(), server.zone, server.name.upper()]
    asked = {}
    for id_ in range(count):
        message = query(names[id_ % len(names)], ("A", "SOA", "TXT")[id_ % 3])
        message.id = id_
        asked[id_] = message.to_wire()
    return asked


def collect(sock: socket.socket, count: int) -> dict[int, dns.message.Message]:
    """That many replies, by id."""
    replies = [dns.message.from_wire(receive(sock)) for _ in range(count)]
    return {reply.id: reply for reply in replies}


def test_more_than_a_window_full_is_answered(server: Server) -> None:
    asked = queries(server, 2000)
    with server.tcp() as sock:
        sock.sendall(b"".join(map(frame, asked.values())))
        replies = collect(sock, len(asked))
    assert replies.keys() == asked.keys()
    for id_, packet in asked.items():
        assert replies[id_].question == dns.message.from_wire(packet).question


def test_several_connections_live_side_by_side(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    with server.tcp() as one, server.tcp() as two, server.tcp() as three:
        for sock in (one, two, three):
            sock.sendall(packet)
        assert len({receive(sock) for sock in (three, one, two)}) == 1


def test_a_message_may_be_split_anywhere(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    with server.tcp() as sock:
        for at in range(1, len(packet)):
            sock.sendall(packet[:at])
            sock.sendall(packet[at:])
            assert receive(sock)[:2] == packet[2:4]


def test_messages_may_share_a_segment_with_half_of_the_next(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    with server.tcp() as sock:
        sock.sendall(packet + packet[:7])
        first = receive(sock)
        sock.sendall(packet[7:] + packet[:1])
        assert receive(sock) == first
        sock.sendall(packet[1:])
        assert receive(sock) == first


def test_the_length_is_that_of_the_message(server: Server, big: str) -> None:
    packet = frame(query(big, use_edns=0).to_wire())
    with server.tcp() as sock:
        sock.sendall(packet * 2)
        first = exactly(sock, int.from_bytes(exactly(sock, 2), "big"))
        dns.message.from_wire(first)  # raises on octets too few or too many
        assert len(receive(sock)) == len(first)


@pytest.mark.parametrize("count", [1, 3, 300])
def test_what_was_asked_before_a_half_close_is_answered(server: Server, count: int) -> None:
    asked = queries(server, count)
    with server.tcp() as sock:
        sock.sendall(b"".join(map(frame, asked.values())))
        sock.shutdown(socket.SHUT_WR)
        assert collect(sock, count).keys() == asked.keys()
        assert sock.recv(1) == b"", "the server closes when everything is said"


def test_half_a_message_before_a_close_harms_nobody(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    with server.tcp() as sock:
        sock.sendall(packet + packet[:9])
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock)[:2] == packet[2:4]
        assert sock.recv(1) == b""
    assert server.ask(server.name, tcp=True).rcode() == dns.rcode.NOERROR


def test_a_client_that_resets_harms_nobody(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    for _ in range(5):
        with server.tcp() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(packet * 20)
    assert server.ask(server.name, tcp=True).rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize("cls", ["CH", "HS", "NONE", "ANY", "CLASS4711", "CLASS0"])
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_another_class_gets_a_reply_to_its_question(server: Server, cls: str, tcp: bool) -> None:
    asked = dns.message.make_query(server.name, "A", cls)
    reply = server.exchange(asked, tcp=tcp)
    assert reply.question == asked.question
    assert reply.rcode() != dns.rcode.FORMERR


@pytest.mark.parametrize("size", [1400, 65535])
def test_a_size_that_is_large_enough_lets_all_through(server: Server, big: str, size: int) -> None:
    reply = server.ask(big, use_edns=0, payload=size)
    whole = server.ask(big, tcp=True)
    assert bool(reply.flags & dns.flags.TC) == (size == 1400)
    assert sum(map(len, reply.answer)) == sum(map(len, whole.answer)) or size == 1400


def test_nothing_but_the_header_s_length_is_needed_for_silence(server: Server) -> None:
    for size in (0, 1, 2, 11):
        assert server.is_silent_for(query(server.name).to_wire()[:size])
