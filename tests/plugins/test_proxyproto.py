"""proxyproto: who is believed, over every transport, and that the client named is the one judged."""

import asyncio
import socket
import ssl
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from kdns.plugins.base import Client
from tests.certificates import Authority
from tests.running import free_port
from tests.serving import Serving, mistakes
from tests.waiting import until
from tests.wire.test_proxied import DATAGRAM, STREAM, binary

V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 53\r\n"
COREFILE = """{scheme}.:0 {{
 bind 127.0.0.1
 proxyproto {{
{options}
 }}
 {more}
 acl {{
  block net 192.0.2.0/24
 }}
 hosts {{
  10.0.0.1 a.example
 }}
}}
"""
REFUSED, NOERROR, NOTHING = "REFUSED", "NOERROR", ""


def corefile(options: str = "", scheme: str = "", more: str = "") -> str:
    return COREFILE.format(options=options, scheme=scheme, more=more)


def question(name: str = "a.example") -> bytes:
    return dns.message.make_query(name, "A", id=0).to_wire()


def code(reply: bytes) -> str:
    return dns.rcode.to_text(dns.message.from_wire(reply).rcode()) if reply else NOTHING


def patience_s(expected: str) -> float:
    """How long to wait for what is expected: long for what comes, not for what never does."""
    return 0.3 if expected == NOTHING else 40


async def over_tcp(
    port: int, header: bytes, context: ssl.SSLContext | None = None, *, expected: str = REFUSED
) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(header)
    if context is not None:
        await writer.start_tls(context, server_hostname="localhost")
    packet = question()
    writer.write(len(packet).to_bytes(2, "big") + packet)
    try:
        async with asyncio.timeout(patience_s(expected)):
            size = int.from_bytes(await reader.readexactly(2), "big")
            return code(await reader.readexactly(size))
    except (OSError, EOFError, TimeoutError):
        return NOTHING
    finally:
        writer.transport.abort()


class Datagrams:
    """A UDP client, from one port."""

    def __init__(self, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setblocking(False)

    async def ask(self, header: bytes, *, expected: str = REFUSED) -> str:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.sock, header + question())
        try:
            async with asyncio.timeout(patience_s(expected)):
                return code(await loop.sock_recv(self.sock, 4096))
        except TimeoutError:
            return NOTHING


@pytest.mark.parametrize(
    ("options", "bare", "headed", "local"),
    [
        ("", NOERROR, REFUSED, NOERROR),
        ("allow", NOERROR, REFUSED, NOERROR),
        ("allow 127.0.0.0/8 ::1/128", NOERROR, REFUSED, NOERROR),
        ("allow 10.0.0.0/8", NOERROR, NOERROR, NOERROR),
        ("allow 10.0.0.0/8\ndefault use", NOERROR, REFUSED, NOERROR),
        ("default IGNORE", NOERROR, NOERROR, NOERROR),
        ("default reject", NOERROR, NOTHING, NOTHING),
        ("allow 10.0.0.0/8\ndefault reject", NOERROR, NOTHING, NOTHING),
        ("default skip", NOERROR, NOTHING, NOTHING),
    ],
)
async def test_who_is_believed(options: str, bare: str, headed: str, local: str) -> None:
    async with Serving(corefile(options)) as serving:
        port = serving.port()
        cases = ((b"", bare), (V1, headed), (binary(), headed), (binary(command=0), local))
        found = await asyncio.gather(
            *(over_tcp(port, header, expected=said) for header, said in cases)
        )
        assert found == [expected for _, expected in cases]
        if options == "default skip":
            return  # a header is then a message that is no query
        client = Datagrams(port)
        assert await client.ask(b"") == bare
        for header, said in (
            (binary(kind=DATAGRAM), headed),
            (binary(kind=DATAGRAM, command=0), local),
            (V1, NOTHING),
            (binary(kind=STREAM), NOTHING),
        ):
            assert await client.ask(header, expected=said) == said
        client.sock.close()


@pytest.mark.parametrize("order", [1, -1])
async def test_an_answer_that_is_remembered_is_for_who_may_have_it(order: int) -> None:
    good = binary(b"\x0a\0\0\1", kind=DATAGRAM)
    bad = binary(kind=DATAGRAM)
    async with Serving(corefile(), None) as serving:
        client = Datagrams(serving.port())
        for _ in range(4):
            for header, expected in [(good, NOERROR), (bad, REFUSED)][::order]:
                assert await client.ask(header) == expected
        client.sock.close()


async def test_a_header_comes_before_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue()
    text = corefile(scheme="tls://", more=f"tls {certificate} {key}")
    async with Serving(text) as serving:
        port, context = serving.port("tls"), authority.client()
        assert await over_tcp(port, b"", context) == NOERROR
        assert await over_tcp(port, binary(), context) == REFUSED
        assert await over_tcp(port, V1, context) == REFUSED


