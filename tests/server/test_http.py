"""The HTTP server on real sockets: what it answers, and what no client can make it do."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress

import pytest

from kdns.plugins.base import Endpoint, HttpReply
from kdns.server import http
from kdns.server.http import HttpListener, Offer
from kdns.server.sockets import StartError
from tests.waiting import until

BIG = bytes(range(256)) * 65536


async def ok(query: Mapping[str, str]) -> HttpReply:
    return HttpReply(body=b"OK" + query.get("more", "").encode())


async def big(_query: Mapping[str, str]) -> HttpReply:
    return HttpReply(body=BIG, type="application/octet-stream")


async def fails(_query: Mapping[str, str]) -> HttpReply:
    raise RuntimeError("no figures")


class Site:
    """A listener with a few endpoints, from entry to exit."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        routes = {
            path: Endpoint(host, 0, path, serve)
            for path, serve in (("/ok", ok), ("/big", big), ("/fails", fails))
        }
        self.listener = HttpListener((host, 0), Offer("health", routes))

    async def __aenter__(self) -> "Site":
        await self.listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop(0.2)

    async def open(
        self, host: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, self.listener.port)

    async def said(self, sent: bytes, host: str = "127.0.0.1") -> bytes:
        """All that comes back for these bytes until the server closes."""
        reader, writer = await self.open(host)
        writer.write(sent)
        try:
            return await reader.read()
        finally:
            writer.close()


def get(target: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


LAST = "Connection: close"


async def test_a_request_gets_its_reply() -> None:
    async with Site() as site:
        assert await site.said(get("/ok?more=%21", LAST)) == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 3\r\nConnection: close\r\n\r\nOK!"
        )


@pytest.mark.parametrize("asked", ["127.0.0.1", "::1"])
async def test_no_host_is_every_address_of_both_families(asked: str) -> None:
    async with Site("") as site:
        assert (await site.said(get("/ok", LAST), asked)).endswith(b"\r\n\r\nOK")


async def test_head_has_no_body_and_the_length_of_one() -> None:
    async with Site() as site:
        reply = await site.said(get("/ok", LAST, method="HEAD"))
        assert b"Content-Length: 2\r\n" in reply
        assert reply.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (get("/none", LAST), 404),
        (get("/ok", method="POST"), 405),
        (get("/fails", LAST), 500),
        (b"GET /ok\r\n\r\n", 400),
        (b"GET /ok HTTP/2\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (get("/ok", "no colon"), 400),
        (get("/ok", "Bad : space"), 400),
        (get("//[x/ok"), 400),
        (get("/ok", "X: " + "x" * http.MAX_HEAD_BYTES), 431),
        (b"G" * 2 * http.MAX_HEAD_BYTES, 431),
    ],
)
async def test_what_is_not_served_gets_a_status(sent: bytes, status: int) -> None:
    async with Site() as site:
        assert (await site.said(sent)).startswith(b"HTTP/1.1 %d " % status)


async def test_requests_of_one_connection_are_answered_in_order_pipelined_too() -> None:
    async with Site() as site:
        sent = b"".join(get(f"/ok?more={at}") for at in range(20)) + get("/ok?more=last", LAST)
        reply = await site.said(sent)
        assert [part.split(b"\r\n\r\n")[1] for part in reply.split(b"HTTP/1.1 200 OK")[1:]] == [
            *(b"OK%d" % at for at in range(20)),
            b"OKlast",
        ]


@pytest.mark.parametrize(
    ("sent", "stays"),
    [
        (get("/ok"), True),
        (b"GET /ok HTTP/1.0\r\n\r\n", False),
        (b"GET /ok HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
        (get("/ok", "Content-Length: 5") + b"GET /", False),
    ],
)
async def test_a_connection_stays_as_its_client_says(sent: bytes, stays: bool) -> None:
    async with Site() as site:
        reader, writer = await site.open()
        writer.write(sent)
        assert (await reader.readuntil(b"\r\n\r\nOK")).startswith(b"HTTP/1.1 200")
        if stays:
            writer.write(get("/ok", LAST))
            assert b"200 OK" in await reader.read()
        else:
            assert await reader.read() == b""
        writer.close()


async def test_a_large_reply_is_written_no_faster_than_it_is_read() -> None:
    async with Site() as site:
        reader, writer = await site.open()
        writer.write(get("/big", LAST))
        await until(lambda: site.listener.connections)
        await asyncio.sleep(0.05)
        [connection] = site.listener.connections
        waiting = connection._writer.transport.get_write_buffer_size()
        assert waiting < 3 * http.CHUNK_BYTES
        assert (await reader.read()).endswith(BIG)
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET /ok HT"])
async def test_who_sends_no_whole_request_is_closed(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "REQUEST_S", 0.05)
    async with Site() as site:
        assert await site.said(sent) == b""
        await until(lambda: not site.listener.connections)


async def test_who_does_not_read_his_reply_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WRITE_S", 0.05)
    async with Site() as site:
        _, writer = await site.open()
        for _ in range(20):  # more than the kernel takes for him
            writer.write(get("/big"))
        await until(lambda: len(site.listener.connections) == 1)
        await until(lambda: not site.listener.connections)
        writer.close()


async def test_the_longest_idle_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 3)
    async with Site() as site:
        held = [await site.open() for _ in range(3)]
        await until(lambda: len(site.listener.connections) == 3)
        assert b"200 OK" in await site.said(get("/ok", LAST))
        assert await held[0][0].read() == b""
        held[1][1].write(get("/ok", LAST))
        assert b"200 OK" in await held[1][0].read()
        for _, writer in held:
            writer.close()


