"""Relays from sockets of the machine: every byte both ways, ends as ends, breaks as breaks."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
import uvloop

from kdns.lab.ground import relay
from kdns.lab.ground.base import Ground, Transport

HERE = "127.0.0.1"
Play = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


class Plain:
    """A ground without anything to it: what is inside listens on this machine."""

    def __init__(self) -> None:
        self.sources: list[str] = []

    def outgoing(self, address: str, transport: Transport, *, source: str = "") -> socket.socket:
        self.sources.append(source)
        kind = socket.SOCK_STREAM if transport == "TCP" else socket.SOCK_DGRAM
        made = socket.socket(socket.AF_INET, kind)
        made.setblocking(False)
        return made

    def target(self, address: str, port: int) -> tuple[str, int]:
        return address, port


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Play:
    """Runs a scene on one of the two loops."""

    def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(scene(), 60))

    return run


def bound(kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.bind((HERE, 0))
    made.setblocking(False)
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


@asynccontextmanager
async def carried(
    kind: socket.SocketKind, port: int, *, ground: Plain | None = None, is_open: bool = False
) -> AsyncIterator[int]:
    """A relay to a port; gives its own."""
    outside = bound(kind)
    at = outside.getsockname()[1]
    target = relay.Target(cast("Ground", ground or Plain()), HERE, port, is_open)
    task = asyncio.create_task(relay.carry(outside, target))
    try:
        yield at
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert outside.fileno() == -1, "it closes what it was given"


@asynccontextmanager
async def serving(answer: Callable[..., Coroutine[Any, Any, None]]) -> AsyncIterator[int]:
    """A TCP server; gives its port. What it serves is over at the end."""
    running: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.ensure_future(answer(reader, writer)))

    server = await asyncio.start_server(begin, HERE, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only when all has been said."""
    writer.write(await reader.read())
    writer.close()


def test_a_half_closed_connection_still_gets_its_answer(play: Play) -> None:
    async def scene() -> None:
        async with serving(echo) as inner, carried(socket.SOCK_STREAM, inner) as port:
            reader, writer = await asyncio.open_connection(HERE, port)
            said = bytes(range(256)) * 4096
            writer.write(said)
            writer.write_eof()
            assert await reader.read() == said
            writer.close()

    play(scene)


def test_who_speaks_first_may_be_the_server(play: Play) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async def scene() -> None:
        async with serving(greet) as inner, carried(socket.SOCK_STREAM, inner) as port:
            reader, writer = await asyncio.open_connection(HERE, port)
            assert await reader.read() == b"hello"
            writer.close()

    play(scene)


def test_a_slow_reader_slows_the_sender_down(play: Play) -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(65536))
            sent.append(65536)
            await writer.drain()

    sent: list[int] = []

    async def scene() -> None:
        async with serving(flood) as inner, carried(socket.SOCK_STREAM, inner) as port:
            made = socket.create_connection((HERE, port))  # which is never read from
            before = -1
            while len(sent) != before:
                before = len(sent)
                await asyncio.sleep(0.1)
            assert sum(sent) < 32 << 20
            made.close()

    play(scene)


def test_what_refuses_is_a_reset(play: Play) -> None:
    async def scene() -> None:
        with socket.socket() as closed:
            closed.bind((HERE, 0))  # nobody else has it, and it does not listen
            async with carried(socket.SOCK_STREAM, closed.getsockname()[1]) as port:
                reader, writer = await asyncio.open_connection(HERE, port)
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                writer.close()

    play(scene)


def test_a_reset_is_passed_on(play: Play) -> None:
    async def scene() -> None:
        with bound(socket.SOCK_STREAM) as inner:
            async with carried(socket.SOCK_STREAM, inner.getsockname()[1]) as port:
                loop = asyncio.get_running_loop()
                reader, writer = await asyncio.open_connection(HERE, port)
                writer.write(b"x")
                accepted, _ = await loop.sock_accept(inner)
                await loop.sock_recv(accepted, 1)
                relay.reset(accepted)
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                writer.close()

    play(scene)


