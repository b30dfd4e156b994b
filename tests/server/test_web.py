"""DNS over HTTPS on real sockets: both versions of HTTP, what is refused, bounds and time."""

import asyncio
import base64
import shutil
import subprocess
import time
from collections import OrderedDict
from pathlib import Path

import dns.message
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    TrailersReceived,
)
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.server.sockets import open_stream
from kdns.server.streams import accepting
from kdns.server.streams.accepting import StreamListener
from kdns.server.streams.turns import Turns
from kdns.server.terms import Terms
from kdns.server.web import http2
from kdns.server.web.web import Web
from kdns.server.web.webservices import Doh, Grpc
from kdns.wire import http2 as frames_
from tests.certificates import Authority
from tests.server.test_stream import plain
from tests.serving import Serving
from tests.stubs import Waits, World, addresses
from tests.waiting import PATIENCE_S, until

TYPE = "application/dns-message"
GONE = (EOFError, ConnectionError, RuntimeError)
"""What a client meets whose connection was closed; RuntimeError is how uvloop says it."""


def question(name: str = "a.example", flags: int | None = None) -> bytes:
    query = dns.message.make_query(name, "A", id=0)
    wire = bytearray(query.to_wire())
    if flags is not None:
        wire[2:4] = flags.to_bytes(2, "big")
    return bytes(wire)


def target(packet: bytes) -> str:
    return "/dns-query?dns=" + base64.urlsafe_b64encode(packet).rstrip(b"=").decode()


class Served:
    """A listener for HTTP in the clear, of a World."""

    def __init__(self, world: World, service: Doh | Grpc | None = None, **terms: object) -> None:
        self.world = world
        self.service = service or Doh("https")
        self.terms = Terms(**{"max_connections": 200, "max_streams": 250, "label": "x", **terms})

    async def __aenter__(self) -> "Served":
        sock = open_stream("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        self.listener = StreamListener(
            sock,
            self.world.with_table,
            self.world.clock,
            lambda listener: Web(listener, self.service),
            transport=self.service.transport,
            terms=self.terms,
        )
        await self.listener.start()
        return self

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def later(self, seconds: float) -> None:
        """So much time passes, and the listener looks."""
        self.world.clock.now += seconds
        self.listener._sweep()

    def closed(self, cause: str) -> float:
        return self.world.counters.values["kdns_connections_closed_total", cause]

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop(0.3)
        await asyncio.sleep(0)


async def response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = head.split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if line)
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return int(lines[0].split(" ")[1]), fields, body


def post(body: bytes, *fields: str, method: str = "POST", type_: str = TYPE) -> bytes:
    lines = [f"{method} /dns-query HTTP/1.1", "host: x", f"content-type: {type_}"]
    lines += [f"content-length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def get(where: str, *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {where} HTTP/1.1", "host: x", *fields, "", "")).encode()


# What is asked, over HTTP/1.1


