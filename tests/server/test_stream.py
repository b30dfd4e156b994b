"""The TCP transport on real sockets: framing, pipelining, half-close, bounds and time."""

import asyncio
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

import dns.message
import pytest

from kdns.server.sockets import BACKLOG, open_pair
from kdns.server.streams import accepting, turns
from kdns.server.streams import stream as stream_module
from kdns.server.streams.stream import Connection, TcpListener
from kdns.server.terms import Terms
from tests.stubs import Told, Waits, World, addresses
from tests.waiting import until


def frame(name: str = "web.shop", id_: int = 1) -> bytes:
    query = dns.message.make_query(name, "A")
    query.id = id_
    wire = query.to_wire()
    return len(wire).to_bytes(2, "big") + wire


async def message(reader: asyncio.StreamReader) -> dns.message.Message:
    size = int.from_bytes(await reader.readexactly(2), "big")
    return dns.message.from_wire(await reader.readexactly(size))


class Served:
    """A TcpListener of a World, and connections to it."""

    def __init__(self, world: World, host: str = "127.0.0.1", **terms: object) -> None:
        self.world = world
        self.host = host
        self.terms = Terms(**terms)

    async def __aenter__(self) -> "Served":
        datagram, sock = open_pair(self.host, 0)
        datagram.close()
        self.port = sock.getsockname()[1]
        self.listener = TcpListener(sock, self.world.with_table, self.world.clock, terms=self.terms)
        await self.listener.start()
        return self

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def accepted(self, writer: asyncio.StreamWriter) -> None:
        """Returns when the listener knows of this client."""
        name = writer.get_extra_info("sockname")
        await until(
            lambda: (
                name
                in {one.transport.get_extra_info("peername") for one in self.listener.connections}
            )
        )

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop(1)
        await asyncio.sleep(0)


def plain(count: int = 1) -> World:
    return World(Told(lambda query: addresses(query, *range(count))), whole=True)


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
async def test_bytes_in_any_pieces_give_the_same_replies(piece: int) -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        asked = b"".join(frame(f"n{at % 3}", at) for at in range(20))
        for at in range(0, len(asked), piece):
            writer.write(asked[at : at + piece])
            if piece < 4:
                await asyncio.sleep(0)
        assert [(await message(reader)).id for _ in range(20)] == list(range(20))
        writer.close()


async def test_replies_may_overtake_each_other() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True)) as served:
        reader, writer = await served.connect()
        writer.write(frame("a", 1) + frame("b", 2))
        while len(waits.gates) < 2:
            await asyncio.sleep(0.001)
        waits.gates[1].set_result(None)
        assert (await message(reader)).id == 2
        waits.open()
        assert (await message(reader)).id == 1
        writer.close()


async def test_a_large_answer_is_whole() -> None:
    async with Served(plain(250)) as served:
        reader, writer = await served.connect()
        for _ in range(4):
            writer.write(frame())
            assert len((await message(reader)).answer[0]) == 250
        writer.close()


async def test_short_and_silent_frames_leave_the_connection_open() -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        writer.write(b"\0\0" + b"\0\1x" + frame(id_=9)[:4] + b"\x81" + frame()[5:] + frame(id_=5))
        assert (await message(reader)).id == 5
        writer.close()


async def test_a_half_closed_connection_still_gets_its_answers() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True)) as served:
        reader, writer = await served.connect()
        writer.write(frame())
        writer.write_eof()
        while not waits.gates:
            await asyncio.sleep(0.001)
        waits.open()
        assert (await message(reader)).id == 1
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("sent", "lasts"),
    [
        pytest.param(b"", Terms().read_s, id="nothing said"),
        pytest.param(frame()[:7], Terms().read_s, id="half a message"),
        pytest.param(frame(), Terms().idle_s, id="idle after an answer"),
        pytest.param(frame() + b"\0", Terms().read_s, id="half a message after an answer"),
    ],
)
async def test_what_is_waited_for_too_long_is_closed(sent: bytes, lasts: float) -> None:
    world = plain()
    async with Served(world) as served:
        reader, writer = await served.connect()
        writer.write(sent)
        if len(sent) >= len(frame()):
            await message(reader)
        await until(lambda: served.listener.connections)
        [connection] = served.listener.connections
        await until(lambda: len(connection._buffer) == len(sent) % len(frame()))
        world.clock.now += lasts - 0.1
        served.listener._sweep()
        assert not connection.transport.is_closing()
        world.clock.now += 0.2
        served.listener._sweep()
        assert await reader.read() == b""
        writer.close()


