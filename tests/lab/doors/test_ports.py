"""Ports forwarded for client libraries, and what requests for a forward are told."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from struct import pack

import aiohttp
import pytest

from kdns.lab.doors import ports
from kdns.lab.resources import PODS, SERVICEACCOUNTS
from tests.lab.doors.clients import run
from tests.lab.doors.forwarding import PATH, PLAIN, TUNNEL
from tests.lab.doors.standing import Place, standing
from tests.lab.doors.talking import soon, stalled

V4 = "v4.channel.k8s.io"
LIBRARY = """
import json, sys
import kubernetes
from kubernetes.stream import portforward

kubernetes.config.load_kube_config(sys.argv[1])
ask = kubernetes.client.CoreV1Api().connect_get_namespaced_pod_portforward
forward = portforward(ask, "web", "default", ports="8080,99")
socket = forward.socket(8080)
socket.setblocking(True)
socket.sendall(b"python\\n")
found = b""
while octets := socket.recv(4096):
    found += octets
print(json.dumps([found.decode(), forward.error(8080), forward.error(99)]))
"""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
    finally:
        writer.close()


async def bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"bye: " + await reader.readline())
    writer.close()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes nothing for as long as somebody is there."""
    del reader
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        while not writer.is_closing():
            writer.write(b".")
            await asyncio.sleep(0.02)
    finally:
        writer.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with standing(tmp_path) as made:
        made.pod()
        async with (
            await asyncio.start_server(echo, "127.0.0.1", 0) as one,
            await asyncio.start_server(bye, "127.0.0.1", 0) as other,
            await asyncio.start_server(deaf, "127.0.0.1", 0) as third,
        ):
            for port, server in ((80, one), (8080, other), (82, third)):
                made.ground.ports[port] = server.sockets[0].getsockname()[1]
            yield made
        await soon(lambda: not made.doors._forwards._open)
        assert not made.doors._forwards._ways._open


@asynccontextmanager
async def opened(place: Place, query: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    head = {"Authorization": f"Bearer {place.lab.token}"}
    url = f"{place.url}{PATH}?{query}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers=head, protocols=[V4]) as socket,
    ):
        assert socket.protocol == V4
        yield socket


