"""Connections to the API server: which are kept, who is woken when, what a proxy is told."""

import asyncio
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
import uvloop

from kdns.cluster.api import client as client_module
from kdns.cluster.api import watcher
from kdns.cluster.api.client import MOST, Client, Peer
from kdns.cluster.api.relay import Prompt, Relay
from tests.cluster.following import following, until
from tests.cluster.scripted_api import ScriptedApi, namespace, service

ASK = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def server(serve):
    """A server of one's own, and the client to ask it with."""
    writers = []

    async def run(reader, writer):
        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)

    made = await asyncio.start_server(run, "127.0.0.1", 0)
    client = Client(Relay())
    try:
        yield Peer("127.0.0.1", made.sockets[0].getsockname()[1], None), client, writers
    finally:
        client.close()
        made.close()
        for writer in writers:
            writer.transport.abort()
        await made.wait_closed()


async def _answer_all(reader, writer):
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)


async def _ask(client: Client, peer: Peer) -> bytes:
    connection = await client.get(peer, ASK)
    body = await connection.read(5)
    client.done(connection, peer)
    return body


async def test_a_connection_is_used_again():
    async with server(_answer_all) as (peer, client, writers):
        assert [await _ask(client, peer) for _ in range(3)] == [b"ok"] * 3
        assert len(writers) == 1


async def test_one_that_the_server_closed_meanwhile_is_no_failure():
    async def once(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()  # as if the request had crossed the end of the connection

    async with server(once) as (peer, client, writers):
        assert [await _ask(client, peer) for _ in range(2)] == [b"ok"] * 2
        assert len(writers) == 2


async def test_one_that_nobody_needs_is_closed(monkeypatch):
    monkeypatch.setattr(client_module, "KEPT_S", 0.01)
    async with server(_answer_all) as (peer, client, writers):
        await _ask(client, peer)
        await asyncio.sleep(0.03)
        assert await _ask(client, peer) == b"ok"
        assert len(writers) == 2


async def test_more_than_somebody_reads_stays_with_the_system():
    size = 64 * MOST

    async def much(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(bytes(size))
        await writer.drain()

    async with server(much) as (peer, client, _):
        connection = await client.get(peer, ASK)

        def held() -> int:
            return sum(map(len, connection.reply.pieces))

        await until(lambda: held() > MOST)
        await asyncio.sleep(0.05)
        assert MOST < held() < size / 4
        total = 0
        while piece := await connection.read(5):
            total += len(piece)
        assert total == size
        client.done(connection, peer)


async def test_a_proxy_is_asked_for_the_way_and_told_who_we_are():
    heads = []

    async def proxy(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 No\r\n\r\n")

    async with server(proxy) as (at, client, _):
        url = urlsplit(f"http://me:a%20word@127.0.0.1:{at.port}")
        peer = Peer("api", 6443, client_module.Context(16), proxy=url)
        with pytest.raises(OSError, match="the proxy answered 403"):
            await client.get(peer, ASK)
    assert heads[0].startswith(b"CONNECT api:6443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6YSB3b3Jk\r\n" in heads[0]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_waits_goes_on_within_the_same_turn(new_loop):
    async def run():
        relay, order, first, second = Relay(), [], Prompt(), Prompt()

        async def one():
            await first
            order.append("first")
            relay.wake(second)
            order.append("first still")

        async def other():
            await second
            order.append("second")

        tasks = [asyncio.create_task(one()), asyncio.create_task(other())]
        await asyncio.sleep(0)
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def come():
            loop.call_soon(order.append, "a turn later")
            relay.wake(first)
            order.append("received")
            loop.call_soon(done.set)

        loop.call_soon(come)
        await done.wait()
        await asyncio.gather(*tasks)
        assert order == ["first", "first still", "second", "received", "a turn later"]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())


async def test_a_task_that_waits_can_be_cancelled():
    relay, prompt = Relay(), Prompt()

    async def wait():
        await prompt

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    relay.wake(prompt)
    with pytest.raises(asyncio.CancelledError):
        await task
    relay.wake(prompt)  # too late, and no error


async def test_events_that_come_in_a_row_gather(monkeypatch):
    monkeypatch.setattr(watcher, "GATHER_S", 0.5)
    gathered = []

    async def gather(self, seconds):
        gathered.append(len(seen.services))
        await real(self, seconds)

    real = client_module.Connection.gather
    monkeypatch.setattr(client_module.Connection, "gather", gather)
    async with ScriptedApi() as api:
        api.put("namespaces", namespace("default"))
        async with following(api.url) as seen:
            for at in range(40):
                api.put("services", service(f"s{at}"))
                await asyncio.sleep(0.001)
            await until(lambda: len(seen.services) == 40)
            assert gathered[0] >= watcher.FEW - 1  # the end of the list was the first
            assert len(gathered) < 10
            await asyncio.sleep(0.7)
            before = len(gathered)
            api.put("services", service("alone"))
            await until(lambda: "default/alone" in seen.services)
            assert len(gathered) == before
