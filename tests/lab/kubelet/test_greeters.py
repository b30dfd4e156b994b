"""Greeters, packets, and the relay of DNS pods, on the wire."""

import asyncio
import struct
from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from kdns.lab.kubelet.programs import greeter, images
from tests.lab.kubelet.scene import Scene


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A greeter waits for what its client says, however slow this machine is."""
    monkeypatch.setattr(greeter, "PATIENCE_S", 20.0)


@pytest.mark.usefixtures("patient")
async def test_mysql_shakes_hands_and_says_which_pod_it_is(scene: Scene) -> None:
    scene.pod("db", image="mysql:5.7", ports=[{"containerPort": 3306}])
    await scene.ready("db")
    reader, writer = await asyncio.open_connection(sock=await scene.connect(3306, "db"))
    async with asyncio.timeout(20):
        head = await reader.readexactly(4)
        greeting = await reader.readexactly(int.from_bytes(head[:3], "little"))
        assert head[3] == 0
        assert greeting[0] == 10
        version, _, rest = greeting[1:].partition(b"\0")
        assert version == b"8.0.0-kdns-lab"
        assert rest[12] == 0  # the number and the first eight of the salt are before it
        low, charset, status, high, length = struct.unpack_from("<HBHHB", rest, 13)
        assert (charset, status, length) == (45, 2, 21)
        assert (high << 16 | low) & 0x8020_0800 == 0  # neither TLS nor compression nor ours alone
        assert rest[31:].split(b"\0")[:2] == [rest[31:43], b"mysql_native_password"]
        login = struct.pack("<IIB23x", 0xA200, 1 << 24, 45) + b"shop\0\0"
        writer.write(len(login).to_bytes(3, "little") + b"\1" + login)
        refusal = await reader.read()
    assert refusal[:4] == (len(refusal) - 4).to_bytes(3, "little") + b"\2"
    assert refusal[4:13] == b"\xff\x15\x04#28000"
    said = refusal[13:].decode()
    assert said.startswith(f"Access denied for user 'shop'@'{scene.client}'")
    assert f"pod db ({scene.address('db')})" in said
    assert scene.log("db") == f"{scene.client} connected to port 3306"
    writer.close()


async def test_who_says_nothing_is_told_all_the_same(scene: Scene) -> None:
    scene.pod("db", image="mariadb", ports=[{"containerPort": 3306}])
    await scene.ready("db")
    assert b"pod db " in await scene.say(3306, b"", "db")


async def test_redis_answers(scene: Scene) -> None:
    scene.pod("cache", image="redis:7")
    await scene.ready("cache")
    said = (
        b"PING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n*1\r\n$4\r\nINFO\r\nSET a b\r\nQUIT\r\nPING\r\n"
    )
    answer = await scene.say(6379, said, "cache")
    assert answer.startswith(b"+PONG\r\n$2\r\nhi\r\n$")
    assert b"pod cache " in answer
    assert b"-ERR " in answer
    assert answer.endswith(b"+OK\r\n")


@pytest.mark.parametrize(
    "said", [b"*9999999\r\n", b"*-1\r\n", b"*1\r\n$-5\r\n", b"*1\r\n$99999999\r\n"]
)
async def test_redis_commands_that_make_no_sense_end_the_connection(
    scene: Scene, said: bytes
) -> None:
    scene.pod("cache", image="redis:7")
    await scene.ready("cache")
    assert await scene.say(6379, said + b"PING\r\n", "cache") == b""


@pytest.mark.usefixtures("patient")
async def test_postgres_refuses_in_its_own_protocol(scene: Scene) -> None:
    scene.pod("db", image="postgres:16")
    await scene.ready("db")
    tls = struct.pack(">II", 8, 80877103)
    reader, writer = await asyncio.open_connection(sock=await scene.connect(5432, "db"))
    async with asyncio.timeout(20):
        writer.write(tls)
        assert await reader.readexactly(1) == b"N"
        writer.write(struct.pack(">II", 16, 196608) + b"user\0me\0")
        answer = await reader.read()
    assert answer[:1] == b"E"
    assert struct.unpack(">I", answer[1:5])[0] == len(answer) - 1
    assert b"C28000\0" in answer
    assert b"pod db " in answer
    assert b"pod db " in await scene.say(5432, b"hello\n", "db")
    writer.close()


async def test_a_queue_greets_and_has_a_page(scene: Scene) -> None:
    scene.pod("queue", image="richardchesterwood/k8s-fleetman-queue:release2")
    await scene.ready("queue")
    assert (await scene.say(61616, b"", "queue")).startswith(b"Hello from queue (")
    assert (await scene.fetch(8161, name="queue"))[0] == 200


async def test_packets_are_answered_with_the_pods_name(scene: Scene) -> None:
    ports = [{"containerPort": 5000, "protocol": "UDP"}]
    scene.pod("game", image="some/game", ports=ports)
    await scene.ready("game")
    with scene.ground.outgoing(scene.address("game"), "UDP", source=scene.client) as one:
        one.connect(scene.ground.target(scene.address("game"), 5000))
        one.send(b"hello")
        async with asyncio.timeout(20):
            answer = await asyncio.get_running_loop().sock_recv(one, 2048)
    assert answer == f"Hello from game ({scene.address('game')})\n".encode()


class _Echo(asyncio.DatagramProtocol):
    """A DNS server, as far as a relay is concerned; says who asks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, packet: bytes, peer: tuple[str, int]) -> None:
        self.transport.sendto(packet + peer[0].encode(), peer)  # type: ignore[attr-defined]


