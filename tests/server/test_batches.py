"""Batches of packets: the same replies as one by one, whatever one packet of a batch does."""

import asyncio
import ctypes
import errno
import gc
import socket
import struct
import weakref
from collections.abc import Callable

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.plugins.base import Client, Query, Result
from kdns.server import peers
from kdns.server.sockets import open_pair
from kdns.server.udp import mmsg, udp
from kdns.server.udp.mmsg import COUNT, Slots
from kdns.server.udp.singly import Singly
from kdns.server.udp.udp import BATCHES, UdpListener
from tests.server.test_udp import Asker, listener, packet
from tests.stubs import Told, Waits, World, addresses

HOME = "127.0.0.1"


class AtOnce(Told):
    """Answers without a coroutine, as the plugins of the hot miss path do."""

    name = "atonce"

    def at_once(self, query: Query) -> Result:
        return self.say(query)


def told() -> World:
    return World(AtOnce(lambda query: addresses(query, 1)))


def busy(world: World, host: str = HOME) -> tuple[UdpListener, int]:
    """A listener that reads when the test says so, in batches."""
    datagram, stream = open_pair(host, 0)
    stream.close()
    return UdpListener(datagram, world.with_table, world.clock), datagram.getsockname()[1]


def replies(sock: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(sock.recv(65535))
        except BlockingIOError:
            return found


def ids(found: list[bytes]) -> list[int]:
    return sorted(int.from_bytes(reply[:2], "big") for reply in found)


# One packet of a batch


@pytest.mark.parametrize("known", [False, True], ids=["new", "remembered"])
async def test_a_packet_that_raises_costs_its_own_reply_whatever_its_slot(
    asker: Asker, known: bool
) -> None:
    world = told()
    one, port = busy(world)
    for _ in range(3 * known):
        asker.sock.sendto(packet("good"), (HOME, port))
        one._read()
    replies(asker.sock)
    reply = world.with_table.reply

    def raises(asked: bytes, client: Client, now: float) -> object:
        if b"\3bad" in asked:
            raise RuntimeError("planted")
        return reply(asked, client, now)

    world.with_table.reply = raises
    for bad in range(COUNT):
        for at in range(COUNT):
            asker.sock.sendto(packet("bad" if at == bad else "good", at), (HOME, port))
        with pytest.raises(RuntimeError, match="planted"):
            one._read()
        assert ids(replies(asker.sock)) == [at for at in range(COUNT) if at != bad]
    await one.stop(0)


async def test_many_packets_that_raise_leave_the_others_their_replies(asker: Asker) -> None:
    world = told()
    one, port = busy(world)
    reply = world.with_table.reply

    def raises(asked: bytes, client: Client, now: float) -> object:
        if asked[1] % 3:
            raise RuntimeError("planted")
        return reply(asked, client, now)

    world.with_table.reply = raises
    for at in range(COUNT):
        asker.sock.sendto(packet(f"n{at}", at), (HOME, port))
    with pytest.raises(RuntimeError):
        one._read()
    assert ids(replies(asker.sock)) == list(range(0, COUNT, 3))
    await one.stop(0)


@pytest.mark.parametrize("bad", [(0,), (31,), (63,), (3, 4, 40)], ids=str)
async def test_a_bad_destination_is_counted_and_loses_no_other_reply(
    asker: Asker, bad: tuple[int, ...]
) -> None:
    world = told()
    one, port = busy(world)
    send = one._way._slots.send

    def without_port(count: int) -> tuple[int, list[int]]:
        for slot in bad:
            at = mmsg._NAMES + slot * mmsg._NAME
            one._way._slots.data[at + 2 : at + 4] = b"\0\0"
        return send(count)

    one._way._slots.send = without_port
    for at in range(COUNT):
        asker.sock.sendto(packet(id_=at), (HOME, port))
    assert one._read() == COUNT
    assert ids(replies(asker.sock)) == [at for at in range(COUNT) if at not in bad]
    assert world.counters.values["kdns_send_failures_total", "udp"] == len(bad)
    await one.stop(0)


@pytest.mark.parametrize("room", [0, 1, 20])
@pytest.mark.parametrize("host", [HOME, ""], ids=["one address", "every address"])
async def test_replies_without_room_wait_and_nothing_is_read_meanwhile(
    asker: Asker, room: int, host: str
) -> None:
    one, port = busy(told(), host)
    send = one._way._slots._sendmmsg
    left = [room]

    def full(fd: object, header: object, count: int, flags: int) -> int:
        if not left[0]:
            ctypes.set_errno(errno.EAGAIN)
            return -1
        done = send(fd, header, min(count, left[0]), flags)
        left[0] -= done
        return done

    one._way._slots._sendmmsg = full
    one.start()
    one._is_busy = True
    for at in range(COUNT + 1):
        asker.sock.sendto(packet(id_=at), ("127.0.0.3" if not host else HOME, port))
    assert one._read() == COUNT
    assert len(one._waiting) == COUNT - room
    assert one._read() == 0
    assert not one._is_reading
    left[0] = 1000
    got = [await asker.reply() for _ in range(COUNT + 1)]
    assert ids([reply for reply, _ in got]) == list(range(COUNT + 1))
    assert {peer[0] for _, peer in got} == {"127.0.0.3" if not host else HOME}
    await one.stop(1)


async def test_what_waits_leaves_holes_and_is_answered_later(asker: Asker) -> None:
    waits = Waits(lambda query: addresses(query, 1))
    world = World(waits)
    one, port = busy(world)
    for name in ("hot", "hot", "hot"):
        asker.sock.sendto(packet(name), (HOME, port))
        one._read()
        waits.open()
        await asker.reply()
    for at in range(COUNT):
        asker.sock.sendto(packet("hot" if at % 3 else f"n{at}", at), (HOME, port))
    one._read()
    assert ids(replies(asker.sock)) == [at for at in range(COUNT) if at % 3]
    waits.open()
    late = [(await asker.reply())[0] for at in range(0, COUNT, 3)]
    assert ids(late) == list(range(0, COUNT, 3))
    assert not one.underway
    await one.stop(1)


async def test_what_has_no_room_to_wait_is_told_so_and_what_is_known_goes_out(
    asker: Asker, way: str
) -> None:
    waits = Waits(lambda query: addresses(query, 1))
    world = World(waits)
    one, port = busy(world)
    one._late.most = 70
    for _ in range(3):
        asker.sock.sendto(packet("hot"), (HOME, port))
        one._read()
        waits.open()
        await asker.reply()
    for at in range(100):
        asker.sock.sendto(packet(f"n{at}", at), (HOME, port))
        asker.sock.sendto(packet("hot", 100 + at), (HOME, port))
    while one._read():
        pass
    assert one.underway == 70
    got = [dns.message.from_wire(reply) for reply in replies(asker.sock)]
    assert [one.id for one in got if not one.rcode()] == list(range(100, 200))
    assert [one.id for one in got if one.rcode() == 2] == list(range(70, 100))
    assert world.counters.values["kdns_busy_total", "udp"] == 30
    for _ in range(3):
        waits.open()
        await asyncio.sleep(0)
    assert ids([(await asker.reply())[0] for _ in range(70)]) == list(range(70))
    await one.stop(1)


async def test_who_has_edns_is_told_why(asker: Asker, way: str) -> None:
    one, port = busy(World(Waits(lambda query: addresses(query, 1))))
    one._late.most = 0
    asker.sock.sendto(dns.message.make_query("x", "A", use_edns=0).to_wire(), (HOME, port))
    asker.sock.sendto(b"no packet", (HOME, port))
    one._read()
    [reply] = replies(asker.sock)
    [option] = dns.message.from_wire(reply).options
    assert option.text == "too many questions wait for answers"
    await one.stop(0)


# Addresses


async def test_a_batch_from_everywhere_is_answered_from_where_each_packet_went() -> None:
    world = told()
    one, port = busy(world, "")
    asked = ["127.0.0.1", "127.0.0.2", "::1", "127.9.8.7"]
    askers = [Asker(socket.AF_INET6 if ":" in host else socket.AF_INET) for host in asked]
    for round_ in range(4):
        for at in range(15):
            for who, host in zip(askers, asked, strict=True):
                who.sock.sendto(packet(id_=at), (host, port))
        assert one._read() == 60
        for who, host in zip(askers, asked, strict=True):
            got = [await who.reply() for _ in range(15)]
            assert ids([reply for reply, _ in got]) == list(range(15))
            assert {peer[:2] for _, peer in got} == {(host, port)}
        view = next(iter(world.table.views.values()), None)
        if round_ == 3:
            assert view.hits
            assert view.hits_v6 * 4 in range(view.hits - 4, view.hits + 5)
    for who in askers:
        who.sock.close()
    await one.stop(0)


@pytest.mark.parametrize("burst", [1, 40])
async def test_without_ipv6_replies_leave_from_the_address_asked(
    asker: Asker, way: str, burst: int
) -> None:
    clients = []

    def say(query: Query) -> Result:
        clients.append(query.client)
        return addresses(query, 1)

    world = World(AtOnce(say))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("", 0))
    port = sock.getsockname()[1]
    one = UdpListener(sock, world.with_table, world.clock)
    one.start()
    for host in ("127.0.0.1", "127.0.0.2", "127.9.8.7"):
        for at in range(burst):
            asker.sock.sendto(packet(host, at), (host, port))
        got = [await asker.reply() for _ in range(burst)]
        assert {peer for _, peer in got} == {(host, port)}
        assert clients[-1].local == socket.inet_aton(host)
        assert clients[-1].address == b"\x7f\0\0\1"
        assert clients[-1].port == asker.sock.getsockname()[1]
    assert not any(view.hits_v6 for view in world.table.views.values())
    await one.stop(1)