def leave(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Goes without a word."""
    assert socket._response.connection
    assert socket._response.connection.transport
    socket._response.connection.transport.abort()


async def heard(socket: aiohttp.ClientWebSocketResponse, channel: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        message = await socket.receive_bytes(timeout=20)
        assert message[0] == channel
        found += message[1:]
    return found


@pytest.mark.parametrize("query", ["ports=80,99", "ports=80&ports=99"])
async def test_each_port_has_two_channels(place: Place, query: str) -> None:
    async with opened(place, query) as socket:
        first = [await socket.receive_bytes(timeout=20) for _ in range(4)]
        assert first == [pack("<BH", nth, (80, 99)[nth // 2]) for nth in range(4)]
        said = await socket.receive_bytes(timeout=20)
        assert said[0] == 3
        assert b"port 99 to pod default/web: dial tcp 127.0.0.1:99: connect" in said
        for octets in (b"", b"\x01ignored", b"\x02lost", b"\x09lost", b"\xfflost"):
            await socket.send_bytes(octets)
        await socket.send_str("text")
        await socket.send_bytes(b"\0hello")
        assert await heard(socket, 0, 5) == b"hello"


async def test_it_is_over_when_every_connection_is(place: Place) -> None:
    async with opened(place, "ports=8080,99") as socket:
        await socket.send_bytes(b"\0you\n")
        found = [message.data async for message in socket]
        assert b"\0bye: you\n" in found
        assert socket.close_code == 1000


async def test_a_library_that_goes_ends_its_connections(place: Place) -> None:
    async with opened(place, "ports=80") as socket:
        await soon(lambda: place.doors._forwards._ways._open)
        leave(socket)
    await soon(lambda: not place.doors._forwards._ways._open)


async def test_a_pod_that_takes_nothing_holds_the_library_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "PULSE_S", 0.1)
    sent = 0
    async with opened(place, "ports=82") as socket:

        async def pour() -> None:
            nonlocal sent
            while sent < 32 << 20:
                await socket.send_bytes(bytes(32_769))
                sent += 32_768

        pouring = asyncio.ensure_future(pour())
        await stalled(lambda: sent)
        assert not pouring.done()
        leave(socket)  # nobody reads what it sends, and yet it is noticed
        await asyncio.gather(pouring, return_exceptions=True)
        await soon(lambda: not place.doors._forwards._ways._open)


async def test_who_is_silent_hears_that_it_is_open(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "PULSE_S", 0.02)
    async with opened(place, "ports=80") as socket:
        socket._autoping = False
        for _ in range(2):
            await socket.receive_bytes(timeout=20)
        assert (await socket.receive(20)).type is aiohttp.WSMsgType.PONG


@pytest.mark.slow
async def test_the_official_library_for_python(place: Place, tmp_path: Path) -> None:
    config = place.lab.kubeconfig(tmp_path / "config")
    ran = await run([sys.executable, "-c", LIBRARY, str(config)])
    assert ran.code == 0, ran.err
    said, error, other = json.loads(ran.out)
    assert (said, error) == ("bye: python\n", None)
    assert other.endswith("connect: connection refused")


# What requests are told


def upgrade(protocol: str) -> dict[str, str]:
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": protocol,
    }


WAYS = {"plain": PLAIN, "tunnel": upgrade(TUNNEL), "v4": upgrade(V4)}


async def told(
    place: Place, headers: dict[str, str], query: str = "?ports=80", path: str = PATH
) -> tuple[int, str]:
    """How a request is refused."""
    sent = {"Authorization": f"Bearer {place.lab.token}", **headers}
    method = "POST" if sent.get("Upgrade") == PLAIN["Upgrade"] else "GET"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, place.url + path + query, headers=sent) as reply,
    ):
        assert reply.status != 101
        found = await reply.json()
        assert (found["kind"], found["code"]) == ("Status", reply.status)
        return reply.status, found["message"]


@pytest.mark.parametrize("way", WAYS)
async def test_nobody_else_gets_in(place: Place, way: str) -> None:
    account = {"metadata": {"name": "robot"}}
    place.lab.storage.create(SERVICEACCOUNTS, "default", account)
    token = place.lab.tokens.issue("default", "robot", seconds=3600)
    port = place.url.rsplit(":", 1)[1]
    for headers, code in (
        ({"Authorization": f"Bearer {token}"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": f"https://127.0.0.1:{port}"}, 403),
        ({"Host": f"rebound.example:{port}"}, 403),
        ({"Impersonate-User": "somebody"}, 403),
    ):
        found, message = await told(place, {**WAYS[way], **headers})
        assert found == code
        assert code == 401 or "pods are open to the admin of the lab only" in message
    assert not place.doors._forwards._ways._open


@pytest.mark.parametrize("way", WAYS)
async def test_pods_that_cannot_be_forwarded_to(place: Place, way: str) -> None:
    async def ask(name: str = "web") -> tuple[int, str]:
        return await told(place, WAYS[way], path=PATH.replace("/web/", f"/{name}/"))

    storage = place.lab.storage
    assert await ask("none") == (404, 'pods "none" not found')
    made = {"metadata": {"name": "new"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    storage.create(PODS, "default", made)
    assert await ask("new") == (400, "pod new does not have a host assigned")
    place.pod("other")
    found = storage.get(PODS, "default", "other")
    for change, why in (
        ({"podIP": "", "podIPs": []}, "it has no address yet"),
        ({"phase": "Succeeded"}, "current phase is Succeeded"),
    ):
        status = found["status"] | change
        found = storage.update(PODS, "default", "other", found | {"status": status}, part="status")
        code, message = await ask("other")
        assert (code, message.endswith(why)) == (400, True), message


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "over WebSockets or SPDY/3.1"),
        ({**PLAIN, "Upgrade": "h2c"}, "over WebSockets or SPDY/3.1"),
        ({**PLAIN, "X-Stream-Protocol-Version": "v9"}, "a protocol of portforward.k8s.io"),
        (upgrade("v5.channel.k8s.io"), f"a protocol of {TUNNEL}, {V4}"),
        (upgrade(""), f"a protocol of {TUNNEL}, {V4}"),
    ],
)
async def test_what_is_spoken(place: Place, headers: dict[str, str], why: str) -> None:
    code, message = await told(place, headers)
    assert (code, why in message) == (400, True), message


@pytest.mark.parametrize(
    "query", ["", "?ports=", "?ports=0", "?ports=80,", "?ports=x", "?ports=65536",
              "?ports=" + ",".join("1" * 65)],
)  # fmt: skip
async def test_ports_that_are_none(place: Place, query: str) -> None:
    code, message = await told(place, WAYS["v4"], query)
    assert (code, "name 1 to 64 ports" in message) == (400, True)