async def test_a_header_comes_before_http() -> None:
    async with Serving(corefile(scheme="https://")) as serving:
        for header, expected in ((b"", NOERROR), (binary(), REFUSED)):
            reader, writer = await asyncio.open_connection("127.0.0.1", serving.port("https"))
            head = (
                "POST /dns-query HTTP/1.1\r\nconnection: close\r\ncontent-type:"
                f" application/dns-message\r\ncontent-length: {len(question())}\r\n\r\n"
            )
            writer.write(header + head.encode() + question())
            body = (await reader.read()).partition(b"\r\n\r\n")[2]
            assert code(body) == expected
            writer.close()


async def test_a_header_counts_for_later_datagrams_of_its_sender() -> None:
    text = corefile("udp_session_tracking 30s 2")
    async with Serving(text) as serving:
        one, two, three = (Datagrams(serving.port()) for _ in range(3))
        assert await one.ask(binary(kind=DATAGRAM)) == REFUSED
        assert await one.ask(b"") == REFUSED
        assert await two.ask(b"") == NOERROR
        assert await two.ask(binary(kind=DATAGRAM)) == REFUSED
        assert await three.ask(binary(kind=DATAGRAM)) == REFUSED
        assert await one.ask(b"") == NOERROR  # two more were remembered: no room for the oldest
        assert await two.ask(b"") == REFUSED
        for each in (one, two, three):
            each.sock.close()


async def test_a_session_ends_with_its_time() -> None:
    async with Serving(corefile("udp_session_tracking 50ms")) as serving:
        client = Datagrams(serving.port())
        assert await client.ask(binary(kind=DATAGRAM)) == REFUSED
        await asyncio.sleep(0.06)
        assert await client.ask(b"") == NOERROR
        client.sock.close()


async def test_a_reload_brings_and_takes_it_without_a_lost_query() -> None:
    port = free_port()
    proxied = corefile().replace(".:0", f".:{port}")
    texts = [proxied, proxied.replace(" proxyproto {\n\n }\n", "")]
    assert "proxyproto" not in texts[1]
    async with Serving(texts[1]) as serving:
        lost = asked = 0
        is_over = False

        async def load() -> None:
            nonlocal lost, asked
            while not is_over:
                query = dns.message.make_query("a.example", "A")
                try:
                    await dns.asyncquery.udp(query, "127.0.0.1", 40, port)
                except dns.exception.Timeout:
                    lost += 1
                asked += 1

        loads = [asyncio.create_task(load()) for _ in range(4)]
        for at in range(4):
            assert await serving.reload(texts[at % 2])
            client = Datagrams(serving.port())
            if at % 2 == 0:
                assert await client.ask(binary(kind=DATAGRAM)) == REFUSED
            assert await client.ask(b"") == NOERROR
            client.sock.close()
            await until(lambda at=at: asked > 10 * at)
        is_over = True
        await asyncio.gather(*loads)
        assert not lost


async def test_tlvs_are_offered_as_metadata() -> None:
    text = corefile("tlv_metadata", more="metadata\n log . {/proxyproto/tlv}\n")
    async with Serving(text) as serving:
        client = Datagrams(serving.port())
        assert await client.ask(binary(kind=DATAGRAM, tlvs=b"\x04\x00\x01x")) == REFUSED
        client.sock.close()
        [plugin] = [one for one in serving.service.assembly.plugins if one.name == "proxyproto"]
        assert plugin.site.beside["metadata"]


async def test_slow_headers_are_closed_and_others_served() -> None:
    async with Serving(corefile()) as serving:
        [listener] = serving.service._listeners.values()
        streams = listener._parts[1]
        slow = [await asyncio.open_connection("127.0.0.1", serving.port()) for _ in range(20)]
        for at, (_, writer) in enumerate(slow):
            writer.write(V1[: at % 8])
        assert await over_tcp(serving.port(), V1) == REFUSED
        assert len(streams.connections) >= 20
        now = streams.clock() + streams.terms.read_s
        streams.clock = lambda: now
        streams._sweep()
        for reader, writer in slow:
            assert await reader.read() == b""
            writer.close()


def test_a_client_says_what_carries_him() -> None:
    said = {name: Client(b"", 1, name).protocol for name in ("udp", "tcp", "tls", "https", "quic")}
    assert said == {"udp": "udp", "tcp": "tcp", "tls": "tcp", "https": "tcp", "quic": "udp"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("allow 127.0.0.1", "an address block such as 10.0.0.0/8"),
        ("allow x/8", "an address block"),
        ("default require", "use, ignore, reject or skip"),
        ("default", "use, ignore, reject or skip"),
        ("default use ignore", "unexpected 'ignore'"),
        ("udp_session_tracking", "a duration"),
        ("udp_session_tracking 30", "a duration"),
        ("udp_session_tracking 30s 0", "at least 1"),
        ("udp_session_tracking 30s 1 2", "unexpected '2'"),
        ("tlv_metadata x", "unexpected 'x'"),
        ("bogus", "unknown option"),
    ],
)
def test_what_is_wrong_is_said(options: str, why: str) -> None:
    [error] = mistakes(corefile(options))
    assert why in error