async def test_a_slow_loris_cannot_keep_a_message_open() -> None:
    world = plain()
    async with Served(world) as served:
        reader, writer = await served.connect()
        await until(lambda: served.listener.connections)
        [connection] = served.listener.connections
        for at in range(6):
            writer.write(frame()[at : at + 1])
            await until(lambda at=at: len(connection._buffer) == at + 1)
            world.clock.now += 0.6
        served.listener._sweep()
        assert await reader.read() == b""
        writer.close()


async def test_at_the_bound_the_longest_idle_connection_makes_room() -> None:
    world = plain()
    async with Served(world, max_connections=3) as served:
        clients = []
        for _ in range(5):
            clients.append(await served.connect())
            await served.accepted(clients[-1][1])
            world.clock.now += 0.1
        assert len(served.listener.connections) == 3
        reader, writer = clients[-1]
        writer.write(frame())
        assert (await message(reader)).id == 1
        for _, each in clients:
            each.close()


async def test_at_the_bound_who_is_owed_an_answer_stays() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    world = World(waits, whole=True)
    async with Served(world, max_connections=3) as served:
        reader, writer = await served.connect()
        writer.write(frame())
        while not waits.gates:
            await asyncio.sleep(0.001)
        others = []
        for _ in range(8):
            others.append(await served.connect())
            await served.accepted(others[-1][1])
        assert len(served.listener.connections) == 3
        waits.open()
        assert (await message(reader)).id == 1
        # Now it has been waited for less long than the others.
        others.append(await served.connect())
        await served.accepted(others[-1][1])
        writer.write(frame(id_=2))
        while len(waits.gates) < 2:
            await asyncio.sleep(0.001)
        waits.open()
        assert (await message(reader)).id == 2
        for _, each in others:
            each.close()
        writer.close()


async def test_at_the_bound_one_makes_room_even_where_all_are_owed_an_answer() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True), max_connections=3) as served:
        clients = []
        for at in range(4):
            clients.append(await served.connect())
            clients[-1][1].write(frame(f"n{at}", at))
            while len(waits.gates) <= at:
                await asyncio.sleep(0.001)
        assert len(served.listener.connections) == 3
        waits.open()
        assert (await message(clients[3][0])).id == 3
        for _, each in clients:
            each.close()


async def test_replies_to_what_came_together_leave_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = Served(plain())
    monkeypatch.setattr(turns, "TURN_S", 60)  # however slow the machine is
    sizes: list[int] = []
    made = Connection.connection_made

    def spied(self: Connection, transport: asyncio.BaseTransport) -> None:
        made(self, transport)
        self.transport = Spy(self.transport, sizes)  # type: ignore[assignment]

    monkeypatch.setattr(Connection, "connection_made", spied)
    async with served:
        reader, writer = await served.connect()
        for _ in range(4):
            writer.write(b"".join(frame(f"n{at}", at) for at in range(50)))
            assert [(await message(reader)).id for _ in range(50)] == list(range(50))
        assert len(sizes) <= 8
        assert served.listener.pipeline.table is not None
        assert len(served.listener.pipeline.table.views) == 50
        writer.close()


class Spy:
    """A transport that notes what is written."""

    def __init__(self, transport: asyncio.Transport, sizes: list[int]) -> None:
        self._transport = transport
        self._sizes = sizes

    def write(self, octets: bytes) -> None:
        self._sizes.append(len(octets))
        self._transport.write(octets)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