async def test_a_dns_pod_leads_to_the_server_of_the_lab(scene: Scene) -> None:
    loop = asyncio.get_running_loop()
    here = scene.ground.ranges
    block = f"127.{here.pods[1].packed[1]}.255"
    here = replace(
        here, services=IPv4Network(f"{block}.0/25"), nodes=IPv4Network(f"{block}.128/25")
    )
    scene.ground.ranges, dns = here, here.dns
    place = scene.ground.admit(dns, 53)
    transport, _ = await loop.create_datagram_endpoint(_Echo, local_addr=place)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, *place)
    metrics = await asyncio.start_server(serve, *scene.ground.admit(here.server, 9153))
    scene.pod("dns", image="coredns/coredns:1.12.0")
    await scene.ready("dns")
    with scene.ground.outgoing(scene.address("dns"), "UDP", source=scene.client) as one:
        one.connect(scene.ground.target(scene.address("dns"), 53))
        one.send(b"question")
        async with asyncio.timeout(20):
            answer = await loop.sock_recv(one, 2048)
    assert answer == b"question" + scene.client.encode()
    assert await scene.say(53, b"over TCP", "dns") == b"over TCP"
    assert await scene.say(9153, b"metrics", "dns") == b"metrics"
    with pytest.raises(OSError, match=r"reset|not connected"):  # nothing listens there
        await scene.say(8080, b"", "dns")
    transport.close()
    for one in (server, metrics):
        one.close()
        await one.wait_closed()


@pytest.mark.parametrize(
    ("image", "name"),
    [("nginx", "nginx"), ("nginx:1.27", "nginx"), ("docker.io/library/nginx@sha256:ab", "nginx"),
     ("host:5000/a/b-c:1@sha256:ab", "b-c")],
)  # fmt: skip
def test_images_are_known_by_their_repository(image: str, name: str) -> None:
    assert images.name_of(image) == name


@pytest.mark.parametrize(
    ("image", "command", "args", "found"),
    [
        ("busybox", [], [], ("sh",)),
        ("busybox", [], ["nslookup", "web"], ("nslookup", "web")),
        ("busybox", ["sh", "-c"], ["date"], ("sh", "-c", "date")),
        ("curlimages/curl", [], ["-s", "http://web"], ("curl", "-s", "http://web")),
        ("curlimages/curl", [], ["sh"], ("sh",)),
        ("curlimages/curl", ["sleep"], ["-1"], ("sleep", "-1")),
    ],
)
def test_what_a_shell_image_runs(
    image: str, command: list[str], args: list[str], found: tuple[str, ...]
) -> None:
    assert images.command_of(image, command, args) == found
