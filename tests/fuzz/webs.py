"""HTTP/1 and HTTP/2, as a server of DNS over HTTPS and gRPC and as a client of one, without sockets.

What is mutated is a whole conversation; it comes in pieces of any size.
"""

import base64
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import dns.message
from h2.config import H2Configuration
from h2.connection import H2Connection

from kdns.client.line import UpstreamError
from kdns.client.web import doh, grpc
from kdns.client.web.http1 import Http1
from kdns.client.web.http2 import Http2
from kdns.server.web.webservices import Doh, Grpc
from tests.fuzz.targets import Target
from tests.server.test_web import on_paper, plain

QUERY = dns.message.make_query("a.example", "A", id=7).to_wire()
REPLY = dns.message.make_response(dns.message.from_wire(QUERY)).to_wire()
WORD = base64.urlsafe_b64encode(QUERY).rstrip(b"=")
POST = b"POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Type: application/dns-message\r\n"
REQUESTS = [
    b"GET /dns-query?dns=" + WORD + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    POST + b"Content-Length: " + str(len(QUERY)).encode() + b"\r\n\r\n" + QUERY,
    POST + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n" + QUERY[:5] + b"\r\n"
    + f"{len(QUERY) - 5:x}\r\n".encode() + QUERY[5:] + b"\r\n0\r\n\r\n",
    b"GET /dns-query?dns=" + WORD + b" HTTP/1.0\r\nConnection: keep-alive\r\nForwarded: for=10.0.0.1\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nX-Forwarded-For: fd00::1\r\n\r\n",
]  # fmt: skip
REQUESTS += [REQUESTS[0] + REQUESTS[1] + REQUESTS[2]]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\n"
RESPONSES = [
    ANSWER + f"Content-Length: {len(REPLY)}\r\n\r\n".encode() + REPLY,
    ANSWER + b"Transfer-Encoding: chunked\r\n\r\n2\r\n" + REPLY[:2]
    + f"\r\n{len(REPLY) - 2:x};x\r\n".encode() + REPLY[2:] + b"\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
]  # fmt: skip


WORLD = plain()


def _peer(*, is_client: bool) -> H2Connection:
    return H2Connection(H2Configuration(client_side=is_client, header_encoding="utf-8"))


def _requests() -> Iterator[bytes]:
    """What a client says over HTTP/2 of its own accord."""
    get = doh.Doh("a", "GET").request(QUERY)
    post = doh.Doh("a", "POST").request(QUERY)
    for asked in ((get,), (post, post), (get, grpc.Grpc("a", is_secure=True).request(QUERY))):
        link = _peer(is_client=True)
        link.initiate_connection()
        for at, (headers, body) in enumerate(asked):
            link.send_headers(2 * at + 1, headers, end_stream=not body)
            if body:
                link.send_data(2 * at + 1, body, end_stream=True)
        link.ping(b"12345678")
        link.reset_stream(1)
        yield link.data_to_send()


def _responses() -> Iterator[bytes]:
    """What a server answers over HTTP/2 to one request."""
    for body in (REPLY, grpc.pack(REPLY)):
        ours, link = Http2(), _peer(is_client=False)
        ours.ask(1, *doh.Doh("a", "POST").request(QUERY))
        link.initiate_connection()
        link.receive_data(ours.out())
        link.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
        link.send_data(1, body)
        link.send_headers(1, [("grpc-status", "0")], end_stream=True)
        link.close_connection()
        yield link.data_to_send()


def _pieces(rng: Random, octets: bytes) -> Iterator[bytes]:
    step = rng.choice((1, 7, 100, 65536))
    for at in range(0, len(octets), step):
        yield octets[at : at + step]


def _serve(rng: Random, octets: bytes) -> None:
    web = on_paper(rng.choice((Doh("https"), Grpc())), WORLD)
    for piece in _pieces(rng, octets):
        web.data_received(piece)
    web.eof_received()
    assert web.underway >= 0


def _client(kind: type[Http1] | type[Http2]):
    def feed(rng: Random, octets: bytes) -> None:
        made = kind()
        for number in (1, 2):
            made.ask(number, *doh.Doh("a", rng.choice(("GET", "POST"))).request(QUERY))
        made.out()
        for piece in _pieces(rng, octets):
            for _, response in made.receive(piece):
                if not isinstance(response, UpstreamError):
                    with suppress(UpstreamError):
                        doh.Doh("a", "POST").message(response)
        made.cancel(1)
        made.out()

    return feed


TARGETS = (
    Target("HTTP/1 requests", REQUESTS, _serve, ()),
    Target("HTTP/2 requests", list(_requests()), _serve, ()),
    Target("HTTP/1 responses", RESPONSES, _client(Http1), (UpstreamError,)),
    Target("HTTP/2 responses", list(_responses()), _client(Http2), (UpstreamError,)),
)
