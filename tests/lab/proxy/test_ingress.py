"""Requests to ingresses, over real sockets, and by curl where it is installed."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from kdns.lab.errors import Obj
from kdns.lab.resources import INGRESSES
from tests.lab.proxy.scene import Scene, played, until

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
OK = b"HTTP/1.1 200 OK\r\n"


def rule(host: str, path: str, to: str = "web") -> Obj:
    backend = {"service": {"name": to, "port": {"number": 8080}}}
    return {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix",
                                              "backend": backend}]}}  # fmt: skip


class Told:
    """An endpoint that notes requests and answers with what it is told."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        low = head.lower()
        if b"content-length: " in low:
            size = int(low.split(b"content-length: ")[1].split(b"\r\n")[0])
            self.bodies.append(await reader.readexactly(size))
        elif b"transfer-encoding: chunked" in low:
            self.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        await writer.drain()
        writer.close()


@asynccontextmanager
async def front(told: Told | None = None) -> AsyncIterator[tuple[Scene, str]]:
    """A scene with an ingress for shop.test, and where it is."""
    async with played() as (scene, proxy):
        scene.service()
        if told:
            scene.slice(await scene.speaker("a", speaks=told))
        body = {"metadata": {"name": "shop"}, "spec": {"rules": [rule("shop.test", "/")]}}
        scene.storage.create(INGRESSES, "default", body)
        await until(lambda: proxy._ingress._server is not None)
        found = scene.storage.get(INGRESSES, "default", "shop")
        yield scene, found["status"]["loadBalancer"]["ingress"][0]["ip"]


async def say(scene: Scene, address: str, *texts: bytes) -> bytes:
    """All that comes back on one connection."""
    reader, writer = await scene.connect(address, 80)
    for text in texts:
        writer.write(text)
        await writer.drain()
    try:
        async with asyncio.timeout(30):
            return await reader.read(-1)
    finally:
        writer.close()


def get(path: str = "/", host: str = "shop.test", *fields: str, ends: bool = True) -> bytes:
    more = "".join(f"{one}\r\n" for one in fields) + ("Connection: close\r\n" if ends else "")
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


async def test_a_request_goes_to_the_service_of_its_host_with_who_asks() -> None:
    told = Told(OK + b"Content-Length: 2\r\n\r\nhi")
    async with front(told) as (scene, address):
        fields = (
            "X-Forwarded-For: 6.6.6.6",
            "X-Mine: yes",
            "Connection: x-mine-not",
            "X-Mine-Not: 1",
        )
        said = await say(scene, address, get("/a?b=c", "shop.test:80", *fields))
        assert said.endswith(b"\r\n\r\nhi")
        assert said.startswith(OK)
        head = told.heads[0].decode()
        assert head.startswith("GET /a?b=c HTTP/1.1\r\nHost: shop.test:80\r\n")
        assert "X-Forwarded-For: 127." in head
        assert "6.6.6.6" not in head
        assert "X-Forwarded-Host: shop.test:80\r\nX-Forwarded-Proto: http\r\n" in head
        assert "X-Mine: yes\r\n" in head
        assert "X-Mine-Not" not in head


async def test_what_nobody_wants_and_what_nobody_serves() -> None:
    async with front() as (scene, address):
        assert b" 404 Not Found" in (said := await say(scene, address, get(host="other.test")))
        assert b"default backend" in said
        assert b" 503 Service Unavailable" in await say(scene, address, get())
        scene.slice("127.244.9.9")
        assert b" 502 Bad Gateway" in await say(scene, address, get())


async def test_a_connection_is_kept_for_the_next_request() -> None:
    told = Told(
        OK + b"Content-Length: 1\r\n\r\n1",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\n2\r\n0\r\nTrailer: t\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        OK + b"\r\nto the end",
    )
    async with front(told) as (scene, address):
        said = await say(scene, address, *[get(ends=False)] * 4, get("/never"))
        assert len(told.heads) == 4, "the last answer had no length, so the connection ended"
        assert said.count(b"HTTP/1.1 ") == 4
        assert b"\r\n\r\n1HTTP/1.1" in said
        assert b"\r\n\r\n1\r\n2\r\n0\r\n\r\nHTTP/1.1 304" in said
        assert said.endswith(b"Connection: close\r\n\r\nto the end")