async def test_whoever_sends_much_at_once_leaves_the_loop_its_turns() -> None:
    served = turns = 0

    async def counts(_query: Mapping[str, str]) -> HttpReply:
        nonlocal served
        served += 1
        return HttpReply()

    async def others() -> None:
        nonlocal turns
        while served < 400:
            turns += 1
            await asyncio.sleep(0)

    async with Site() as site:
        site.listener.routes["/counts"] = Endpoint("", 0, "/counts", counts)
        clients = [await site.open() for _ in range(4)]
        for _, writer in clients:
            writer.write(get("/counts") * 100)
        await others()
        for _, writer in clients:
            writer.close()
    assert served == 400
    assert turns >= served


async def test_who_is_gone_before_his_reply_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = asyncio.Event()

    async def waits(_query: Mapping[str, str]) -> HttpReply:
        await gate.wait()
        return HttpReply()

    async with Site() as site:
        site.listener.routes["/waits"] = Endpoint("", 0, "/waits", waits)
        _, writer = await site.open()
        writer.write(get("/waits"))
        await until(lambda: any(one.is_busy for one in site.listener.connections))
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()
        [connection] = site.listener.connections
        await until(connection._writer.is_closing)
        gate.set()
        await until(lambda: not site.listener.connections)
    assert caplog.text == ""


async def test_the_stop_finishes_replies_and_closes_the_idle() -> None:
    gate = asyncio.Event()

    async def waits(_query: Mapping[str, str]) -> HttpReply:
        await gate.wait()
        return HttpReply(body=b"late")

    async with Site() as site:
        site.listener.routes["/waits"] = Endpoint("", 0, "/waits", waits)
        busy, idle = await site.open(), await site.open()
        busy[1].write(get("/waits"))
        await until(lambda: any(one.is_busy for one in site.listener.connections))
        stopping = asyncio.ensure_future(site.listener.stop(1))
        assert await idle[0].read() == b""
        gate.set()
        assert (await busy[0].read()).endswith(b"late")
        await stopping
        busy[1].close()
        idle[1].close()


@pytest.mark.parametrize("turns", range(6))
async def test_the_stop_closes_what_is_just_accepted_too(turns: int) -> None:
    async with Site() as site:
        with socket.create_connection(("127.0.0.1", site.listener.port)) as late:
            late.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            await site.listener.stop(0.2)
            async with asyncio.timeout(20):
                with suppress(ConnectionError):
                    assert await asyncio.get_running_loop().sock_recv(late, 1) == b""


@pytest.mark.parametrize("turns", range(12))
async def test_who_comes_while_it_stops_is_not_left_waiting(turns: int) -> None:
    async with Site() as site:
        stopping = asyncio.ensure_future(site.listener.stop(0.2))
        for _ in range(turns):
            await asyncio.sleep(0)
        with socket.socket() as late, suppress(ConnectionError):
            late.connect(("127.0.0.1", site.listener.port))
            late.setblocking(False)
            await stopping
            async with asyncio.timeout(20):
                assert await asyncio.get_running_loop().sock_recv(late, 1) == b""
        await stopping


async def test_paths_of_one_address_share_its_listener() -> None:
    class Serves:
        name = "serves"

        def __init__(self, host: str, path: str) -> None:
            self.endpoint = Endpoint(host, 8080, path, ok)

        def endpoints(self) -> list[Endpoint]:
            return [self.endpoint]

    first, again = Serves("localhost", "/a"), Serves("localhost", "/a")
    found = http.offers([first, Serves("127.0.0.1", "/b"), again, Serves("", "/c")])
    assert {address: list(offer.routes) for address, offer in found.items()} == {
        ("127.0.0.1", 8080): ["/a", "/b"],
        ("", 8080): ["/c"],
    }
    assert found["127.0.0.1", 8080].routes["/a"] is first.endpoint


async def test_a_taken_port_names_the_directive() -> None:
    foreign = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = foreign.sockets[0].getsockname()[1]
    with pytest.raises(StartError, match=rf"^health: 127.0.0.1, port {port} is taken: stop what"):
        HttpListener(("127.0.0.1", port), Offer("health", {}))
    foreign.close()