async def test_no_turn_answers_more_than_a_batch() -> None:
    """Others, and timers, get their turn while one client has thousands of queries waiting."""
    told = Told(lambda query: addresses(query, 1))
    async with Served(World(told, whole=True)) as served:
        reader, writer = await served.connect()
        most, asked, running = 0, 0, True

        def watch() -> None:
            nonlocal most, asked
            most, asked = max(most, told.asked - asked), told.asked
            if running:
                asyncio.get_running_loop().call_soon(watch)

        watch()
        count = stream_module.BATCH * 4
        writer.write(b"".join(frame(f"n{at}", at) for at in range(count)))
        assert [(await message(reader)).id for _ in range(count)] == list(range(count))
        running = False
        assert 0 < most <= stream_module.BATCH
        writer.close()


async def test_large_replies_are_written_piece_by_piece() -> None:
    """A few octets of queries do not become megabytes of replies at once."""
    world = plain(2000)
    async with Served(world) as served:
        reader, writer = await served.connect()
        for _ in range(3):
            writer.write(b"".join(frame("a", at) for at in range(100)))
            most = 0
            for at in range(100):
                size = int.from_bytes(await reader.readexactly(2), "big")
                assert (await reader.readexactly(size))[:2] == at.to_bytes(2, "big")
                for connection in served.listener.connections:
                    most = max(most, connection.transport.get_write_buffer_size())
            assert most < 2 * stream_module.REPLIES_BYTES + 65537
        writer.close()


@pytest.mark.parametrize(
    ("host", "asked", "is_v6"),
    [("127.0.0.1", "127.0.0.1", 0), ("", "127.0.0.1", 0), ("", "::1", 1), ("::1", "::1", 1)],
)
async def test_hits_are_counted_with_the_family_of_the_client(
    host: str, asked: str, is_v6: int
) -> None:
    world = plain()
    async with Served(world, host) as served:
        for _ in range(2):
            reader, writer = await asyncio.open_connection(asked, served.port)
            for id_ in range(5):
                writer.write(frame("a", id_))
                assert (await message(reader)).id == id_
            writer.close()
    [view] = world.table.pending
    assert view.hits
    assert view.hits_v6 == view.hits * is_v6


async def test_clients_that_reset_at_once_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with Served(plain()) as served:
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", served.port)) as rude:
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reader, writer = await served.connect()
        writer.write(frame())
        assert (await message(reader)).id == 1
        writer.close()
    assert not caplog.records


async def test_queries_under_way_are_bounded_and_none_is_lost() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True)) as served:
        reader, writer = await served.connect()
        count = stream_module.MAX_UNDERWAY * 3
        writer.write(b"".join(frame(f"n{at}", at) for at in range(count)))
        while len(waits.gates) < stream_module.MAX_UNDERWAY:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert len(waits.gates) == stream_module.MAX_UNDERWAY
        done = asyncio.ensure_future(all_of(reader, count))
        while not done.done():  # what follows begins in a later turn
            waits.open()
            await asyncio.sleep(0.001)
        assert sorted(await done) == list(range(count))
        writer.close()


async def test_stop_answers_what_was_taken() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    served = Served(World(waits, whole=True))
    await served.__aenter__()
    reader, writer = await served.connect()
    writer.write(frame())
    while not waits.gates:
        await asyncio.sleep(0.001)
    stopping = asyncio.ensure_future(served.listener.stop(20))
    await asyncio.sleep(0.01)
    assert not stopping.done()
    waits.open()
    assert (await message(reader)).id == 1
    await stopping
    assert await reader.read() == b""
    writer.close()


async def test_the_queue_of_new_connections_is_as_long_as_it_was_made() -> None:
    async with Served(plain()) as served:
        info = served.listener.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        most = int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
        assert struct.unpack_from("=I", info, 28)[0] == min(BACKLOG, most)