async def test_bodies_of_requests_pass_by_length_and_in_chunks() -> None:
    told = Told(OK + b"Content-Length: 0\r\n\r\n")
    async with front(told) as (scene, address):
        lead = b"POST / HTTP/1.1\r\nHost: shop.test\r\n"
        body = bytes(200_000)
        await say(scene, address, lead + b"Content-Length: 200000\r\n\r\n", body,
                  lead + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
                  b"5\r\nhello\r\nA;e=1\r\n, world!!!\r\n0\r\nX: y\r\n\r\n")  # fmt: skip
        assert told.bodies == [body, b"5\r\nhello\r\na\r\n, world!!!\r\n0\r\n\r\n"]


async def test_http_1_0_gets_no_chunks_and_its_connection_ends() -> None:
    told = Told(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    async with front(told) as (scene, address):
        said = await say(scene, address, b"GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        assert said.endswith(b"Connection: close\r\n\r\nabc")


async def test_head_has_no_body() -> None:
    told = Told(OK + b"Content-Length: 5\r\n\r\n")
    async with front(told) as (scene, address):
        request = get().replace(b"GET", b"HEAD")
        assert b"Content-Length: 5" in await say(scene, address, request)
        missing = await say(scene, address, request.replace(b"shop.", b"none."))
        assert missing.endswith(b"\r\n\r\n")


async def test_another_protocol_passes_through() -> None:
    async def switch(reader: Reader, writer: Writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Upgrade: websocket\r\n" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     b"Connection: Upgrade\r\n\r\n")  # fmt: skip
        writer.write((await reader.readexactly(4)).upper())
        await writer.drain()
        writer.close()

    async with front() as (scene, address):
        scene.slice(await scene.speaker("a", speaks=switch))
        reader, writer = await scene.connect(address, 80)
        fields = ("Connection: Upgrade", "Upgrade: websocket")
        writer.write(get("/", "shop.test", *fields, ends=False))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Upgrade: websocket\r\n" in head
        writer.write(b"ping")
        assert await reader.read(4) == b"PING"
        writer.close()


async def test_the_client_is_told_to_continue_and_may_be_refused_early() -> None:
    async def picky(reader: Reader, writer: Writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/yes" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await reader.readexactly(2) == b"ok"
            writer.write(OK + b"Content-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with front() as (scene, address):
        scene.slice(await scene.speaker("a", speaks=picky))
        reader, writer = await scene.connect(address, 80)
        fields = ("Content-Length: 2", "Expect: 100-continue")
        writer.write(get("/yes", "shop.test", *fields, ends=False))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"ok")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
        writer.write(get("/no", "shop.test", *fields, ends=False))
        said = await reader.read(-1)
        writer.close()
        assert said.startswith(b"HTTP/1.1 413 ")


HOST = b"Host: shop.test\r\n"
ODD = {
    "empty lines": b"\r\n\r\n" * 2000,
    "length and chunks": b"POST / HTTP/1.1\r\n" + HOST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "signed length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\nx",
    "folded line": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n",
    "bare line feed": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\nY: b\r\n\r\n",
    "control character": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "spaces": b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
    "odd chunk": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk with a bare line feed": b"POST / HTTP/1.1\r\n" + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n1;\n\r\na\r\n0\r\n\r\n",
    "long chunk": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    "chunks in 1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "half a head": b"GET / HTTP/1.1\r\n" + HOST,
}  # fmt: skip


@pytest.mark.parametrize("text", ODD.values(), ids=list(ODD))
async def test_odd_requests_are_refused_and_end_the_connection(text: bytes) -> None:
    told = Told(OK + b"Content-Length: 0\r\n\r\n")
    async with front(told) as (scene, address):
        reader, writer = await scene.connect(address, 80)
        writer.write(text)
        writer.write_eof()
        async with asyncio.timeout(30):
            said = await reader.read(-1)
        writer.close()
        assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"CONNECT shop.test:80 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    ],
)
async def test_what_is_not_done_here_is_refused(text: bytes, status: int) -> None:
    async with front() as (scene, address):
        assert (await say(scene, address, text)).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n\r\n",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_odd_answers_are_a_bad_gateway(answer: bytes) -> None:
    async with front(Told(answer)) as (scene, address):
        assert (await say(scene, address, get())).startswith(b"HTTP/1.1 502 ")


async def test_the_front_closes_with_the_last_ingress() -> None:
    async with front() as (scene, address):
        scene.storage.delete(INGRESSES, "default", "shop")
        await scene.settled()
        with pytest.raises(ConnectionRefusedError):
            await scene.connect(address, 80)


async def test_the_front_serves_when_ingresses_have_come_and_gone_at_once() -> None:
    async with front(Told(OK + b"Content-Length: 0\r\n\r\n")) as (scene, address):
        body = scene.storage.get(INGRESSES, "default", "shop")
        for _ in range(10):  # each time it is about to listen
            scene.storage.delete(INGRESSES, "default", "shop")
            await asyncio.sleep(0)
            scene.storage.create(INGRESSES, "default", {**body, "metadata": {"name": "shop"}})
            await asyncio.sleep(0)
        assert (await say(scene, address, get())).startswith(OK)


async def test_the_target_may_be_a_whole_url_and_what_a_policy_forbids_is_a_time_out() -> None:
    told = Told(OK + b"Content-Length: 0\r\n\r\n")
    async with front(told) as (scene, address):
        text = get("http://SHOP.test/x?y", "other.test")
        assert (await say(scene, address, text)).startswith(OK)
        assert told.heads[0].startswith(b"GET /x?y HTTP/1.1\r\nHost: SHOP.test\r\n")
        assert b" 400 " in await say(scene, address, get("shop.test"))
        [pod] = {one.address for one in scene.ground.listeners.open if one.at}
        scene.policy.forbidden = {("127.0.0.1", pod)}
        assert b" 504 Gateway Timeout" in await say(scene, address, get())


async def test_a_body_that_breaks_off_does_not_keep_the_endpoint_waiting() -> None:
    told = Told(OK + b"Content-Length: 0\r\n\r\n")
    async with front(told) as (scene, address):
        reader, writer = await scene.connect(address, 80)
        writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nhalf")
        writer.write_eof()
        async with asyncio.timeout(30):
            assert (await reader.read(-1)).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_an_answer_that_breaks_off_is_seen_to_be_cut_short() -> None:
    told = Told(OK + b"Content-Length: 9\r\n\r\nhalf")
    async with front(told) as (scene, address):
        try:
            said = await say(scene, address, get())
        except ConnectionResetError:
            said = b""
        assert len(said.partition(b"\r\n\r\n")[2]) < 9


async def test_a_connection_that_is_open_at_the_end_is_closed_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with front(Told(OK + b"Content-Length: 0\r\n\r\n")) as (scene, address):
        reader, writer = await scene.connect(address, 80)
        writer.write(get(ends=False))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
    async with asyncio.timeout(30):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


def binds(one: socket.socket, place: tuple[str, int]) -> bool:
    with suppress(OSError):
        one.bind(place)
        return True
    return False


async def test_where_the_front_cannot_listen_it_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, proxy):
        with socket.socket() as other:
            place = scene.place(proxy._ingress.address, 80)
            await until(lambda: binds(other, place))  # another test may have port 80 everywhere
            body = {"metadata": {"name": "shop"}, "spec": {"rules": [rule("shop.test", "/")]}}
            scene.storage.create(INGRESSES, "default", body)
            await until(lambda: any("nothing listens" in one for one in caplog.messages))
        await until(lambda: proxy._ingress._server is not None)
    assert len([one for one in caplog.messages if "nothing listens" in one]) == 1


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_curl_gets_what_the_endpoint_says() -> None:
    told = Told(OK + b"Content-Length: 6\r\n\r\nhello\n")
    async with front(told) as (scene, address):
        host, port = scene.place(address, 80)
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--max-time", "30", "--noproxy", "*", "-d", "a=b",
            "--connect-to", f"shop.test:80:{host}:{port}",
            "http://shop.test/form", "http://shop.test/again", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0
        assert said == b"hello\nhello\n"
        assert told.bodies == [b"a=b"] * 2
