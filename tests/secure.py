"""Small upstreams behind TLS, HTTP and QUIC on loopback, with certificates of their own authority.

Each plays a script as tests.upstream does: from what was Asked to the message that is sent; None
leaves the query without reply, CLOSE ends the connection.
"""

import asyncio
import ssl
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import trustme

from kdns.client.web import grpc
from tests.upstream import CLOSE, Asked, Script

PATH = "/coredns.dns.DnsService/Query"


@cache
def authority() -> trustme.CA:
    """One for all tests: keys take time."""
    return trustme.CA()


@cache
def certificate() -> trustme.LeafCert:
    """For 127.0.0.1 and up.example."""
    return authority().issue_cert("127.0.0.1", "up.example")


def write(folder: Path) -> dict[str, str]:
    """The paths of the authority's certificate, ours and its key."""
    paths = {name: str(folder / f"{name}.pem") for name in ("ca", "cert", "key")}
    authority().cert_pem.write_to_path(paths["ca"])
    certificate().cert_chain_pems[0].write_to_path(paths["cert"])
    certificate().private_key_pem.write_to_path(paths["key"])
    return paths


def context(*alpn: str) -> ssl.SSLContext:
    """A server's."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate().configure_cert(made)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


@dataclass
class Server:
    """What all have in common: the script, what was asked, the connections."""

    script: Script
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    resumed: list[bool] = field(default_factory=list)
    """One for each connection so far: whether it took up an earlier session."""
    requests: list[dict[str, str]] = field(default_factory=list)
    """Headers, of HTTP ones."""
    links: set[Any] = field(default_factory=set)
    cancelled: int = 0
    """Streams the client has given up."""
    most_streams: int = 0
    peer: Any = ("", 0)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def play(self, wire: bytes, transport: str) -> Any:
        asked = Asked(wire, transport, self.peer)
        self.asked.append(asked)
        return self.script(asked)

    def hang_up(self) -> None:
        """Closes every connection, as a restarting server does."""
        for link in tuple(self.links):
            link.transport.abort()


class _Link(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server = server
        self.held = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.links.add(self)
        self.server.peer = transport.get_extra_info("peername")
        secure = transport.get_extra_info("ssl_object")
        self.server.resumed.append(bool(secure and secure.session_reused))

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.links.discard(self)


class _Framed(_Link):
    """DNS over TLS."""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while len(self.held) >= 2 and len(self.held) >= 2 + int.from_bytes(self.held[:2], "big"):
            end = 2 + int.from_bytes(self.held[:2], "big")
            wire, self.held = self.held[2:end], self.held[end:]
            out = self.server.play(wire, "tls")
            if out is CLOSE:
                self.transport.close()
            elif out is not None:
                self.transport.write(len(out).to_bytes(2, "big") + out)


class _Http1(_Link):
    """DoH over HTTP/1.1; every other reply in chunks."""

    def data_received(self, data: bytes) -> None:
        self.held += data
        head, mark, body = self.held.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        size = int(headers.get("content-length", 0))
        if not mark or len(body) < size:
            return
        self.held = body[size:]
        method, path, _ = lines[0].split()
        self.server.requests.append({":method": method, ":path": path, **headers})
        out = self.server.play(body[:size] or _from_path(path), "http1")
        kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\n"
        if out is None:
            return
        if len(self.server.asked) % 2:
            self.transport.write(kind + b"content-length: %d\r\n\r\n" % len(out) + out)
        else:
            pieces = b"5\r\n" + out[:5] + b"\r\n%x\r\n" % len(out[5:]) + out[5:] + b"\r\n0\r\n\r\n"
            self.transport.write(kind + b"Transfer-Encoding: chunked\r\n\r\n" + pieces)


def _from_path(path: str) -> bytes:
    text = path.partition("dns=")[2]
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Http2(_Link):
    """DoH or gRPC over HTTP/2."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.link = h2.connection.H2Connection(config)
        self.link.initiate_connection()
        if self.server.most_streams:
            code = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            self.link.update_settings({code: self.server.most_streams})
        self.streams: dict[int, tuple[dict[str, str], bytearray]] = {}
        transport.write(self.link.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.link.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.streams[event.stream_id] = (dict(event.headers), bytearray())
            elif isinstance(event, h2.events.DataReceived):
                self.streams[event.stream_id][1].extend(event.data)
                self.link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.server.cancelled += 1
            if isinstance(event, h2.events.StreamEnded):
                self.answer(event.stream_id)
        if not self.transport.is_closing():
            self.transport.write(self.link.data_to_send())

    def answer(self, stream: int) -> None:
        headers, body = self.streams[stream]
        self.server.requests.append(headers)
        is_grpc = headers[":path"] == PATH
        wire = grpc.unpack(bytes(body)) if is_grpc else bytes(body) or _from_path(headers[":path"])
        out = self.server.play(wire, "grpc" if is_grpc else "http2")
        if out is None:
            return
        if out is CLOSE:
            self.link.close_connection()
        elif isinstance(out, int):
            self.link.send_headers(stream, [(":status", str(out))], end_stream=True)
        elif is_grpc:
            kind = [(":status", "200"), ("content-type", "application/grpc")]
            self.link.send_headers(stream, kind)
            self.send(stream, grpc.pack(out))
            self.link.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        else:
            kind = [(":status", "200"), ("content-type", "application/dns-message")]
            self.link.send_headers(stream, kind)
            self.send(stream, out)
            self.link.end_stream(stream)

    def send(self, stream: int, body: bytes) -> None:
        for at in range(0, len(body), 10_000):
            self.link.send_data(stream, body[at : at + 10_000])


@asynccontextmanager
async def _listening(
    server: Server, link: Callable[[Server], _Link], tls: ssl.SSLContext | None
) -> AsyncIterator[Server]:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: link(server), "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        server.hang_up()
        for _ in range(100):
            if server.links:
                await asyncio.sleep(0.005)


def dot(script: Script, tls: ssl.SSLContext | None = None) -> Any:
    """`async with dot(script) as server:` serves DNS over TLS."""
    return _listening(Server(script), _Framed, tls or context())


def doh(script: Script, **more: Any) -> Any:
    """DNS over HTTPS, HTTP/2."""
    return _listening(Server(script, **more), _Http2, context("h2"))


def doh1(script: Script) -> Any:
    """DNS over HTTPS, HTTP/1.1."""
    return _listening(Server(script), _Http1, context("http/1.1"))


def grpc_plain(script: Script) -> Any:
    """gRPC in the clear."""
    return _listening(Server(script), _Http2, None)


def grpc_tls(script: Script) -> Any:
    """gRPC over TLS."""
    return _listening(Server(script), _Http2, context("h2"))


@asynccontextmanager
async def doq(script: Script, folder: Path) -> AsyncIterator[Server]:
    """DNS over QUIC; a script that gives `bytes` has them framed, a tuple is sent as it is."""
    from aioquic.asyncio import QuicConnectionProtocol, serve  # noqa: PLC0415  # an extra
    from aioquic.quic import events  # noqa: PLC0415
    from aioquic.quic.configuration import QuicConfiguration  # noqa: PLC0415

    server = Server(script)
    paths = write(folder)
    configuration = QuicConfiguration(alpn_protocols=["doq"], is_client=False)
    configuration.load_cert_chain(paths["cert"], paths["key"])

    class Protocol(QuicConnectionProtocol):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self.held: dict[int, bytes] = {}

        def quic_event_received(self, event: events.QuicEvent) -> None:
            if isinstance(event, events.HandshakeCompleted):
                server.resumed.append(event.session_resumed)
                server.links.add(self)
            elif isinstance(event, events.StopSendingReceived):
                server.cancelled += 1
            elif isinstance(event, events.ConnectionTerminated):
                server.requests.append({"closed": str(event.error_code)})
                server.links.discard(self)
            elif isinstance(event, events.StreamDataReceived):
                held = self.held[event.stream_id] = self.held.get(event.stream_id, b"") + event.data
                if event.end_stream:
                    assert int.from_bytes(held[:2], "big") == len(held) - 2
                    self.answer(event.stream_id, server.play(held[2:], "quic"))

        def answer(self, stream: int, out: Any) -> None:
            if out is None:
                return
            if out is CLOSE:
                self.close()
            else:
                framed = out[0] if isinstance(out, tuple) else len(out).to_bytes(2, "big") + out
                self._quic.send_stream_data(stream, framed, end_stream=True)
            self.transmit()

    tickets: dict[bytes, Any] = {}
    listener = await serve(
        "127.0.0.1",
        0,
        configuration=configuration,
        create_protocol=Protocol,
        session_ticket_fetcher=tickets.get,
        session_ticket_handler=lambda ticket: tickets.__setitem__(ticket.ticket, ticket),
    )
    server.port = listener._transport.get_extra_info("sockname")[1]
    try:
        yield server
    finally:
        for link in tuple(server.links):
            link.close()
        listener.close()
        await asyncio.sleep(0.01)
