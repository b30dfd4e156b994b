"""RFC 7766: DNS over TCP: many queries on a connection, framed by two octets wherever they break."""

import socket

import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.conformance.server import Server, exactly, frame, query, receive, records


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


def test_6_2_1_1_queries_may_be_pipelined(server: Server) -> None:
    asked = queries(server, 40)
    with server.tcp() as sock:
        sock.sendall(b"".join(map(frame, asked.values())))
        replies = collect(sock, len(asked))
    assert replies.keys() == asked.keys()
    for id_, packet in asked.items():
        assert replies[id_].question == dns.message.from_wire(packet).question


def test_6_2_1_1_more_than_a_window_full_is_answered(server: Server) -> None:
    asked = queries(server, 2000)
    with server.tcp() as sock:
        sock.sendall(b"".join(map(frame, asked.values())))
        assert collect(sock, len(asked)).keys() == asked.keys()


def test_6_2_1_a_connection_carries_one_query_after_the_other(server: Server) -> None:
    with server.tcp() as sock:
        for id_, packet in queries(server, 12).items():
            sock.sendall(frame(packet))
            assert dns.message.from_wire(receive(sock)).id == id_


def test_6_2_several_connections_live_side_by_side(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    with server.tcp() as one, server.tcp() as two, server.tcp() as three:
        for sock in (one, two, three):
            sock.sendall(packet)
        assert len({receive(sock) for sock in (three, one, two)}) == 1


def test_8_a_message_may_be_split_anywhere(server: Server) -> None:
    message = query(server.name)
    packet = frame(message.to_wire())
    with server.tcp() as sock:
        for at in range(1, len(packet)):
            sock.sendall(packet[:at])
            sock.sendall(packet[at:])
            assert receive(sock)[:2] == packet[2:4]


def test_8_a_message_may_come_octet_by_octet(server: Server) -> None:
    packet = frame(query(server.name).to_wire()) * 2
    with server.tcp() as sock:
        for octet in packet:
            sock.sendall(bytes([octet]))
        assert receive(sock) == receive(sock)


def test_8_messages_may_share_a_segment_with_half_of_the_next(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    with server.tcp() as sock:
        sock.sendall(packet + packet[:7])
        first = receive(sock)
        sock.sendall(packet[7:] + packet[:1])
        assert receive(sock) == first
        sock.sendall(packet[1:])
        assert receive(sock) == first


@pytest.mark.parametrize("count", [1, 3, 300])
def test_6_2_4_what_was_asked_before_a_half_close_is_answered(server: Server, count: int) -> None:
    asked = queries(server, count)
    with server.tcp() as sock:
        sock.sendall(b"".join(map(frame, asked.values())))
        sock.shutdown(socket.SHUT_WR)
        assert collect(sock, count).keys() == asked.keys()
        assert sock.recv(1) == b"", "the server closes when everything is said"


def test_6_2_4_half_a_message_before_a_close_harms_nobody(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    with server.tcp() as sock:
        sock.sendall(packet + packet[:9])
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock)[:2] == packet[2:4]
        assert sock.recv(1) == b""
    assert server.ask(server.name, tcp=True).rcode() == dns.rcode.NOERROR


def test_6_2_4_a_client_that_resets_harms_nobody(server: Server) -> None:
    packet = frame(query(server.name).to_wire())
    for _ in range(5):
        with server.tcp() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(packet * 20)
    assert server.ask(server.name, tcp=True).rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize("flags", ["", "RD", "RD CD"])
@pytest.mark.parametrize("type_", ["A", "AAAA", "SRV", "SOA", "MX", "NS", "TXT", "TYPE65280"])
def test_5_tcp_answers_as_udp_does(server: Server, type_: str, flags: str) -> None:
    for name in (server.name, server.missing(), server.zone, *server.ancestors()):
        asked = query(name, type_, flags=flags, use_edns=0, payload=4096)
        one, other = server.exchange(asked), server.exchange(asked, tcp=True)
        assert one.flags == other.flags
        for section in ("answer", "authority", "additional"):
            assert records(getattr(one, section)) == records(getattr(other, section))


def test_5_after_tc_the_whole_answer_comes_over_tcp(server: Server, big: str) -> None:
    asked = query(big)
    short, whole = server.exchange(asked), server.exchange(asked, tcp=True)
    assert short.flags & dns.flags.TC
    assert not whole.flags & dns.flags.TC
    assert set(records(short.answer)) < set(records(whole.answer))


def test_8_the_length_is_that_of_the_message(server: Server, big: str) -> None:
    packet = frame(query(big, use_edns=0).to_wire())
    with server.tcp() as sock:
        sock.sendall(packet * 2)
        first = exactly(sock, int.from_bytes(exactly(sock, 2), "big"))
        dns.message.from_wire(first)  # raises on octets too few or too many
        assert len(receive(sock)) == len(first)


def test_7_an_answer_is_not_bounded_by_the_edns_size(server: Server, big: str) -> None:
    small = server.ask(big, tcp=True, use_edns=0, payload=512)
    large = server.ask(big, tcp=True, use_edns=0, payload=65535)
    assert records(small.answer) == records(large.answer)
