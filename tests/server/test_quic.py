"""DNS over QUIC and HTTP/3 on real sockets: streams, bounds, time, certificates."""

import asyncio
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import pytest

pytest.importorskip("aioquic", reason="the extra kdns[quic] is not installed")

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived, StreamReset

from tests.certificates import Authority
from tests.serving import Serving
from tests.waiting import PATIENCE_S, until
from tests.wire.test_proxied import DATAGRAM, binary

COREFILE = """{scheme}://.:0 {{
 bind 127.0.0.1
 tls {files}
 {more}
 acl {{
  block net 192.0.2.0/24
 }}
 hosts {{
  10.0.0.1 a.example
 }}
}}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def corefile(authority: Authority, more: str = "", scheme: str = "quic") -> str:
    files = " ".join(map(str, authority.issue()))
    return COREFILE.format(scheme=scheme, files=files, more=more)


def framed(name: str = "a.example", id_: int = 0) -> bytes:
    wire = dns.message.make_query(name, "A", id=id_).to_wire()
    return len(wire).to_bytes(2, "big") + wire


class Asker(QuicConnectionProtocol):
    """A client, stream by stream."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)
        self.replies: dict[int, asyncio.Future[bytes | int]] = {}
        self.parts: dict[int, bytes] = {}
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.http: H3Connection | None = None
        self.statuses: dict[int, str] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            if not self.ended.done():
                self.ended.set_result(event.error_code)
            for one in self.replies.values():
                if not one.done():
                    one.set_result(-event.error_code - 1000)
        elif isinstance(event, StreamReset) and event.stream_id in self.replies:
            self.replies[event.stream_id].set_result(event.error_code)
        elif self.http is not None:
            for one in self.http.handle_event(event):
                self.read(one)
        elif isinstance(event, StreamDataReceived):
            self.take(event.stream_id, event.data, event.end_stream)

    def read(self, event: object) -> None:
        if isinstance(event, HeadersReceived):
            self.statuses[event.stream_id] = dict(event.headers)[b":status"].decode()
            self.take(event.stream_id, b"", event.stream_ended)
        elif isinstance(event, DataReceived):
            self.take(event.stream_id, event.data, event.stream_ended)

    def take(self, stream: int, octets: bytes, is_over: bool) -> None:
        self.parts[stream] = self.parts.get(stream, b"") + octets
        if is_over and stream in self.replies:
            self.replies[stream].set_result(self.parts[stream])

    def say(self, octets: bytes, *, ends: bool = True) -> int:
        stream = self._quic.get_next_available_stream_id()
        self.replies[stream] = asyncio.get_running_loop().create_future()
        self._quic.send_stream_data(stream, octets, end_stream=ends)
        self.transmit()
        return stream

    async def reply(self, stream: int) -> bytes | int:
        return await asyncio.wait_for(self.replies[stream], PATIENCE_S)

    async def code(self, octets: bytes) -> str:
        found = await self.reply(self.say(octets))
        assert isinstance(found, bytes), found
        assert int.from_bytes(found[:2], "big") == len(found) - 2
        return dns.rcode.to_text(dns.message.from_wire(found[2:]).rcode())

    def post(self, body: bytes, path: str = "/dns-query", *, ends: bool = True) -> int:
        if self.http is None:
            self.http = H3Connection(self._quic)
        stream = self._quic.get_next_available_stream_id()
        self.replies[stream] = asyncio.get_running_loop().create_future()
        fields = {":method": "POST", ":scheme": "https", ":authority": "x", ":path": path}
        fields["content-type"] = "application/dns-message"
        self.http.send_headers(stream, [(k.encode(), v.encode()) for k, v in fields.items()])
        self.http.send_data(stream, body, end_stream=ends)
        self.transmit()
        return stream


@asynccontextmanager
async def asking(serving: Serving, authority: Authority, alpn: str = "doq"):
    configuration = QuicConfiguration(alpn_protocols=[alpn], server_name="localhost")
    configuration.load_verify_locations(str(authority.file))
    port = serving.port("quic" if alpn == "doq" else "https3")
    async with connect(
        "127.0.0.1", port, configuration=configuration, create_protocol=Asker
    ) as asker:
        yield asker


async def test_streams_are_answered(authority: Authority) -> None:
    async with Serving(corefile(authority)) as serving, asking(serving, authority) as asker:
        found = await asyncio.gather(*(asker.code(framed()) for _ in range(300)))
        assert set(found) == {"NOERROR"}
        assert serving.count("coredns_dns_quic_responses_total") == 300


async def test_octets_in_any_pieces(authority: Authority) -> None:
    async with Serving(corefile(authority)) as serving, asking(serving, authority) as asker:
        octets = framed()
        stream = asker.say(octets[:1], ends=False)
        for at in range(1, len(octets)):
            asker._quic.send_stream_data(
                stream, octets[at : at + 1], end_stream=at == len(octets) - 1
            )
            asker.transmit()
            await asyncio.sleep(0)
        assert isinstance(await asker.reply(stream), bytes)