def test_connections_beyond_the_limit_wait(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST_CONNECTIONS", 1)

    async def scene() -> None:
        async with serving(echo) as inner, carried(socket.SOCK_STREAM, inner) as port:
            _, first = await asyncio.open_connection(HERE, port)
            reader, second = await asyncio.open_connection(HERE, port)
            second.write(b"second")
            second.write_eof()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.1)
            first.close()
            assert await reader.read() == b"second"
            second.close()

    play(scene)


def test_the_target_sees_the_asker_where_the_relay_is_open(play: Play) -> None:
    ground = Plain()

    async def scene() -> None:
        async with (
            serving(echo) as inner,
            carried(socket.SOCK_STREAM, inner, ground=ground, is_open=True) as port,
        ):
            reader, writer = await asyncio.open_connection(HERE, port)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()

    play(scene)
    assert ground.sources == [HERE]


# UDP


class Mirror(asyncio.DatagramProtocol):
    """Sends back what comes, and notes from where."""

    def __init__(self) -> None:
        self.askers: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.askers.append(addr)
        self.transport.sendto(data, addr)


@asynccontextmanager
async def mirrored() -> AsyncIterator[tuple[int, Mirror]]:
    loop = asyncio.get_running_loop()
    transport, mirror = await loop.create_datagram_endpoint(Mirror, (HERE, 0))
    yield transport.get_extra_info("sockname")[1], mirror
    transport.close()


async def asked(made: socket.socket, port: int, packet: bytes, within_s: float = 20) -> bytes:
    loop = asyncio.get_running_loop()
    made.sendto(packet, (HERE, port))
    return await asyncio.wait_for(loop.sock_recv(made, 65535), within_s)


def test_each_asker_gets_its_own_datagrams_back(play: Play) -> None:
    async def scene() -> None:
        async with mirrored() as (inner, mirror), carried(socket.SOCK_DGRAM, inner) as port:
            with bound(socket.SOCK_DGRAM) as one, bound(socket.SOCK_DGRAM) as other:
                for size in (1, 12, 512, 4096, 60_000):
                    assert await asked(one, port, b"1" * size) == b"1" * size
                    assert await asked(other, port, b"2" * size) == b"2" * size
            assert len(set(mirror.askers)) == 2, "each keeps its way"

    play(scene)


def test_the_longest_silent_of_too_many_is_forgotten(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MOST_ASKERS", 2)

    async def scene() -> None:
        async with mirrored() as (inner, mirror), carried(socket.SOCK_DGRAM, inner) as port:
            askers = [bound(socket.SOCK_DGRAM) for _ in range(3)]
            for one in (0, 1, 0, 2, 0, 1):
                assert await asked(askers[one], port, b"x") == b"x"
            ways = mirror.askers
            assert ways[0] == ways[2] == ways[4], "it was never silent for long"
            assert ways[1] != ways[5]
            for made in askers:
                made.close()

    play(scene)


def test_a_silent_asker_is_forgotten(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "IDLE_S", 0.04)

    async def scene() -> None:
        async with mirrored() as (inner, mirror), carried(socket.SOCK_DGRAM, inner) as port:
            with bound(socket.SOCK_DGRAM) as made:
                while len(set(mirror.askers)) < 2:
                    with suppress(TimeoutError):  # it may be forgotten before its answer is here
                        assert await asked(made, port, b"x", 0.5) == b"x"
                    await asyncio.sleep(0.06)

    play(scene)


async def heard(made: socket.socket, send: Callable[[], object]) -> bytes:
    """What comes at last: one that meets the refusal of the one before is lost."""
    while True:
        send()
        with suppress(TimeoutError):
            coming = asyncio.get_running_loop().sock_recv(made, 10)
            return await asyncio.wait_for(coming, 0.5)


def test_datagrams_to_nobody_do_not_end_it(play: Play) -> None:
    async def scene() -> None:
        with bound(socket.SOCK_DGRAM) as gone:
            at = gone.getsockname()
        async with carried(socket.SOCK_DGRAM, at[1]) as port:
            with bound(socket.SOCK_DGRAM) as made:
                for _ in range(3):
                    made.sendto(b"x", (HERE, port))
                    await asyncio.sleep(0.01)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
                    back.setblocking(False)
                    back.bind(at)
                    assert (
                        await heard(back, lambda: made.sendto(b"again", (HERE, port))) == b"again"
                    )

    play(scene)