async def test_link_local_alone_keeps_its_interface() -> None:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    slots = Slots(sock, with_control=True)
    far = [b"\xfe\x80" + bytes(14), b"\0\0\xfe\x80" + bytes(12), bytes(15) + b"\1"]
    for slot, address in enumerate(far):
        at = mmsg._CONTROLS + slot * mmsg._CONTROL
        slots.data[at + 16 : at + 36] = address + struct.pack("@I", 7)
    slots.turn(3)
    assert [slots._indexes[slot] for slot in range(3)] == [7, 0, 0]
    slots.turn_one()
    assert slots._indexes[0] == 7
    slots.data[mmsg._CONTROLS + 16] = 0
    slots.turn_one()
    assert [slots._indexes[slot] for slot in range(3)] == [0, 0, 0]
    slots._indexes[0] = 7
    slots.turn(3)
    assert not any(slots._indexes[slot] for slot in range(3))
    sock.close()


@pytest.mark.parametrize(
    ("address", "is_v6"),
    [("::ffff:1.2.3.4", False), ("::1.2.3.4", True), ("::1", True), ("::ffff:0:1.2.3.4", True),
     ("1::ffff:1.2.3.4", True), ("::ffff:0:0:1", True)],
)  # fmt: skip
def test_ipv4_inside_ipv6_is_ipv4(address: str, is_v6: bool) -> None:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    slots = Slots(sock)
    for slot, host in enumerate(("::ffff:9.9.9.9", address, "::ffff:8.8.8.8")):
        at = mmsg._NAMES + slot * mmsg._NAME
        name = struct.pack("@H", socket.AF_INET6) + b"\0\x35" + bytes(4)
        packed = socket.inet_pton(socket.AF_INET6, host)
        slots.data[at : at + 28] = name + packed + struct.pack("@I", 3)
    assert [slots.is_v6(slot) for slot in range(3)] == [False, is_v6, False]
    assert slots.are_v6(3) == ([False, True, False] if is_v6 else None)
    peer = peers.peer_of(slots.name(1))
    assert peers.is_over_v6(peer) == is_v6
    assert peers.address_of(slots.name(1)) == peers.address_of(peer)
    assert peer[1:] == (53, 0, 3)
    sock.close()