@pytest.mark.parametrize(
    "octets",
    [framed(id_=5), framed()[:-1], framed() + b"x", b"\0\0", b"", b"\0\x03abc"],
    ids=["id", "short", "long", "empty", "nothing", "no message"],
)
async def test_what_breaks_the_rules_closes_the_connection(
    authority: Authority, octets: bytes
) -> None:
    async with Serving(corefile(authority)) as serving, asking(serving, authority) as asker:
        asker.say(octets)
        assert await asyncio.wait_for(asker.ended, PATIENCE_S) == 2


async def test_an_update_is_refused_alone(authority: Authority) -> None:
    async with Serving(corefile(authority)) as serving, asking(serving, authority) as asker:
        update = bytearray(framed())
        update[4] = 0x28
        assert await asker.reply(asker.say(bytes(update))) == 2
        assert await asker.code(framed()) == "NOERROR"


async def test_slow_streams_are_abandoned_alone(authority: Authority) -> None:
    """A slowloris: it costs its own streams, and nobody else anything."""
    async with Serving(corefile(authority)) as serving, asking(serving, authority) as asker:
        slow = [asker.say(framed()[: 1 + at % 20], ends=False) for at in range(50)]
        assert await asker.code(framed()) == "NOERROR"
        [listener] = serving.service._listeners.values()
        [part] = listener._parts
        now = part.clock()
        part.clock = lambda: now + 3.1
        part._sweep()
        assert [await asker.reply(one) for one in slow] == [1] * 50
        assert await asker.code(framed()) == "NOERROR"
        assert serving.count("coredns_dns_quic_responses_total") == 52


async def test_more_streams_than_allowed_are_refused(authority: Authority) -> None:
    text = corefile(authority, "quic {\n max_streams 3\n }")
    async with Serving(text) as serving, asking(serving, authority) as asker:
        open_ = [asker.say(framed()[:5], ends=False) for _ in range(3)]
        assert await asker.reply(asker.say(framed())) == 4
        for one in open_:
            asker._quic.send_stream_data(one, framed()[5:], end_stream=True)
        asker.transmit()
        for one in open_:
            assert isinstance(await asker.reply(one), bytes)
        assert await asker.code(framed()) == "NOERROR"


