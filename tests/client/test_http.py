"""The sans-IO halves of DoH and gRPC: any octets are a response, more to come, or UpstreamError."""

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.client.line import StaleError, UpstreamError
from kdns.client.web import grpc
from kdns.client.web.doh import Doh
from kdns.client.web.http1 import Http1
from kdns.client.web.http2 import Http2, Response

HEADERS = Doh("up.example", "POST").request(b"q" * 12)[0]
CALL = grpc.Grpc("up.example", is_secure=True).request(b"")[0]
PLAIN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: 5\r\n\r\nabcde"
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
)
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


def asked(count: int = 1) -> Http1:
    made = Http1()
    for number in range(count):
        made.ask(number, HEADERS, b"body")
    return made


@pytest.mark.parametrize("response", [PLAIN, CHUNKED, EARLY + PLAIN, EARLY + CHUNKED])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_response_comes_whole_or_in_pieces(response, step):
    made, come = asked(2), []
    octets = response * 2
    for at in range(0, len(octets), step):
        come += made.receive(octets[at : at + step])
    assert [(number, bytes(one.body), one.status) for number, one in come] == [
        (0, b"abcde", "200"),
        (1, b"abcde", "200"),
    ]


def test_the_next_request_leaves_with_the_response():
    made = asked(2)
    assert made.out().count(b"POST /dns-query HTTP/1.1\r\nhost: up.example\r\n") == 1
    made.receive(PLAIN)
    assert made.out().endswith(b"\r\n\r\nbody")
    assert not made.out()


def test_who_gave_up_gets_nothing():
    made = asked(3)
    made.cancel(0)
    made.cancel(1)
    assert made.receive(PLAIN) == []
    assert [number for number, _ in made.receive(PLAIN)] == [2]


def test_a_server_that_closes_gets_no_more():
    made = asked(2)
    made.out()
    made.receive(PLAIN.replace(b"200 OK\r\n", b"200 OK\r\nConnection: Close\r\n"))
    assert made.is_over
    assert not made.out()


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 70001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"8000\r\n" + b"x" * 32768 + b"\r\n") * 3,
        b"x" * 20_000,
    ],
)
def test_what_is_no_response_is_an_error(response):
    with pytest.raises(UpstreamError):
        asked().receive(response)


@settings(deadline=None)  # others share the machine
@given(st.binary(max_size=300), st.sampled_from([b"", PLAIN[:20], PLAIN[:-5], CHUNKED[:-9]]))
def test_any_octets_are_survived_by_http1(octets, before):
    made = asked(2)
    try:
        made.receive(before + octets)
    except UpstreamError:
        return


class Peer:
    """The other side of an Http2."""

    def __init__(self, **settings: int) -> None:
        self.link = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self.link.initiate_connection()
        codes = h2.settings.SettingCodes
        self.link.update_settings({codes[name]: value for name, value in settings.items()})
        self.ours = Http2()
        self.bodies: dict[int, int] = {}
        self.ended: list[int] = []
        self.come: list = []
        self.talk()

    def talk(self) -> None:
        """Carries octets both ways until nobody has any."""
        while True:
            out, back = self.ours.out(), self.link.data_to_send()
            if not out and not back:
                return
            for event in self.link.receive_data(out) if out else ():
                if isinstance(event, h2.events.DataReceived):
                    self.bodies[event.stream_id] = self.bodies.get(event.stream_id, 0) + len(
                        event.data
                    )
                elif isinstance(event, h2.events.StreamEnded):
                    self.ended.append(event.stream_id)
            if back:
                self.come += self.ours.receive(back)

    def answer(self, stream: int, status: str = "200") -> None:
        self.link.send_headers(stream, [(":status", status)])
        self.link.send_data(stream, b"reply", end_stream=True)


def test_a_long_body_waits_for_room():
    peer = Peer(INITIAL_WINDOW_SIZE=1000)
    peer.ours.ask(7, CALL, b"x" * 40_000)
    peer.talk()
    assert peer.bodies == {1: 1000}
    for _ in range(3):
        peer.link.increment_flow_control_window(20_000, 1)
        peer.talk()
    assert peer.bodies == {1: 40_000}
    assert peer.ended == [1]