# The plain way


@pytest.mark.parametrize("host", [HOME, ""], ids=["one address", "every address"])
async def test_both_ways_answer_a_burst_and_a_packet_alone(
    asker: Asker, way: str, host: str
) -> None:
    world = told()
    one, port = listener(world, host)
    one.start()
    for burst in (1, 1, 1, 200, 1, 300, 1):
        for at in range(burst):
            asker.sock.sendto(packet(f"n{at % 7}", at), ("127.0.0.5" if not host else HOME, port))
        got = [await asker.reply() for _ in range(burst)]
        assert ids([reply for reply, _ in got]) == list(range(burst))
    assert (isinstance(one._way, Singly)) == (way == "one by one")
    await one.stop(1)


@pytest.mark.parametrize("size", [4096, 4097, 20_000, 65_507])
async def test_a_packet_of_any_size_is_read_whole(asker: Asker, way: str, size: int) -> None:
    query = dns.message.make_query("big.shop", "A", use_edns=0, payload=1232)
    query.use_edns(0, options=[dns.edns.GenericOption(65001, bytes(size - 41))])
    wire = query.to_wire(max_size=65535)
    assert size - 10 <= len(wire) <= size + 10
    wire = wire[:65_507]
    world = told()
    one, port = busy(world)
    for _ in range(2):
        asker.sock.sendto(packet("small"), (HOME, port))
        asker.sock.sendto(wire, (HOME, port))
        asker.sock.sendto(packet("small"), (HOME, port))
        one._is_busy = True
        one._read()
        found = replies(asker.sock)
        expected = await world.plain(wire)
        assert len(found) == 3 - (expected is None)
        assert found[1 : 1 + (expected is not None)] == ([expected] if expected else [])
    await one.stop(0)


