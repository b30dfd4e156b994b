"""The UDP transport on real sockets: every packet one reply, from the address that was asked."""

import asyncio
import socket

import dns.flags
import dns.message
import pytest

from kdns.plugins.base import Query
from kdns.server import sockets
from kdns.server.sockets import StartError, open_pair
from kdns.server.udp.udp import UdpListener
from kdns.wire import types
from kdns.wire.message import Answer, RRset
from tests.stubs import Told, Waits, World, addresses
from tests.waiting import PATIENCE_S


def packet(name: str = "web.shop", id_: int = 1) -> bytes:
    query = dns.message.make_query(name, "A")
    query.id = id_
    return query.to_wire()


class Asker:
    """A client socket, read through the loop."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    async def reply(self) -> tuple[bytes, tuple[str, int]]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return self.sock.recvfrom(65535)
                except BlockingIOError:
                    await asyncio.sleep(0.001)


def listener(world: World, host: str = "127.0.0.1") -> tuple[UdpListener, int]:
    datagram, stream = open_pair(host, 0)
    stream.close()
    return UdpListener(datagram, world.with_table, world.clock), datagram.getsockname()[1]


async def test_each_packet_gets_its_reply() -> None:
    world = World(Told(lambda query: addresses(query, 1)))
    udp, port = listener(world)
    udp.start()
    asker = Asker()
    for id_ in range(200):
        asker.sock.sendto(packet(f"n{id_ % 5}", id_), ("127.0.0.1", port))
    ids = sorted([int.from_bytes((await asker.reply())[0][:2], "big") for _ in range(200)])
    assert ids == list(range(200))
    asker.sock.close()
    await udp.stop(1)


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.9.8.7", "::1"])
async def test_a_wildcard_listener_answers_from_the_address_asked(asked: str) -> None:
    clients = []

    def say(query: Query):
        clients.append(query.client)
        return addresses(query, 1)

    world = World(Told(say))
    udp, port = listener(world, "")
    udp.start()
    asker = Asker(socket.AF_INET6 if ":" in asked else socket.AF_INET)
    for _ in range(4):
        asker.sock.sendto(packet(), (asked, port))
        _, peer = await asker.reply()
        assert peer[:2] == (asked, port)
    expected = socket.inet_pton(asker.sock.family, asked)
    assert clients[0].local == expected
    assert len(clients[0].address) == len(expected)
    asker.sock.close()
    await udp.stop(1)


async def test_queries_that_wait_do_not_hold_up_others_and_overtake() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    world = World(waits)
    udp, port = listener(world)
    udp.start()
    asker = Asker()
    for id_ in range(3):
        asker.sock.sendto(packet(f"n{id_}", id_), ("127.0.0.1", port))
    while len(waits.gates) < 3:
        await asyncio.sleep(0.001)
    waits.gates[2].set_result(None)
    assert (await asker.reply())[0][:2] == b"\0\2"
    waits.open()
    assert {(await asker.reply())[0][:2] for _ in range(2)} == {b"\0\0", b"\0\1"}
    asker.sock.close()
    await udp.stop(1)


async def test_stop_answers_what_is_queued_and_under_way() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    world = World(waits)
    udp, port = listener(world)
    udp.start()
    asker = Asker()
    asker.sock.sendto(packet("first", 1), ("127.0.0.1", port))
    while not waits.gates:
        await asyncio.sleep(0.001)
    asker.sock.sendto(packet("second", 2), ("127.0.0.1", port))
    stopping = asyncio.ensure_future(udp.stop(20))
    while len(waits.gates) < 2:
        await asyncio.sleep(0.001)
    assert not stopping.done()
    waits.open()
    await stopping
    assert {(await asker.reply())[0][:2] for _ in range(2)} == {b"\0\1", b"\0\2"}
    asker.sock.close()


async def test_stop_ends_though_packets_keep_coming() -> None:
    world = World(Told(lambda query: addresses(query, 1)))
    udp, port = listener(world)
    flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    loop = asyncio.get_running_loop()
    until = loop.time() + 60
    read = udp._read

    def one_more() -> int:
        if loop.time() < until:
            flood.sendto(packet(), ("127.0.0.1", port))
        return read()

    udp._read = one_more
    udp.start()
    await udp.stop(0.2)
    assert loop.time() < until
    flood.close()


async def test_a_reply_is_never_longer_than_a_datagram() -> None:
    rdatas = tuple(at.to_bytes(4, "big") for at in range(4500))
    world = World(Told(lambda query: Answer(answer=(RRset(query.key, types.A, 5, rdatas),))))
    udp, port = listener(world)
    udp.start()
    asker = Asker()
    query = dns.message.make_query("big.shop", "A", use_edns=0, payload=65535)
    for _ in range(4):
        asker.sock.sendto(query.to_wire(), ("127.0.0.1", port))
        reply, _ = await asker.reply()
        assert 65000 < len(reply) <= 65507
        assert dns.message.from_wire(reply).flags & dns.flags.TC
    asker.sock.close()
    await udp.stop(1)


async def test_rubbish_is_silence_or_a_header_and_never_the_end() -> None:
    world = World(Told(lambda query: addresses(query, 1)))
    udp, port = listener(world)
    udp.start()
    asker = Asker()
    for rubbish in (b"", b"\0", b"\0" * 11, packet()[:2] + b"\x81\0" + packet()[4:]):
        asker.sock.sendto(rubbish, ("127.0.0.1", port))
    asker.sock.sendto(b"\7\7" + b"\x28\0" + packet()[4:], ("127.0.0.1", port))
    assert (await asker.reply())[0][:4] == b"\7\7\xa8\4"
    asker.sock.sendto(packet(), ("127.0.0.1", port))
    assert dns.message.from_wire((await asker.reply())[0]).rcode() == 0
    assert world.counters.values[("kdns_packets_rejected_total", "short")] == 3
    asker.sock.close()
    await udp.stop(1)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_that_somebody_keeps_to_himself_is_taken(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as foreign:
        foreign.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            foreign.listen()
        with pytest.raises(StartError, match=r"port \d+ is taken: stop what listens there"):
            open_pair("127.0.0.1", foreign.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_a_port_of_ours_is_shared_and_the_log_says_so(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_pair(host, 0)
    port = first[0].getsockname()[1]
    assert not caplog.records
    second = open_pair(host, port, ours={port})
    assert not caplog.records
    third = open_pair(host, port)
    assert next(record.getMessage() for record in caplog.records).startswith(
        f"{host or 'every address'}, port {port} is shared with another process"
    )
    with pytest.raises(OSError, match="in use"), socket.socket() as foreign:
        foreign.bind(("127.0.0.1", port))
    for sock in (*first, *second, *third):
        sock.close()


@pytest.mark.parametrize(("host", "asked"), [("", "127.0.0.1"), ("", "::1"), ("127.0.0.1",) * 2])
async def test_a_listener_that_stops_leaves_no_packet_unanswered(host: str, asked: str) -> None:
    world = World(Told(lambda query: addresses(query, 1)))
    old, port = listener(world, host)
    datagram, stream = open_pair(host, port, ours={port})
    stream.close()
    new = UdpListener(datagram, world.with_table, world.clock)
    family = socket.AF_INET6 if ":" in asked else socket.AF_INET
    askers = [Asker(family) for _ in range(40)]
    old.start()
    new.start()
    for round_ in range(3):  # in the queues of both, while the old one stops, and after
        for asker in askers:
            asker.sock.sendto(packet(), (asked, port))
        if round_ == 1:
            stopping = asyncio.ensure_future(old.stop(1))
    await stopping
    for asker in askers:
        for _ in range(3):
            assert (await asker.reply())[1][:2] == (asked, port)
        asker.sock.close()
    await new.stop(1)


def test_any_port_is_shared_with_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, _ = open_pair("127.0.0.1", 0)
    taken = theirs.getsockname()[1]
    bound, asked = sockets._bound, []

    def again(host: str, port: int, kind: socket.SocketKind) -> tuple[socket.socket, bool]:
        asked.append(port)
        return bound(host, taken if len(asked) == 2 else port, kind)

    monkeypatch.setattr(sockets, "_bound", again)
    datagram, stream = open_pair("127.0.0.1", 0)
    assert len(asked) == 4
    assert datagram.getsockname() == stream.getsockname() != theirs.getsockname()
    for sock in (theirs, _, datagram, stream):
        sock.close()


def test_an_address_of_another_machine_is_said_in_one_line() -> None:
    with pytest.raises(StartError, match="not an address of this machine"):
        open_pair("240.0.0.1", 0)