def test_requests_wait_for_streams_and_those_given_up_make_room():
    peer = Peer(MAX_CONCURRENT_STREAMS=2)
    for number in range(6):
        peer.ours.ask(number, CALL, b"x")
    peer.talk()
    assert peer.ended == [1, 3]
    peer.ours.cancel(3)
    peer.ours.cancel(0)
    peer.talk()
    assert peer.ended == [1, 3, 5]
    peer.answer(3)
    peer.talk()
    assert [(number, bytes(one.body)) for number, one in peer.come] == [(1, b"reply")]
    assert peer.ended == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (h2.errors.ErrorCodes.REFUSED_STREAM, StaleError),
        (h2.errors.ErrorCodes.INTERNAL_ERROR, UpstreamError),
    ],
)
def test_a_stream_that_is_reset_fails_alone(code, kind):
    peer = Peer()
    peer.ours.ask(1, CALL, b"x")
    peer.ours.ask(2, CALL, b"x")
    peer.talk()
    peer.link.reset_stream(1, code)
    peer.answer(3)
    peer.talk()
    assert [number for number, _ in peer.come] == [1, 2]
    assert type(peer.come[0][1]) is kind


def test_a_response_without_end_is_given_up():
    peer = Peer()
    peer.ours.ask(1, CALL, b"x")
    peer.talk()
    peer.link.send_headers(1, [(":status", "200")])
    for _ in range(8):
        peer.link.send_data(1, b"x" * 10_000)
    peer.talk()
    assert isinstance(peer.come[0][1], UpstreamError)


def test_all_are_told_when_the_other_side_leaves():
    peer = Peer(MAX_CONCURRENT_STREAMS=1)
    for number in range(3):
        peer.ours.ask(number, CALL, b"x")
    peer.talk()
    peer.link.close_connection()
    peer.talk()
    assert [(number, type(one)) for number, one in peer.come] == [
        (number, StaleError) for number in range(3)
    ]
    assert peer.ours.is_over


@settings(deadline=None)  # others share the machine
@given(st.binary(max_size=200), st.booleans())
def test_any_octets_are_survived_by_http2(octets, is_late):
    peer = Peer()
    peer.ours.ask(1, CALL, b"x")
    if is_late:
        peer.talk()
    try:
        peer.ours.receive(octets)
        peer.ours.cancel(1)
    except UpstreamError:
        return


@settings(deadline=None)  # others share the machine
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=60))
def test_any_frame_is_survived_by_http2(kind, flags, stream, payload):
    peer = Peer()
    peer.ours.ask(1, CALL, b"x")
    peer.talk()
    frame = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    try:
        peer.ours.receive(frame + payload)
        peer.ours.ask(2, CALL, b"y")
    except UpstreamError:
        return


@settings(deadline=None)  # others share the machine
@given(st.binary(max_size=300))
def test_grpc_messages_come_back_as_they_were(message):
    assert grpc.unpack(grpc.pack(message)) == message


@settings(deadline=None)  # others share the machine
@given(st.binary(max_size=60))
def test_any_octets_are_survived_by_grpc(octets):
    for body in (octets, b"\0" + len(octets).to_bytes(4, "big") + octets):
        try:
            grpc.unpack(body)
        except UpstreamError:
            continue


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"\x08\x05\x0a\x02ab", b"ab"),  # another field before it
        (b"\x12\x01x\x0a\x02ab", b"ab"),
        (b"\x0a\x02ab\x0a\x01c", b"c"),  # the last one counts, as in protobuf
        (b"", b""),
    ],
)
def test_other_fields_are_passed_over(packet, message):
    assert grpc.unpack(b"\0" + len(packet).to_bytes(4, "big") + packet) == message


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({b":status": b"200", b"grpc-status": b"14", b"grpc-message": b"away"}, "status 14: away"),
        ({b":status": b"200"}, "http 200"),
        ({b":status": b"404"}, "http 404"),
        ({b":status": b"404", b"grpc-status": b"0"}, "status 0"),
    ],
)
def test_what_grpc_says_went_wrong(headers, why):
    with pytest.raises(UpstreamError, match=why):
        grpc.Grpc("up", is_secure=False).message(Response(headers))


def test_another_content_is_no_reply():
    made = Doh("up", "POST")
    with pytest.raises(UpstreamError, match="content-type 'text/html'"):
        made.message(Response({b":status": b"200", b"content-type": b"text/html; x"}))