@pytest.mark.parametrize("scheme", ["quic", "https3"])
async def test_who_wants_no_replies_has_no_more_asked_than_others(
    authority: Authority, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Streams that are stopped or reset at once leave their queries under way, and bounded."""
    text = corefile(
        authority,
        f"{scheme} {{\n max_streams 3\n }}\n erratic {{\n delay 1 300ms\n drop 0\n}}",
        scheme,
    ).replace("hosts {\n  10.0.0.1 a.example\n }\n", "")
    alpn = "doq" if scheme == "quic" else "h3"
    async with Serving(text) as serving, asking(serving, authority, alpn) as asker:
        make = asker.say if scheme == "quic" else asker.post
        (place,) = serving.service._listeners.values()
        (listener,) = place._parts
        seen = []
        for at in range(12):
            stream = make(framed(f"n{at}.example")[2 * (scheme != "quic") :])
            asker._quic.stop_stream(stream, 0)
            asker._quic._streams[stream].sender.reset(0)
            asker.transmit()
            for _ in range(3):
                await asyncio.sleep(0.005)
                seen.append(listener.underway + len(listener._waiting))
        assert 1 <= max(seen) <= 3
        await until(lambda: not listener.underway)
        await until(lambda: not any(one.underway for one in listener.connections))
    assert not [one for one in caplog.records if one.exc_info]


async def test_octets_that_make_no_query_close_the_connection(authority: Authority) -> None:
    async with Serving(corefile(authority)) as serving, asking(serving, authority) as asker:
        for _ in range(5):
            asker.say(b"\xff\xff" + bytes(60_000), ends=False)
        assert await asyncio.wait_for(asker.ended, PATIENCE_S) == 4


async def test_connections_beyond_the_bound_are_closed(authority: Authority) -> None:
    text = corefile(authority, "quic {\n max_connections 2\n }")
    async with (
        Serving(text) as serving,
        asking(serving, authority) as one,
        asking(serving, authority) as two,
    ):
        assert await one.code(framed()) == "NOERROR"
        with pytest.raises(ConnectionError):
            await asking(serving, authority).__aenter__()
        assert await two.code(framed()) == "NOERROR"


async def test_queries_beyond_the_pool_wait(authority: Authority) -> None:
    text = corefile(
        authority, "quic {\n worker_pool_size 1\n }\n erratic {\n delay 1 20ms\n drop 0\n}"
    )
    text = text.replace("hosts {\n  10.0.0.1 a.example\n }\n", "")
    async with Serving(text) as serving, asking(serving, authority) as asker:
        found = await asyncio.gather(*(asker.code(framed("x.example")) for _ in range(4)))
        assert set(found) == {"NOERROR"}


async def test_a_new_certificate_is_for_new_connections(authority: Authority) -> None:
    async with Serving(corefile(authority)) as serving, asking(serving, authority) as asker:
        assert await asker.code(framed()) == "NOERROR"
        first = asker._quic.tls._peer_certificate.serial_number
        authority.issue()
        [plugin] = [one for one in serving.service.assembly.plugins if one.name == "tls"]
        plugin.keyring.look()
        async with asking(serving, authority) as other:
            assert await other.code(framed()) == "NOERROR"
            assert other._quic.tls._peer_certificate.serial_number != first
        assert await asker.code(framed()) == "NOERROR"


async def test_a_reload_leaves_connections(authority: Authority) -> None:
    text = corefile(authority)
    async with Serving(text) as serving, asking(serving, authority) as asker:
        assert await asker.code(framed("b.example")) != "NOERROR"
        assert await serving.reload(text.replace("a.example", "b.example"))
        assert await asker.code(framed("b.example")) == "NOERROR"


async def test_what_is_no_quic_is_passed_over(authority: Authority) -> None:
    async with Serving(corefile(authority)) as serving:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", serving.port("quic"))
        )
        for octets in (b"", b"x", bytes(1200), b"\xc0" + bytes(1300), framed()):
            transport.sendto(octets)
        async with asking(serving, authority) as asker:
            assert await asker.code(framed()) == "NOERROR"
        transport.close()


# HTTP/3


def message() -> bytes:
    return framed()[2:]


async def test_requests_are_answered_over_http3(authority: Authority) -> None:
    async with (
        Serving(corefile(authority, scheme="https3")) as serving,
        asking(serving, authority, "h3") as asker,
    ):
        streams = [asker.post(message()) for _ in range(20)]
        for one in streams:
            body = await asker.reply(one)
            assert dns.message.from_wire(body).answer[0][0].address == "10.0.0.1"
            assert asker.statuses[one] == "200"
        wrong = {asker.post(message(), "/x"): "404", asker.post(b"x"): "400"}
        wrong[asker.post(bytes(65_000), ends=False)] = "413"
        long = max(wrong)
        asker.http.send_data(long, bytes(10_000), end_stream=True)
        asker.transmit()
        for one, expected in wrong.items():
            await asker.reply(one)
            assert asker.statuses[one] == expected
        assert serving.count("coredns_dns_https3_responses_total") == 23


async def test_slow_requests_over_http3_are_abandoned_alone(authority: Authority) -> None:
    async with (
        Serving(corefile(authority, scheme="https3")) as serving,
        asking(serving, authority, "h3") as asker,
    ):
        slow = asker.post(message()[:5], ends=False)
        assert isinstance(await asker.reply(asker.post(message())), bytes)
        [listener] = serving.service._listeners.values()
        [part] = listener._parts
        now = part.clock()
        part.clock = lambda: now + 3.1
        part._sweep()
        assert await asker.reply(slow) == 0x10C
        assert isinstance(await asker.reply(asker.post(message())), bytes)


# Behind a proxy


class Proxy(asyncio.DatagramProtocol):
    """Passes packets on, each behind a header; what comes back goes to who asked last."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.peer: object = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[1] == self.port:
            self.transport.sendto(data, self.peer)
        else:
            self.peer = addr
            self.transport.sendto(binary(kind=DATAGRAM) + data, ("127.0.0.1", self.port))


async def test_the_client_a_proxy_names_is_judged(authority: Authority) -> None:
    async with Serving(corefile(authority, "proxyproto")) as serving:
        async with asking(serving, authority) as asker:
            assert await asker.code(framed()) == "NOERROR"
        real = serving.port("quic")
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Proxy(real), local_addr=("127.0.0.1", 0)
        )
        serving.port = lambda _scheme: transport.get_extra_info("sockname")[1]
        async with asking(serving, authority) as asker:
            assert await asker.code(framed()) == "REFUSED"
        transport.close()


async def test_kdig_over_quic(authority: Authority) -> None:
    if shutil.which("kdig") is None:
        pytest.skip("kdig is not installed")
    async with Serving(corefile(authority)) as serving:
        command = [
            "kdig",
            f"+tls-ca={authority.file}",
            "+tls-hostname=localhost",
            "+short",
        ]
        command += ["+quic", "-p", str(serving.port("quic")), "@127.0.0.1", "a.example"]
        said = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=PATIENCE_S
        )
        if "support for QUIC not available" in said.stderr + said.stdout:
            pytest.skip("this kdig cannot speak QUIC")
        assert "10.0.0.1" in said.stdout