def of_any_kind() -> st.SearchStrategy[bytes]:
    asked = st.builds(packet, st.sampled_from(["a", "b", "A", "c.d"]), st.integers(0, 65535))
    broken = st.builds(
        lambda one, at, new: one[:at] + new + one[at + len(new) :],
        asked, st.integers(0, 40), st.binary(max_size=4),
    )  # fmt: skip
    return asked | broken | st.binary(max_size=64)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(of_any_kind(), min_size=1, max_size=70), min_size=1, max_size=3))
def test_both_ways_give_the_same_replies(bursts: list[list[bytes]]) -> None:
    async def answered(*, plain: bool) -> list[list[bytes]]:
        world = told()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(udp, "_fits", lambda: not plain)
            one, port = busy(world)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            found = []
            for burst in bursts:
                for each in burst:
                    asker.sendto(each, (HOME, port))
                while one._read():
                    pass
                found.append(sorted(replies(asker)))
        one.sock.close()
        return found

    assert asyncio.run(answered(plain=False)) == asyncio.run(answered(plain=True))


# Turns


async def test_a_wake_up_is_bounded_however_long_the_queue(asker: Asker) -> None:
    one, port = busy(told())
    for at in range(COUNT * BATCHES + 50):
        asker.sock.sendto(packet(id_=at), (HOME, port))
    one._is_busy = True
    assert one._read() == COUNT * BATCHES
    assert one._read() == 50
    await one.stop(0)


async def test_a_timer_gets_its_turn_under_a_flood(asker: Asker) -> None:
    one, port = listener(told())
    loop = asyncio.get_running_loop()
    read, wakes = one._read, []

    def and_more() -> int:
        wakes.append(1)
        for at in range(300):
            asker.sock.sendto(packet(id_=at), (HOME, port))
        return read()

    one._read = and_more
    one._is_busy = True
    one.start()
    asker.sock.sendto(packet(), (HOME, port))
    turns = 0
    while len(wakes) < 2 and turns < 50:
        done = loop.create_future()
        loop.call_later(0.1, done.set_result, None)
        await done
        turns += 1
    assert one._is_busy
    assert len(wakes) > 1
    one._read = read
    await one.stop(0.1)


async def test_it_takes_one_at_low_rates_and_many_while_there_are_many(asker: Asker) -> None:
    world = told()
    one, port = busy(world)
    reads = []
    read = one._read
    one._read = lambda: reads.append(read()) or reads[-1]

    def wakes(count: int, *, apart_s: float) -> None:
        for _ in range(count):
            world.clock.now += apart_s
            one._wake()

    def ask(count: int) -> None:
        for at in range(count):
            asker.sock.sendto(packet(id_=at), (HOME, port))

    ask(1)
    wakes(1, apart_s=1.0)  # looks, and finds no more
    ask(40)
    wakes(udp.SELDOM - 2, apart_s=200e-6)
    assert reads == []
    assert len(replies(asker.sock)) == udp.SELDOM - 1
    wakes(1, apart_s=200e-6)
    assert reads == [40 - udp.SELDOM]
    ask(100)
    wakes(1, apart_s=200e-6)
    assert reads[1:] == [100]
    ask(1)
    wakes(1, apart_s=200e-6)
    assert reads[2:] == [1]
    ask(2)
    wakes(1, apart_s=200e-6)
    assert reads[3:] == []
    wakes(1, apart_s=200e-6)
    await one.stop(0)


@pytest.mark.parametrize("busy_s", [0.003, 0.001])
async def test_a_loop_that_is_long_away_answers_all_that_waits_when_it_is_back(
    asker: Asker, way: str, busy_s: float
) -> None:
    world = told()
    one, port = busy(world)
    for id_ in range(50):  # each time some, and a packet alone in between: never found busy before
        for burst in (15, 1):
            for at in range(burst):
                asker.sock.sendto(packet(id_=id_ << 4 | at), (HOME, port))
            world.clock.now += busy_s
            one._wake()
            assert len(replies(asker.sock)) == burst
        one._wake()
    await one.stop(0)