@pytest.mark.parametrize("piece", [1, 7, 10_000])
async def test_requests_in_any_pieces_are_answered_in_order(piece: int) -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        chunked = b"5\r\n" + question()[:5] + b"\r\n%x;a=b\r\n" % (len(question()) - 5)
        chunked += question()[5:] + b"\r\n0\r\n\r\n"
        head = post(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
        asked = post(question()) + get(target(question())) + head + chunked
        asked += get("/nowhere") + post(question())
        for at in range(0, len(asked), piece):
            writer.write(asked[at : at + piece])
            if piece < 10:
                await asyncio.sleep(0)
        for expected in (200, 200, 200, 404, 200):
            status, fields, body = await response(reader)
            assert status == expected
            if status == 200:
                assert dns.message.from_wire(body).answer
                assert fields["content-type"] == TYPE
                assert fields["cache-control"] == "max-age=5"
        writer.close()


REFUSED = {
    "no query": (get("/dns-query"), 400),
    "two": (get(target(question()) + "&dns=AAAA"), 400),
    "padded": (get(target(question()) + "=="), 400),
    "not base64url": (get("/dns-query?dns=!!"), 400),
    "short": (get(target(b"\0" * 11)), 400),
    "update": (get(target(question(flags=0x2800))), 400),
    "an update in a body": (post(question(flags=0x2800)), 400),
    "a response": (get(target(question(flags=0x8000))), 400),
    "path": (get("/dns-query/?dns=AAAA"), 404),
    "other path": (get("/"), 404),
    "method": (post(question(), method="PUT"), 405),
    "type": (post(question(), type_="text/plain"), 415),
    "long": (post(bytes(65536)), 413),
    "long chunks": (
        b"POST /dns-query HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n10000\r\n",
        413,
    ),
    "long head": (get("/dns-query?dns=" + "A" * 17_000), 431),
    "no http": (b"hello\r\n\r\n", 400),
    "another http": (b"GET / HTTP/3.0\r\n\r\n", 505),
    "a bad field": (get("/", "a b: c"), 400),
    "a folded field": (get("/", "a: b", " c"), 400),
    "two lengths": (post(question(), "content-length: 3"), 400),
    "a length and chunks": (post(question(), "transfer-encoding: chunked"), 400),
    "another coding": (get("/", "transfer-encoding: gzip, chunked"), 400),
    "a bad length": (get("/", "content-length: +5"), 400),
    "a field with another end": (get("/", "a: b\ncontent-length: 5"), 400),
    "a field with half an end": (get("/", "a: b\rc"), 400),
    "a target with an end": (get("/dns-query\n"), 400),
    "chunks of the old": (
        b"POST /dns-query HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a chunk with another end": (
        get("/dns-query", "transfer-encoding: chunked") + b"5;\nx\r\n12345\r\n0\r\n\r\n",
        400,
    ),
    "a bad chunk": (get("/dns-query", "transfer-encoding: chunked") + b"x\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_query_is_refused(name: str) -> None:
    octets, expected = REFUSED[name]
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        writer.write(octets)
        status, fields, _ = await response(reader)
        assert status == expected
        if status == 405:
            assert fields["allow"] == "GET, POST"
        name = "coredns_dns_https_responses_total"
        assert served.world.counters.values[name, "x", str(expected)] == 1
        writer.close()


async def test_head_has_no_body() -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        writer.write(get(target(question()), method="HEAD") + post(question()))
        assert [(await response(reader))[0] for _ in range(2)] == [405, 200]
        writer.close()


async def test_who_asks_first_whether_to_send_is_told() -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        whole = post(question(), "expect: 100-continue")
        writer.write(whole[: -len(question())])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(question())
        assert (await response(reader))[0] == 200
        writer.close()


@pytest.mark.parametrize(
    "octets",
    [post(question(), "connection: close"), post(question()).replace(b"HTTP/1.1", b"HTTP/1.0")],
)
async def test_a_connection_ends_where_the_client_says_so(octets: bytes) -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        writer.write(octets + octets)
        status, fields, _ = await response(reader)
        assert (status, fields["connection"]) == (200, "close")
        assert await reader.read() == b""
        writer.close()


# Time and bounds, for both versions


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    "octets", [b"", b"P", b"POST /dns-query HT", post(question())[:-3], PREFACE[:9], PREFACE]
)
async def test_slow_requests_are_closed_and_others_served(octets: bytes) -> None:
    world = plain()
    async with Served(world, max_connections=60) as served:
        slow = [await served.connect() for _ in range(50)]
        for _, writer in slow:
            writer.write(octets)
        reader, writer = await served.connect()
        writer.write(post(question()))
        assert (await response(reader))[0] == 200
        assert len(served.listener.connections) == 51
        for _ in range(2):
            served.later(5.5 if octets == PREFACE else 1.6)
            await asyncio.sleep(0)
        for idler, _ in slow:
            await asyncio.wait_for(idler.read(), PATIENCE_S)
        assert served.closed("time") >= 50
        for _, one in [*slow, (reader, writer)]:
            one.close()


async def test_a_slow_reader_of_many_replies_is_not_read_for() -> None:
    async with Served(plain(1000)) as served:
        reader, writer = await served.connect()
        transport = writer.transport
        transport.pause_reading()
        asked = post(question()) * 500
        writer.write(asked)
        await until(lambda: served.listener.connections)
        for _ in range(50):
            await asyncio.sleep(0.002)
        [connection] = served.listener.connections
        assert connection.transport.get_write_buffer_size() < 1 << 18
        transport.resume_reading()
        for _ in range(500):
            assert (await response(reader))[0] == 200
        writer.close()


async def test_an_idle_connection_stays_for_a_while() -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        writer.write(post(question()))
        await response(reader)
        served.later(served.terms.idle_s - 1)
        writer.write(post(question()))
        assert (await response(reader))[0] == 200
        served.later(served.terms.idle_s)
        assert await reader.read() == b""
        writer.close()


async def test_a_stop_answers_what_is_under_way() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True)) as served:
        reader, writer = await served.connect()
        client = await H2.connect(served)
        writer.write(post(question("one.example")))
        client.ask(question("two.example"))
        while len(waits.gates) < 2:
            await asyncio.sleep(0.001)
        stopping = asyncio.create_task(served.listener.stop(20))
        while not all(one.is_closing for one in served.listener.connections):
            await asyncio.sleep(0.001)
        waits.open()
        status, fields, _ = await response(reader)
        assert (status, fields["connection"]) == (200, "close")
        assert await client.status(1) == "200"
        await client.until(ConnectionTerminated)
        await stopping
        writer.close()
        client.writer.close()


# HTTP/2


class H2:
    """A client, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.events: list[Event] = []
        self.h2.initiate_connection()
        self.flush()

    @classmethod
    async def connect(cls, served: Served) -> "H2":
        return cls(*await served.connect())

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(
        self, body: bytes, *, path: str = "/dns-query", type_: str = TYPE, ends: bool = True
    ) -> int:
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", "POST"), (":path", path), (":scheme", "https"), (":authority", "x")]
        self.h2.send_headers(stream, [*fields, ("content-type", type_)])
        self.h2.send_data(stream, body, end_stream=ends)
        self.flush()
        return stream

    async def until(self, kind: type[Event], stream: int | None = None) -> Event:
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream in {None, getattr(event, "stream_id", None)}:
                    self.events.remove(event)
                    return event
            octets = await asyncio.wait_for(self.reader.read(65536), PATIENCE_S)
            if not octets:
                raise EOFError
            for event in self.h2.receive_data(octets):
                if isinstance(event, DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.events.append(event)
            self.flush()

    async def status(self, stream: int) -> str:
        event = await self.until(ResponseReceived, stream)
        return dict(event.headers)[":status"]

    async def body(self, stream: int) -> bytes:
        await self.until(StreamEnded, stream)
        found = [one for one in self.events if isinstance(one, DataReceived)]
        return b"".join(one.data for one in found if one.stream_id == stream)


async def test_streams_are_answered_as_they_are_ready() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True)) as served:
        client = await H2.connect(served)
        one, two = client.ask(question("a")), client.ask(question("b"))
        while len(waits.gates) < 2:
            await asyncio.sleep(0.001)
        waits.gates[1].set_result(None)
        assert await client.status(two) == "200"
        waits.open()
        assert dns.message.from_wire(await client.body(one)).answer
        client.writer.close()


async def test_large_replies_go_as_there_is_room() -> None:
    async with Served(plain(3500)) as served:
        client = await H2.connect(served)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
        client.flush()
        streams = [client.ask(question(f"n{at}")) for at in range(4)]
        for stream in streams:
            await client.until(ResponseReceived, stream)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
        client.flush()
        for stream in streams:
            assert len(dns.message.from_wire(await client.body(stream)).answer[0]) == 3500
        client.writer.close()


async def test_replies_that_nobody_makes_room_for_end_the_connection() -> None:
    async with Served(plain(3500)) as served:
        client = await H2.connect(served)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.flush()
        with pytest.raises(GONE):  # noqa: PT012
            for at in range(60):
                client.ask(question(f"n{at}"))
                await client.status(2 * at + 1)
        assert served.closed("unread") == 1
        client.writer.close()


async def test_a_few_of_them_wait_no_longer_than_others() -> None:
    async with Served(plain()) as served:
        client = await H2.connect(served)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.flush()
        stream = client.ask(question())
        await client.status(stream)
        served.later(served.terms.read_s)
        with pytest.raises(GONE):
            await client.until(StreamEnded)
        client.writer.close()


async def test_rapid_resets_end_the_connection() -> None:
    """CVE-2023-44487: streams opened to be reset; others are served meanwhile."""
    told = Waits(lambda query: addresses(query, 1))
    async with Served(World(told, whole=True), max_streams=10) as served:
        client = await H2.connect(served)
        with pytest.raises(GONE):  # noqa: PT012
            for at in range(http2.RESETS * 3):
                stream = client.ask(question(f"n{at}"))
                client.h2.reset_stream(stream)
                client.flush()
                if at % 20 == 0:
                    await asyncio.sleep(0.005)
            while True:
                event = await client.until(ConnectionTerminated)
                assert event.error_code == ErrorCodes.ENHANCE_YOUR_CALM
        assert served.closed("resets") == 1
        told.open()
        client.writer.close()


async def test_who_resets_now_and_then_stays() -> None:
    async with Served(plain()) as served:
        client = await H2.connect(served)
        for at in range(http2.RESETS + 50):
            stream = client.ask(question(f"n{at}"))
            assert await client.status(stream) == "200"
            if at % 3 == 0:
                stream = client.ask(b"", ends=False)
                client.h2.reset_stream(stream)
                client.flush()
        client.writer.close()


async def test_more_streams_than_allowed_are_refused() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True), max_streams=3) as served:
        client = await H2.connect(served)
        for at in range(3):
            client.ask(question(f"n{at}"))
        while len(waits.gates) < 3:
            await asyncio.sleep(0.001)
        client.ask(question("n4"))
        await client.until(ConnectionTerminated)
        assert len(waits.gates) == 3
        waits.open()
        client.writer.close()


@pytest.mark.parametrize(
    ("body", "path", "type_", "expected"),
    [
        (question(), "/x", TYPE, "404"),
        (question(), "/dns-query", "text/plain", "415"),
        (b"x", "/dns-query", TYPE, "400"),
    ],
)
async def test_refusals_leave_the_connection(
    body: bytes, path: str, type_: str, expected: str
) -> None:
    async with Served(plain()) as served:
        client = await H2.connect(served)
        assert await client.status(client.ask(body, path=path, type_=type_)) == expected
        assert await client.status(client.ask(question())) == "200"
        client.writer.close()


async def test_bodies_that_are_too_long_are_refused_alone() -> None:
    async with Served(plain()) as served:
        client = await H2.connect(served)
        await client.until(RemoteSettingsChanged)
        for _ in range(6):  # more than the window of the connection
            stream = client.ask(b"", ends=False)
            for _ in range(5):
                client.h2.send_data(stream, bytes(16_384))
            client.flush()
            assert await client.status(stream) == "413"
        assert await client.status(client.ask(question())) == "200"
        client.writer.close()


async def test_what_is_no_frame_ends_the_connection() -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        writer.write(PREFACE + b"\xff" * 50)
        await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert not served.listener.connections
        writer.close()


async def test_queries_under_way_of_all_connections_have_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "MAX_UNDERWAY", 5)
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True)) as served:
        one, two = await H2.connect(served), await H2.connect(served)
        asked = [one.ask(question(f"a{at}")) for at in range(5)]
        while len(waits.gates) < 5:
            await asyncio.sleep(0.001)
        assert await two.status(two.ask(question("b"))) == "503"
        waits.open()
        for stream in asked:
            assert await one.status(stream) == "200"
        stream = two.ask(question("c"))
        await until(lambda: len(waits.gates) == 6)
        waits.open()
        assert await two.status(stream) == "200"
        for client in (one, two):
            client.writer.close()


# gRPC


CALL = "/coredns.dns.DnsService/Query"


def packed(message: bytes) -> bytes:
    assert len(message) < 128
    body = b"\x0a" + bytes((len(message),)) + message
    return b"\0" + len(body).to_bytes(4, "big") + body


async def test_a_call_is_answered() -> None:
    async with Served(plain(), Grpc()) as served:
        client = await H2.connect(served)
        for type_ in ("application/grpc", "application/grpc+proto"):
            stream = client.ask(packed(question()), path=CALL, type_=type_)
            trailers = dict((await client.until(TrailersReceived, stream)).headers)
            assert trailers["grpc-status"] == "0"
            body = await client.body(stream)
            assert (body[0], int.from_bytes(body[1:5], "big")) == (0, len(body) - 5)
            assert body[5] == 0x0A
            assert dns.message.from_wire(body[7:] if body[6] < 128 else body[8:]).answer
        client.writer.close()


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        (packed(question()), "/other.Service/Query", "12"),
        (b"\x01" + packed(question())[1:], CALL, "12"),
        (packed(question())[:-1], CALL, "12"),
        (packed(b"short"), CALL, "3"),
        (packed(question(flags=0x2800)), CALL, "3"),
        (b"\0\0\0\0\x02\x0a\xff", CALL, "3"),
        (packed(question(flags=0x8000)), CALL, "13"),
    ],
)
async def test_a_call_that_is_none_says_why(body: bytes, path: str, expected: str) -> None:
    async with Served(plain(), Grpc()) as served:
        client = await H2.connect(served)
        stream = client.ask(body, path=path, type_="application/grpc")
        fields = dict((await client.until(ResponseReceived, stream)).headers)
        assert (fields[":status"], fields["grpc-status"]) == ("200", expected)
        client.writer.close()


# Real clients


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


CLIENTS = {
    "kdig": "kdig +https +tls-ca={ca} +tls-hostname=localhost +short -p {port} @127.0.0.1 a.example",
    "kdig-get": "kdig +https-get +tls-ca={ca} +tls-hostname=localhost +short -p {port} @127.0.0.1 a.example",
    "dig": "dig +https +tls-ca={ca} +tls-hostname=localhost +short -p {port} @127.0.0.1 a.example",
    "dig-get": "dig +https-get +tls-ca={ca} +tls-hostname=localhost +short -p {port} @127.0.0.1 a.example",
    "curl": "curl -sv --http2 --cacert {ca} https://localhost:{port}{target} -o {ca}.out",
    "curl-1": "curl -sv --http1.1 --cacert {ca} https://localhost:{port}{target} -o {ca}.out",
    "curl-doh": "curl -sv --doh-url https://localhost:{port}/dns-query --cacert {ca}"
    " http://a.example:1/ --connect-timeout 20",
}


@pytest.mark.parametrize("name", CLIENTS)
async def test_real_clients(authority: Authority, name: str) -> None:
    tool = name.partition("-")[0]
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    certificate, key = authority.issue()
    text = f"https://.:0 {{\n bind 127.0.0.1\n tls {certificate} {key}\n hosts {{\n  127.0.0.1 a.example\n }}\n}}\n"
    async with Serving(text) as serving:
        where = {"ca": authority.file, "port": serving.port("https"), "target": target(question())}
        command = CLIENTS[name].format(**where).split()
        said = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=PATIENCE_S
        )
        expected = {
            "curl": "HTTP/2 200",
            "curl-1": "HTTP/1.1 200 OK",
            "curl-doh": "127.0.0.1:1",
        }.get(name, "127.0.0.1")
        assert expected in said.stdout + said.stderr
        assert serving.count("coredns_dns_https_responses_total") >= 1


# Anything at all


class Paper:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_over = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    def write(self, octets: bytes) -> None:
        self.written += octets

    def is_closing(self) -> bool:
        return self.is_over

    def close(self) -> None:
        self.is_over = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def can_write_eof(self) -> bool:
        return True


def frames() -> st.SearchStrategy[bytes]:
    """Frames of HTTP/2, mostly well-formed ones, in any order."""
    made = st.builds(
        lambda kind, flags, stream, body: (
            len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body
        ),
        st.integers(0, 10),
        st.integers(0, 255),
        st.integers(0, 7),
        st.one_of(st.binary(max_size=40), st.just(b"\x83\x86\x84\x41\x01x")),
    )
    return st.lists(made, max_size=12).map(
        lambda all_: PREFACE + b"\0\0\0\4\0\0\0\0\0" + b"".join(all_)
    )


def on_paper(service: Doh | Grpc, world: World) -> Web:
    """A connection of no listener, for octets that a test brings."""
    listener = StreamListener.__new__(StreamListener)
    listener.__dict__.update(
        pipeline=world.with_table, clock=world.clock, terms=Terms(), connections=OrderedDict(),
        transport="https", heard_at=0.0, underway=0, held={}, _emptied=None, _surplus=[],
        turns=Turns(),
    )  # fmt: skip
    web = Web(listener, service)
    web.connection_made(Paper())
    return web


WORDS = [
    b"GET ",
    b"POST ",
    b"/dns-query",
    b"?dns=",
    b" HTTP/1.1\r\n",
    b"content-length: ",
    b"5",
    b"\r\n",
    b"\r\n\r\n",
]


FLOODS = {
    "settings": frames_.PREFACE + frames_.frame(4, 0, 0) * 20_000,
    "pings": frames_.PREFACE + frames_.frame(4, 0, 0) + frames_.frame(6, 0, 0, bytes(8)) * 20_000,
    "chunks": f"POST /dns-query HTTP/1.1\r\ncontent-type: {TYPE}\r\n".encode()
    + b"transfer-encoding: chunked\r\n\r\n"
    + b"1\r\nx\r\n" * 40_000,
    "requests": get("/none") * 5_000,
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_on_few_connections_lets_others_have_their_turns(name: str) -> None:
    """However much one connection sends at once: the loop comes round after a little of it."""
    longest = []
    while min(longest, default=1) >= 0.03 and len(longest) < 5:  # others share the machine
        longest.append(await longest_turn(FLOODS[name]))
    assert min(longest) < 0.03


async def longest_turn(flood: bytes) -> float:
    """The most CPU between two turns of the loop while several connections send this."""
    async with Served(plain()) as served:
        flooding = [await served.connect() for _ in range(4)]
        for _, writer in flooding:
            writer.write(flood)
        longest, before = 0.0, time.thread_time()
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now
        for _, writer in flooding:
            writer.transport.abort()
    return longest


@settings(max_examples=300, deadline=None)
@given(
    octets=st.one_of(
        st.binary(max_size=80), st.lists(st.sampled_from(WORDS)).map(b"".join), frames()
    ),
    piece=st.integers(1, 60),
    service=st.sampled_from([Doh("https"), Grpc()]),
)
def test_nothing_that_comes_makes_it_fail(octets: bytes, piece: int, service: Doh | Grpc) -> None:
    async def feed() -> Web:
        web = on_paper(service, plain())
        for at in range(0, len(octets), piece):
            web.data_received(octets[at : at + piece])
        web.eof_received()
        return web

    assert asyncio.run(feed()).underway >= 0
