"""TLS in front of TCP: pieces, half-closed connections, slow handshakes, bounds."""

import asyncio
import os
import socket
import ssl
from pathlib import Path

import dns.message
import pytest

from kdns.plugins.tls import Keyring, Keys
from kdns.server.sockets import open_stream
from kdns.server.streams import secured
from kdns.server.streams.stream import TcpListener
from kdns.server.terms import Terms
from tests.certificates import Authority
from tests.server.test_stream import frame, message, plain
from tests.stubs import Waits, World, addresses
from tests.waiting import until


class Secure:
    """A listener for DNS over TLS of a World."""

    def __init__(self, world: World, authority: Authority, **terms: object) -> None:
        self.world = world
        self.authority = authority
        keyring = Keyring(Keys(*map(str, authority.issue())))
        keyring.load()
        self.terms = Terms(keyring, **terms)

    async def __aenter__(self) -> "Secure":
        sock = open_stream("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        self.listener = TcpListener(
            sock, self.world.with_table, self.world.clock, transport="tls", terms=self.terms
        )
        await self.listener.start()
        return self

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self.authority.client(alpn=("dot",))
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname="localhost"
        )

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop(0.5)
        await asyncio.sleep(0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_many_queries_and_large_answers_come_whole(authority: Authority) -> None:
    async with Secure(plain(500), authority) as served:
        reader, writer = await served.connect()
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "dot"
        writer.write(b"".join(frame(f"n{at % 5}", at) for at in range(50)))
        for at in range(50):
            found = await message(reader)
            assert (found.id, len(found.answer[0])) == (at, 500)
        writer.close()


async def test_bytes_one_by_one(authority: Authority) -> None:
    """As it is fed, so it is read: the handshake and the records in pieces of one octet."""
    async with Secure(plain(), authority) as served:
        context = authority.client()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)

        async def until(step):
            while True:
                try:
                    found = step()
                except ssl.SSLWantReadError:
                    found = None
                for octet in outgoing.read():
                    writer.write(bytes((octet,)))
                    await asyncio.sleep(0)
                if found is not None:
                    return found
                incoming.write(await asyncio.wait_for(reader.read(1), 40))

        await until(lambda: tls.do_handshake() or True)
        await until(lambda: tls.write(frame(id_=7)))
        octets = b""
        while len(octets) < 2 or len(octets) < 2 + int.from_bytes(octets[:2], "big"):
            octets += await until(lambda: tls.read(100))
        assert dns.message.from_wire(octets[2:]).id == 7
        writer.close()


async def test_who_says_no_more_is_still_answered(authority: Authority) -> None:
    """Over a half-closed TCP connection, below TLS."""
    waits = Waits(lambda query: addresses(query, 1))
    async with Secure(World(waits, whole=True), authority) as served:
        reader, writer = await served.connect()
        writer.write(frame(id_=3))
        while not waits.gates:
            await asyncio.sleep(0.001)
        sock = writer.get_extra_info("socket")
        with socket.socket(fileno=os.dup(sock.fileno())) as same:
            same.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.01)
        waits.open()
        assert (await message(reader)).id == 3
        assert await reader.read() == b""
        writer.transport.abort()


async def test_slow_handshakes_are_closed_and_others_served(authority: Authority) -> None:
    """A slowloris: thousands of octets of memory at most, and no turn for anybody else lost."""
    world = plain()
    async with Secure(world, authority, max_connections=60) as served:
        idlers = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(50)]
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        for at, (_, writer) in enumerate(idlers):
            writer.write(hello[: 1 + at % len(hello)])
        reader, writer = await served.connect()
        writer.write(frame(id_=9))
        assert (await message(reader)).id == 9
        assert len(served.listener.connections) == 51
        world.clock.now += served.terms.read_s
        served.listener._sweep()
        for idler, _ in idlers:
            assert await idler.read() == b""
        assert len(served.listener.connections) == 1
        writer.write(frame(id_=10))
        assert (await message(reader)).id == 10
        for _, one in [*idlers, (reader, writer)]:
            one.close()


async def test_at_the_bound_a_slow_handshake_makes_room(authority: Authority) -> None:
    world = plain()
    async with Secure(world, authority, max_connections=3) as served:
        idlers = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(9)]
        bounds = world.counters.values
        await until(lambda: bounds.get(("kdns_connections_closed_total", "bound")) == 6)
        assert len(served.listener.connections) == 3
        reader, writer = await served.connect()
        writer.write(frame())
        assert (await message(reader)).id == 1
        for _, one in [*idlers, (reader, writer)]:
            one.close()


async def test_what_is_no_tls_is_closed(authority: Authority) -> None:
    async with Secure(plain(), authority) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 10)
        assert await reader.read() in {
            b"",
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"\x15\x03\x01\x00\x02\x02\x50",
        }
        writer.close()
        assert served.world.counters.values["kdns_tls_failures_total", ""] == 1
        assert not served.listener.connections


async def test_a_stop_answers_what_is_under_way(authority: Authority) -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Secure(World(waits, whole=True), authority) as served:
        reader, writer = await served.connect()
        writer.write(frame(id_=4))
        while not waits.gates:
            await asyncio.sleep(0.001)
        stopping = asyncio.create_task(served.listener.stop(20))
        await asyncio.sleep(0.05)
        waits.open()
        assert (await message(reader)).id == 4
        assert await reader.read() == b""
        await stopping
        writer.close()


async def test_handshakes_under_way_have_a_bound(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secured, "MAX_SHAKING", 10)
    async with Secure(plain(), authority) as served:
        slow = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(30)]
        for _, writer in slow[:25]:
            writer.write(b"\x16\x03\x01")
        counted = served.world.counters.values
        await until(lambda: counted.get(("kdns_connections_closed_total", "bound")) == 15)
        await until(lambda: len(served.listener.shaking) == 10)
        reader, writer = await served.connect()
        writer.write(frame(id_=2))
        assert (await message(reader)).id == 2
        assert len(served.listener.shaking) == 9
        for _, one in [*slow, (reader, writer)]:
            one.close()
    assert not served.listener.shaking