async def test_stop_answers_what_waits_for_a_slow_reader() -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    served = Served(plain(100))
    await served.__aenter__()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    writer.write(b"".join(frame(f"n{at}", at) for at in range(4000)))
    while not (served.listener.connections and next(iter(served.listener.connections))._is_full):
        await asyncio.sleep(0.001)
    stopping = asyncio.ensure_future(served.listener.stop(60))
    await asyncio.sleep(0.01)
    for at in range(4000):
        size = int.from_bytes(await reader.readexactly(2), "big")
        assert (await reader.readexactly(size))[:2] == at.to_bytes(2, "big")
    assert await reader.read() == b""
    await stopping
    writer.close()
    await asyncio.sleep(0.01)
    assert not failures


async def test_connections_that_nobody_has_accepted_yet_are_answered_at_the_stop() -> None:
    async with Served(plain()) as served:
        socks = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(30)]
        for id_, sock in enumerate(socks):
            sock.sendall(frame("a", id_))
        await served.listener.stop(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.port))
        for id_, sock in enumerate(socks):
            with sock, sock.makefile("rb") as file:
                sock.settimeout(20)
                size = int.from_bytes(file.read(2), "big")
                assert dns.message.from_wire(file.read(size)).id == id_
                assert file.read() == b""


@pytest.mark.parametrize("turns", range(20))
async def test_who_comes_at_the_very_end_is_not_left_waiting(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "LAST_READ_S", 0)
    async with Served(plain()) as served:
        stopping = asyncio.ensure_future(served.listener.stop(1))
        for _ in range(turns):
            await asyncio.sleep(0)
        with socket.socket() as late, suppress(ConnectionError):
            late.connect(("127.0.0.1", served.port))
            late.setblocking(False)
            await stopping
            async with asyncio.timeout(20):
                assert await asyncio.get_running_loop().sock_recv(late, 1) == b""
        await stopping


async def test_what_was_just_sent_on_an_open_connection_is_answered_at_the_stop() -> None:
    async with Served(plain()) as served:
        reader, writer = await served.connect()
        writer.write(frame("a", 1))
        assert (await message(reader)).id == 1
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as sock:
            sock.send(frame("a", 2))
        await served.listener.stop(1)
        assert (await message(reader)).id == 2
        assert await reader.read() == b""
        writer.close()


async def test_after_the_last_query_it_may_ask_a_connection_is_closed() -> None:
    async with Served(plain(), max_queries=3) as served:
        reader, writer = await served.connect()
        writer.write(b"".join(frame(f"n{at}", at) for at in range(3)))
        assert [(await message(reader)).id for _ in range(3)] == [0, 1, 2]
        assert await reader.read() == b""
        writer.close()


async def test_what_comes_beyond_the_last_query_is_not_asked() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True), max_queries=2) as served:
        reader, writer = await served.connect()
        writer.write(b"".join(frame(f"n{at}", at) for at in range(5)))
        while len(waits.gates) < 2:
            await asyncio.sleep(0.001)
        writer.write(frame("late", 9))
        await asyncio.sleep(0.01)  # it may come
        waits.open()
        assert {(await message(reader)).id for _ in range(2)} == {0, 1}
        assert len(waits.gates) == 2
        writer.close()


async def test_queries_under_way_of_all_connections_have_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "MAX_UNDERWAY", 20)
    waits = Waits(lambda query: addresses(query, 1))
    async with Served(World(waits, whole=True)) as served:
        clients = [await served.connect() for _ in range(4)]
        for at, (_, writer) in enumerate(clients):
            writer.write(b"".join(frame(f"n{at}-{n}", n) for n in range(15)))
        while len(waits.gates) < 20:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        # The last batch is answered whole, unless the turn of the loop is over before.
        assert 20 <= served.listener.underway == len(waits.gates) <= 30
        done = asyncio.gather(*(all_of(reader, 15) for reader, _ in clients))
        while not done.done():
            waits.open()
            await asyncio.sleep(0.001)
        assert [sorted(one) for one in await done] == [list(range(15))] * 4
        assert served.listener.underway == 0
        for _, writer in clients:
            writer.close()


async def all_of(reader: asyncio.StreamReader, count: int) -> list[int]:
    return [(await message(reader)).id for _ in range(count)]