async def test_a_packet_alone_is_answered_by_what_a_reload_put_there(asker: Asker) -> None:
    world = told()
    other = World(AtOnce(lambda query: addresses(query, 9)))
    one, port = busy(world)
    one._read()

    async def last() -> int:
        asker.sock.sendto(packet(), (HOME, port))
        one._wake()
        return (await asker.reply())[0][-1]

    assert [await last() for _ in range(6)] == [1] * 6
    assert next(iter(world.table.views.values())).hits
    world.with_table.replace(other.router)
    assert [await last() for _ in range(6)] == [9] * 6
    assert world.table is not one.pipeline.table
    assert next(iter(one.pipeline.table.views.values())).hits
    await one.stop(0)


async def test_a_packet_alone_without_room_waits_for_it(asker: Asker) -> None:
    one, port = busy(told())
    for _ in range(4):
        asker.sock.sendto(packet(), (HOME, port))
        one._wake()
        await asker.reply()
    way, slots = one._way, one._way._slots
    alone, many = way._send_one, slots._sendmmsg
    way._send_one, slots._sendmmsg = (lambda: -1), fails_with(errno.EAGAIN)
    asker.sock.sendto(packet(id_=7), (HOME, port))
    one._wake()
    assert len(one._waiting) == 1
    way._send_one, slots._sendmmsg = alone, many
    one.start()
    for at in (8, 9):
        asker.sock.sendto(packet(id_=at), (HOME, port))
    assert ids([(await asker.reply())[0] for _ in range(3)]) == [7, 8, 9]
    await one.stop(1)


async def test_the_loop_keeps_what_the_kernel_writes_to(asker: Asker) -> None:
    world = told()
    one, port = listener(world)
    one._is_busy = True
    one.start()
    slots, stop = weakref.ref(one._way._slots), one.stop
    del one
    gc.collect()
    for at in range(50):
        asker.sock.sendto(packet(id_=at), (HOME, port))
    assert len([await asker.reply() for _ in range(50)]) == 50
    await stop(1)
    del stop
    for _ in range(3):  # what the loop called last, it lets go of when it calls something else
        await asyncio.sleep(0.001)
    gc.collect()
    assert slots() is None


# Where it does not fit


def fails_with(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    return fail


def test_the_layouts_hold_here() -> None:
    assert mmsg.refusal() == ""


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_system_that_forbids_the_calls_is_refused(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    class Forbidden(Slots):
        def __init__(self, sock: socket.socket) -> None:
            super().__init__(sock)
            self._recvmmsg = fails_with(number)

    monkeypatch.setattr(mmsg, "Slots", Forbidden)
    assert mmsg.refusal.__wrapped__()


@pytest.mark.parametrize("view", ["sizes", "lengths", "starts"])
def test_other_layouts_are_refused(monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    class Shifted(Slots):
        def __init__(self, sock: socket.socket) -> None:
            super().__init__(sock)
            setattr(self, view, getattr(self, view)[1:])

    monkeypatch.setattr(mmsg, "Slots", Shifted)
    assert mmsg.refusal.__wrapped__() == "the structures are laid out differently"


@pytest.mark.parametrize("fact", [("platform", "darwin"), ("calcsize", 4)], ids=str)
def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch, fact: tuple) -> None:
    if fact[0] == "platform":
        monkeypatch.setattr(mmsg.sys, "platform", fact[1])
    else:
        monkeypatch.setattr(mmsg.struct, "calcsize", lambda _: fact[1])
    assert mmsg.refusal.__wrapped__() == "not 64-bit Linux"


async def test_a_refusal_is_said_in_one_line_and_packets_are_answered(
    asker: Asker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(udp, "refusal", lambda: "not 64-bit Linux")
    monkeypatch.setattr(udp, "_fits", udp._fits.__wrapped__)
    caplog.set_level("DEBUG", "kdns.server")
    one, port = listener(told())
    said = [each for each in caplog.records if "one by one" in each.getMessage()]
    assert [each.levelname for each in said] == ["DEBUG"]
    one.start()
    asker.sock.sendto(packet(), (HOME, port))
    assert (await asker.reply())[0][3] & 15 == 0
    await one.stop(1)
