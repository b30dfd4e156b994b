"""What passes on forwarded connections, and what is left when one side goes."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from struct import pack

import aiohttp
import pytest

from kdns.lab.doors import crossing, forwards, spdy, streams
from kdns.lab.resources import PODS
from kdns.lab.storage import Deletion
from tests.lab.doors.forwarding import PATH, TUNNEL, Client, client, control
from tests.lab.doors.standing import Place, standing
from tests.lab.doors.talking import soon, stalled

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ECHO, LAST, DEAF, FLOOD, BYE = 80, 81, 82, 83, 84
NOBODY = 99
FLOODED = 40 << 20


class Pod:
    """What listens in it, and what has become of its connections."""

    def __init__(self) -> None:
        self.open = 0
        self.poured = 0
        self.wakes = asyncio.Event()

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()

    async def last(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speaks when it has heard all."""
        whole = await reader.read()
        writer.write(b"%d octets" % len(whole))

    async def deaf(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes nothing until it is woken, and then counts; goes on when all has been heard."""
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await self.wakes.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await self.last(reader, writer)

    async def flood(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        for _ in range(FLOODED // 65536):
            writer.write(bytes(65536))
            self.poured += 65536
            await writer.drain()

    async def bye(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(b"bye")

    def counted(self, serve: Serve) -> Serve:
        async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.open += 1
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                self.open -= 1
                writer.close()

        return act


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with standing(tmp_path) as made:
        made.pod()
        yield made


@pytest.fixture
async def pod(place: Place) -> AsyncIterator[Pod]:
    found = Pod()
    serves = {
        ECHO: found.echo, LAST: found.last, DEAF: found.deaf, FLOOD: found.flood, BYE: found.bye,
    }  # fmt: skip
    async with AsyncExitStack() as ends:
        for port, serve in serves.items():
            server = await asyncio.start_server(found.counted(serve), "127.0.0.1", 0)
            place.ground.ports[port] = server.sockets[0].getsockname()[1]
            ends.callback(server.close)
        yield found
        await soon(lambda: not found.open)


@pytest.fixture(params=["plain", "tunnel"])
async def one(request: pytest.FixtureRequest, place: Place, pod: Pod) -> AsyncIterator[Client]:
    async with client(place, request.param) as made:
        yield made
    pod.wakes.set()
    await soon(lambda: not place.doors._forwards._open)
    assert not place.doors._forwards._ways._open


async def echoes(one: Client, octets: bytes = b"hello") -> None:
    error, data = await one.open(ECHO)
    for at in range(0, len(octets), 50_000):
        await one.send(data, octets[at : at + 50_000])
    await one.send(data, b"", is_end=True)
    await one.hear_end(error, data)
    assert (one.said(data), one.said(error)) == (octets, b"")


async def test_octets_go_there_and_come_back(one: Client) -> None:
    error, data = await one.open(ECHO)
    await one.hear(lambda: one.replied == [error, data])
    await one.send(data, b"one")
    await one.hear(lambda: one.said(data) == b"one")
    await one.send(data, b"two")
    await one.hear(lambda: one.said(data) == b"onetwo")
    assert not one.ended
    await one.send(data, b"", is_end=True)
    await one.hear_end(error, data)
    assert (one.said(data), one.said(error), one.resets) == (b"onetwo", b"", {})


async def test_every_octet_of_a_megabyte(one: Client) -> None:
    await echoes(one, bytes(range(256)) * 4096)


async def test_connections_of_one_client_know_nothing_of_each_other(one: Client) -> None:
    lanes = [await one.open(ECHO) for _ in range(20)]
    for error, data in reversed(lanes):
        await one.send(data, b"%d" % error, is_end=data % 8 == 3)
    await one.hear(lambda: all(one.said(data) == b"%d" % error for error, data in lanes))
    await one.hear_end(*(data for _, data in lanes if data % 8 == 3))
    for _, data in lanes:
        if data not in one.ended:
            await one.send(data, b".", is_end=True)
    await one.hear_end(*(stream for lane in lanes for stream in lane))
    assert one.resets == {}


async def test_who_has_said_his_last_still_hears_the_answer(one: Client) -> None:
    error, data = await one.open(LAST)
    await one.send(data, bytes(100_000), is_end=True)
    await one.hear_end(error, data)
    assert one.said(data) == b"100000 octets"


async def test_a_pod_that_says_its_last_ends_its_connection_alone(one: Client) -> None:
    error, data = await one.open(BYE)
    await one.hear_end(error, data)
    assert (one.said(data), one.said(error)) == (b"bye", b"")
    await one.send(data, b"too late")
    await echoes(one)


async def test_a_port_that_nobody_listens_on(one: Client) -> None:
    error, data = await one.open(NOBODY)
    await one.hear_end(error, data)
    assert one.said(error) == (
        b"error forwarding port 99 to pod default/web: "
        b"dial tcp 127.0.0.1:99: connect: connection refused"
    )
    assert one.said(data) == b""
    await echoes(one)


async def test_a_pod_that_has_no_place(one: Client, place: Place) -> None:
    place.ground.stands.clear()
    error, data = await one.open(ECHO)
    await one.hear_end(error, data)
    assert b"the pod has no place" in one.said(error)


async def test_where_pods_have_no_localhost_of_their_own(place: Place, pod: Pod) -> None:
    place.ground.has_spaces = False
    async with client(place, "plain") as one:
        error, data = await one.open(NOBODY)
        await one.hear_end(error, data)
        assert b"dial tcp 10.244.1.5:99: connect: connection refused" in one.said(error)
        await echoes(one)


async def test_a_pod_on_the_network_of_its_node(place: Place, pod: Pod) -> None:
    place.pod("onhost", hostNetwork=True)
    place.ground.stands.clear()
    async with client(place, "plain", PATH.replace("/web/", "/onhost/")) as one:
        await echoes(one)


async def test_what_a_client_drops_ends_in_the_pod(one: Client, pod: Pod) -> None:
    error, data = await one.open(ECHO)
    kept = await one.open(ECHO)
    await one.send(data, b"x")
    await one.hear(lambda: one.said(data) == b"x")
    await one.send(kept[1], b"y")
    await one.hear(lambda: one.said(kept[1]) == b"y")
    await one.write(spdy.reset(data, 5))
    await one.hear_end(error)  # with a word: kubectl waits for it
    await soon(lambda: pod.open == 1)
    await one.write(spdy.reset(kept[0], 5))
    await one.send(kept[1], b"z", is_end=True)
    await one.hear_end(kept[1])
    assert one.said(kept[1]) == b"yz"


async def test_a_client_that_goes_ends_all_in_the_pod(one: Client, pod: Pod) -> None:
    for _ in range(3):
        _, data = await one.open(ECHO)
        await one.send(data, b"x")
    await soon(lambda: pod.open == 3)
    one.leave()
    await soon(lambda: not pod.open)


async def test_a_pod_that_says_nothing_more_is_not_waited_for(
    one: Client, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossing, "SILENT_S", 0.1)
    error, data = await one.open(DEAF)
    await soon(lambda: pod.open)
    await one.send(data, b"", is_end=True)
    await one.hear_end(error, data)
    assert one.said(data) == b""


# Who does not read holds the other back


async def test_a_pod_that_takes_nothing_holds_its_client_back(one: Client, pod: Pod) -> None:
    error, data = await one.open(DEAF)
    size = 32 << 20
    sent = 0

    async def pour() -> None:
        nonlocal sent
        while sent < size:
            sent += 32_768
            await one.send(data, bytes(32_768))
        await one.send(data, b"", is_end=True)

    pouring = asyncio.ensure_future(pour())
    await stalled(lambda: sent)
    assert not pouring.done()
    pod.wakes.set()
    await asyncio.wait_for(pouring, 20)
    await one.hear_end(error, data)
    assert one.said(data) == b"%d octets" % size


async def test_who_goes_is_noticed_while_he_is_held_back(
    place: Place, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PULSE_S", 0.1)
    sent = 0
    async with client(place, "plain") as one:
        _, data = await one.open(DEAF)

        async def pour() -> None:
            nonlocal sent
            while True:
                sent += 32_768
                await one.send(data, bytes(32_768))

        pouring = asyncio.ensure_future(pour())
        await stalled(lambda: sent)
        one.leave()
        await asyncio.gather(pouring, return_exceptions=True)
        await soon(lambda: not place.doors._forwards._ways._open)
    pod.wakes.set()


async def test_one_that_takes_little_holds_nobody_else_back(one: Client, pod: Pod) -> None:
    _, data = await one.open(DEAF)
    await one.send(data, bytes(crossing.MOST_HELD // 2))
    await soon(lambda: pod.open)
    await echoes(one)
    await one.write(spdy.reset(data, 5))
    await echoes(one, bytes(crossing.MOST_HELD))


async def test_a_client_that_reads_nothing_holds_the_pod_back(one: Client, pod: Pod) -> None:
    error, data = await one.open(FLOOD)
    await soon(lambda: pod.poured)
    await stalled(lambda: pod.poured)
    assert pod.poured < FLOODED
    await one.hear_end(error, data)
    assert len(one.said(data)) == FLOODED


async def test_what_is_dropped_is_no_longer_counted() -> None:
    ours, theirs = socket.socketpair()
    for one in (ours, theirs):
        one.setblocking(False)
    held = crossing.Held()
    passing = crossing.Crossing(held)

    async def give(octets: bytes) -> None:
        raise AssertionError(octets)

    carrying = asyncio.ensure_future(passing.carry(ours, give))
    passing.put(bytes(crossing.MOST_HELD))
    loop = asyncio.get_running_loop()
    assert await asyncio.wait_for(loop.sock_recv(theirs, 1), 20)
    assert held._size > 0
    passing.forget()
    with suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            while await loop.sock_recv(theirs, 1 << 20):  # what is under way goes on
                passing.put(b"for nobody")
    assert held._size == 0
    theirs.close()
    await asyncio.wait_for(carrying, 20)
    ours.close()
    assert held._size == 0


async def test_who_serves_no_more_ends_what_nobody_reads(
    one: Client, place: Place, pod: Pod
) -> None:
    await one.open(FLOOD)
    await one.open(ECHO)
    await soon(lambda: pod.poured > 20 << 16 and pod.open == 2)
    async with asyncio.timeout(10):
        await place.lab.stop_serving()
    await soon(lambda: not place.doors._forwards._ways._open)


# What makes no sense


@pytest.mark.parametrize(
    "octets",
    [
        spdy.piece(0, b"x"),
        pack(">HHI", 0x8003, 1, 0xFFFFFF),
        pack(">HHI", 0x8002, 6, 4) + bytes(4),
        control(1, b"short"),
        control(1, pack(">IIH", 9, 0, 0) + b"not packed"),
        control(6, b""),
    ],
)
async def test_what_cannot_be_understood_ends_that_client_alone(
    one: Client, place: Place, pod: Pod, octets: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with client(place, "plain") as other:
        _, data = await other.open(ECHO)
        await other.send(data, b"x")
        await other.hear(lambda: other.said(data) == b"x")
        await one.open(ECHO)
        await soon(lambda: pod.open == 2)
        await one.write(octets)
        await one.hear_all()
        assert one.goaways == 1
        await soon(lambda: pod.open == 1)
        await echoes(other)
    (said,) = [one.getMessage() for one in caplog.records if one.name == "kdns.lab"]
    assert said.startswith("port-forward: a client of default/web is cut off: ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": "0"}, {"port": "65536"}, {"port": "-1"}, {"port": "http"}, {"port": ""},
        {"streamtype": "other"}, {"streamtype": ""}, {"port": "²"}, {"port": "9" * 5000},
    ],
)  # fmt: skip
async def test_streams_that_say_nothing_sensible_are_refused(
    one: Client, wrong: dict[str, str]
) -> None:
    asked = {"streamtype": "data", "port": "80", "requestid": "x", **wrong}
    await one.write(one.packer.opened(101, asked))
    await one.hear(lambda: one.resets)
    assert one.resets == {101: spdy.REFUSED}
    one.next_stream = 103
    await echoes(one)


async def test_numbers_of_streams_are_odd_and_grow(one: Client) -> None:
    one.next_stream = 11
    await echoes(one)
    asked = {"streamtype": "data", "port": "80", "requestid": "x"}
    for stream in (20, 13, 9):
        await one.write(one.packer.opened(stream, asked))
    await one.hear(lambda: len(one.resets) == 3)
    assert one.resets == dict.fromkeys((20, 13, 9), spdy.PROTOCOL_ERROR)
    await echoes(one)


async def test_a_third_stream_of_a_connection_is_refused(one: Client, pod: Pod) -> None:
    asked = {"port": "80", "requestid": "x"}
    for stream in (1, 3):
        await one.write(one.packer.opened(stream, {"streamtype": "error", **asked}))
    await one.hear(lambda: one.resets)
    assert (one.replied, one.resets) == ([1], {3: spdy.REFUSED})
    await one.write(one.packer.opened(5, {"streamtype": "data", **asked}))
    await soon(lambda: pod.open == 1)


async def test_half_a_connection_can_be_dropped(one: Client) -> None:
    asked = {"port": "80", "requestid": "x"}
    await one.write(one.packer.opened(1, {"streamtype": "data", **asked}))
    await one.send(1, b"lost")
    await one.write(spdy.reset(1, 5))
    await one.write(spdy.reset(1, 5))
    one.next_stream = 3
    await echoes(one)


async def test_old_clients_do_not_say_which_two_are_one(one: Client) -> None:
    for nth in (1, 5):
        for stream, kind in ((nth, "error"), (nth + 2, "data")):
            await one.write(one.packer.opened(stream, {"streamtype": kind, "port": "80"}))
        await one.send(nth + 2, b"%d" % nth, is_end=True)
    await one.hear_end(1, 3, 5, 7)
    assert (one.said(3), one.said(7)) == (b"1", b"5")


async def test_data_of_nobody_is_left_out(one: Client) -> None:
    await one.send(77, b"x" * 100_000)
    error, data = await one.open(ECHO)
    await one.send(error, b"x")
    await one.send(data, b"y", is_end=True)
    await one.hear_end(error, data)
    assert one.said(data) == b"y"


async def test_so_many_streams_at_once(one: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST", 4)
    lanes = [await one.open(ECHO) for _ in range(3)]
    await one.hear(lambda: len(one.resets) == 2)
    assert one.resets == dict.fromkeys(lanes[2], spdy.REFUSED)
    await one.send(lanes[0][1], b"x", is_end=True)
    await one.hear_end(*lanes[0])
    error, data = await one.open(ECHO)
    await one.send(data, b"x", is_end=True)
    await one.hear_end(error, data)


async def test_so_many_connections_of_all(one: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "MOST", 1)
    _, data = await one.open(ECHO)
    await one.send(data, b"x")
    await one.hear(lambda: one.said(data) == b"x")
    late = await one.open(ECHO)
    await one.hear_end(*late)
    assert b"are forwarded already" in one.said(late[0])


async def test_so_many_clients_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwards, "MOST", 1)
    async with client(place, "plain"), aiohttp.ClientSession() as session:
        head = {"Authorization": f"Bearer {place.lab.token}"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as found:
            await session.ws_connect(place.url + PATH, headers=head, protocols=[TUNNEL])
        assert found.value.status == 429


# Signs of life


async def test_pings_are_answered(one: Client) -> None:
    await one.write(spdy.ping(7) + spdy.ping(8))  # an even one is an answer
    await one.hear(lambda: one.pings)
    assert one.pings == [7]


async def test_who_is_silent_is_pinged(
    place: Place, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PULSE_S", 0.02)
    async with client(place, "tunnel") as one:
        await one.hear(lambda: len(one.pings) >= 3)
        assert one.pings[:3] == [2, 4, 6]


@pytest.mark.parametrize("how", ["delete", "fail", "replace"])
async def test_the_end_of_the_pod_ends_the_forward(one: Client, place: Place, how: str) -> None:
    _, data = await one.open(ECHO)
    await one.send(data, b"x")
    await one.hear(lambda: one.said(data) == b"x")
    storage = place.lab.storage
    place.pod("other")
    found = storage.get(PODS, "default", "web")
    metadata = {**found["metadata"], "labels": {"a": "b"}}
    storage.update(PODS, "default", "web", found | {"metadata": metadata})
    await one.send(data, b"y")
    await one.hear(lambda: one.said(data) == b"xy")
    if how == "fail":
        found = storage.get(PODS, "default", "web")
        status = found["status"] | {"phase": "Failed"}
        storage.update(PODS, "default", "web", found | {"status": status}, part="status")
    else:
        storage.delete(PODS, "default", "web", Deletion(grace_s=0))
        if how == "replace":
            place.pod()
    await one.hear_all()
