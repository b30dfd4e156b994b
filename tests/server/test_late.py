"""Answers that had to be waited for: together, from where they were asked, each to its own asker."""

import asyncio
import ctypes
import errno
import socket
from collections.abc import Callable

import pytest

from kdns.server.udp import late
from kdns.server.udp.late import Late
from kdns.server.udp.mmsg import COUNT, Slots
from kdns.server.udp.udp import UdpListener
from tests.server.test_batches import HOME, busy, ids, replies
from tests.server.test_udp import Asker, packet
from tests.stubs import Told, Waits, World, addresses

Send = Callable[[object, object, int, int], int]


def waiting() -> tuple[World, Waits]:
    waits = Waits(lambda query: addresses(query, 1))
    return World(waits), waits


def spied(slots: Slots, instead: Callable[[Send], Send]) -> None:
    slots._sendmmsg = instead(slots._sendmmsg)


async def turns(one: UdpListener) -> None:
    """Until all that was waited for has left."""
    while one.underway:
        await asyncio.sleep(0)


@pytest.mark.parametrize("host", [HOME, ""], ids=["one address", "every address"])
async def test_those_of_a_turn_leave_together_from_where_they_were_asked(
    host: str, way: str
) -> None:
    world, waits = waiting()
    one, port = busy(world, host)
    asked = ["127.0.0.1", "127.0.0.3", "::1", "127.9.8.7"] if not host else [HOME]
    askers = [Asker(socket.AF_INET6 if ":" in each else socket.AF_INET) for each in asked]
    each = (COUNT + 16) // len(asked)
    for at in range(each):
        for who, to in zip(askers, asked, strict=True):
            who.sock.sendto(packet(f"n{at}", at), (to, port))
    while one._read():
        pass
    assert one.underway == COUNT + 16
    sends = []

    def counted(send: Send) -> Send:
        return lambda fd, first, count, flags: sends.append(count) or send(fd, first, count, flags)

    if way == "batches":
        spied(one._way._slots, counted)
    waits.open()
    await turns(one)
    assert sends == ([COUNT, 16] if way == "batches" else [])
    for who, to in zip(askers, asked, strict=True):
        got = [await who.reply() for _ in range(each)]
        assert ids([reply for reply, _ in got]) == list(range(each))
        assert {peer[:2] for _, peer in got} == {(to, port)}
        who.sock.close()
    await one.stop(1)


@pytest.mark.parametrize("bad", [0, 7, COUNT - 1])
async def test_one_that_cannot_be_sent_is_counted_and_costs_no_other(
    asker: Asker, bad: int
) -> None:
    world, waits = waiting()
    one, port = busy(world)
    for at in range(COUNT):
        asker.sock.sendto(packet(f"n{at}", at), (HOME, port))
    one._read()
    slots, send = one._way._slots, one._way._slots.send

    def without_port(count: int) -> tuple[int, list[int]]:
        at = slots.names[bad]
        slots.data[at + 2 : at + 4] = b"\0\0"
        return send(count)

    slots.send = without_port
    waits.open()
    await turns(one)
    assert ids(replies(asker.sock)) == [at for at in range(COUNT) if at != bad]
    assert world.counters.values["kdns_send_failures_total", "udp"] == 1
    await one.stop(0)


@pytest.mark.parametrize("room", [0, 1, 20, COUNT + 3])
@pytest.mark.parametrize("host", [HOME, ""], ids=["one address", "every address"])
async def test_those_without_room_wait_for_it_and_stop_for_them(
    asker: Asker, room: int, host: str
) -> None:
    world, waits = waiting()
    one, port = busy(world, host)
    to = "127.0.0.3" if not host else HOME
    for at in range(COUNT + 10):
        asker.sock.sendto(packet(f"n{at}", at), (to, port))
    while one._read():
        pass
    left = [room]

    def full(send: Send) -> Send:
        def instead(fd: object, first: object, count: int, flags: int) -> int:
            if not left[0]:
                ctypes.set_errno(errno.EAGAIN)
                return -1
            done = send(fd, first, min(count, left[0]), flags)
            left[0] -= done
            return done

        return instead

    spied(one._way._slots, full)
    waits.open()
    stopping = asyncio.ensure_future(one.stop(2))
    got = [await asker.reply() for _ in range(COUNT + 10)]
    assert [int.from_bytes(reply[:2], "big") for reply, _ in got] == list(range(COUNT + 10))
    assert {peer[0] for _, peer in got} == {to}
    await stopping


async def test_after_them_slots_receive_packets_of_any_length(asker: Asker, way: str) -> None:
    world, waits = waiting()
    one, port = busy(world, "")
    for round_ in range(3):
        asker.sock.sendto(packet("short", round_), (HOME, port))
        one._read()
        waits.open()
        await turns(one)
        assert (await asker.reply())[1] == (HOME, port)
        long = ".".join(["x" * 50] * 4) + f".n{round_}"
        asker.sock.sendto(packet(long, round_), (HOME, port))
        one._read()
        waits.open()
        await turns(one)
        assert b"x" * 50 in (await asker.reply())[0]
    await one.stop(1)


async def test_what_came_at_once_leaves_with_its_batch(asker: Asker, way: str) -> None:
    world = World(Told(lambda query: addresses(query, 1)))  # a coroutine that never waits
    one, port = busy(world)
    for at in range(9):
        asker.sock.sendto(packet(f"n{at}", at), (HOME, port))
    one._read()
    assert ids(replies(asker.sock)) == list(range(9))
    assert not one.underway
    await one.stop(0)


async def test_nobody_gets_the_reply_of_another_that_came_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(late, "drive", lambda waited, done: waited(done))
    left: list[tuple[str, bytes]] = []
    asked = Late[str](left.extend, lambda: None)
    done: list[Callable[[bytes], None]] = []
    assert asked.wait_for(done.append, "one") is None

    def second(own: Callable[[bytes], None]) -> None:
        done[0](b"first")
        done.append(own)

    assert asked.wait_for(second, "two") is None
    assert asked.underway == 2
    assert asked.wait_for(lambda own: own(b"third"), "three") == b"third"
    done[1](b"second")
    await asyncio.sleep(0)
    assert left == [("one", b"first"), ("two", b"second")]
    assert not asked.underway


async def test_silence_is_no_reply_and_no_longer_under_way() -> None:
    left, ends = [], []
    late = Late[str](left.extend, lambda: ends.append(late.underway))

    async def nothing() -> None:
        await asyncio.sleep(0)

    for at in range(3):
        assert late.wait_for(nothing(), str(at)) is None
    while late.underway:
        await asyncio.sleep(0)
    assert left == []
    assert ends[-1] == 0
