"""What few plugins ask of the server: gates before the table, choice of blocks, odd replies."""

import asyncio
from collections.abc import Callable, Iterator

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.update
import pytest

from kdns.plugins.base import (
    SILENCE,
    Chooser,
    Client,
    Editor,
    Filter,
    Gate,
    Next,
    Query,
    Result,
    Seal,
)
from kdns.server.chain import join
from kdns.server.router import Block, Router
from kdns.wire import names, types
from kdns.wire.message import Answer, Transfer
from tests.server.test_stream import Served, frame, message
from tests.server.test_udp import Asker, listener, packet
from tests.stubs import Told, World, addresses, soa

ONE, TWO = b"\x0a\0\0\1", b"\x0a\0\0\2"


class Guard(Gate):
    """A gate of any mind."""

    name = "guard"
    room = 3

    def __init__(self, judge: Callable[[bytes, Client], bytes | Seal | None]) -> None:
        self.judge = judge

    def admit(self, packet: bytes, client: Client, now: float) -> bytes | Seal | None:
        return self.judge(packet, client)


class Takes(Chooser):
    """A chooser of any mind."""

    name = "takes"

    def __init__(self, judge: Callable[[Query], bool]) -> None:
        self.judge = judge

    def takes(self, query: Query) -> bool:
        return self.judge(query)


class First:
    """Two classes of askers: the one with this address, and all others."""

    def classify(self, address: bytes) -> bool:
        return address == ONE


class Does(Filter):
    """Does something to the query before it goes on."""

    name = "does"

    def __init__(self, act: Callable[[Query], None]) -> None:
        self.act = act

    async def around(self, query: Query, next_: Next) -> Result:
        self.act(query)
        return await next_(query)


class Spoils(Editor):
    """Would spoil every answer."""

    name = "spoils"

    def __init__(self) -> None:
        pass

    def edit(self, query: Query, answer: Answer) -> Answer:
        return answer.but(rcode=types.REFUSED)


def asked(name: str = "web.shop", type_: str = "A", **changes: object) -> bytes:
    query = dns.message.make_query(name, type_, **changes)
    query.id = 1
    return query.to_wire()


def read(reply: bytes | None) -> dns.message.Message:
    assert reply is not None
    return dns.message.from_wire(reply)


# Gates


async def test_a_gate_sees_every_packet_also_those_the_table_has(way: str, asker: Asker) -> None:
    seen = []

    def judge(packet: bytes, client: Client) -> bytes | Seal | None:
        seen.append(client.port)
        return {2: SILENCE, 3: packet[:2] + b"no"}.get(packet[1])

    world = World(Guard(judge), told := Told(lambda query: addresses(query, 1)))
    udp, port = listener(world)
    udp.start()
    for _ in range(4):
        for id_ in (1, 2, 3):
            asker.sock.sendto(packet("web.shop", id_), ("127.0.0.1", port))
        replies = {(await asker.reply())[0] for _ in range(2)}
        assert {reply[:2] for reply in replies} == {b"\0\1", b"\0\3"}
        assert b"\0\3no" in replies
    assert seen == [asker.sock.getsockname()[1]] * 12
    assert told.asked == 2  # then the table had it
    await udp.stop(1)


async def test_a_gate_stands_before_streams_too() -> None:
    world = World(
        Guard(lambda packet, client: packet[:2] + b"no" if packet[1] % 2 else None),
        Told(lambda query: addresses(query, 1)),
        whole=True,
    )
    async with Served(world) as served:
        reader, writer = await served.connect()
        for _ in range(3):
            writer.write(frame("web.shop", 1))
            assert await reader.readexactly(6) == b"\0\4\0\1no"
            writer.write(frame("web.shop", 2))
            assert (await message(reader)).answer
        writer.close()


async def test_a_seal_is_the_last_to_touch_a_reply_and_has_room() -> None:
    world = World(
        Guard(lambda packet, client: lambda reply: reply + b"end"),
        Told(lambda query: addresses(query, *range(80))),
    )
    for _ in range(4):
        reply = await world.ask(asked())
        assert reply is not None
        assert reply.endswith(b"end")
        assert len(reply) <= 512
        assert read(reply[:-3]).flags & dns.flags.TC


# Choosers


@pytest.mark.parametrize("order", [(ONE, TWO), (TWO, ONE)])
async def test_blocks_are_chosen_by_asker_and_stay_in_the_table(order: tuple[bytes, bytes]) -> None:
    first = First()

    def judge(query: Query) -> bool:
        query.reads_class(first)
        return first.classify(query.client.address)

    inside, outside = (Told(lambda q, at=at: addresses(q, at)) for at in (1, 2))
    world = World()
    blocks = [
        Block(names.ROOT, join([told]), (told, *choosers), ())
        for told, choosers in ((inside, (Takes(judge),)), (outside, ()))
    ]
    world.with_table.replace(Router(blocks, recurses=False))
    for _ in range(4):
        for address in order:
            [rrset] = read(await world.ask(asked(), address)).answer
            assert rrset[0].address == f"10.0.0.{1 if address == ONE else 2}"
    assert inside.asked <= 2
    assert outside.asked <= 2


async def test_where_no_block_of_a_zone_takes_it_a_shorter_zone_does() -> None:
    told = Told(lambda query: addresses(query, 1))
    other = Told(lambda query: addresses(query, 2))
    never = Takes(lambda query: query.type == types.AAAA)
    world = World()
    blocks = [
        Block(names.parse_key("shop"), join([told]), (told, never), ()),
        Block(names.ROOT, join([other]), (other,), ()),
    ]
    world.with_table.replace(Router(blocks, recurses=False))
    assert read(await world.ask(asked())).answer[0][0].address == "10.0.0.2"
    assert read(await world.ask(asked(type_="AAAA"))).answer[0].name.to_text() == "web.shop."
    assert (told.asked, other.asked) == (1, 1)
    world.with_table.replace(Router(blocks[:1], recurses=False))
    assert read(await world.ask(asked())).rcode() == dns.rcode.REFUSED


async def test_a_chooser_that_fails_costs_one_servfail() -> None:
    def judge(query: Query) -> bool:
        raise ValueError

    told = Told(lambda query: addresses(query, 1))
    world = World(Takes(judge), told)
    assert read(await world.ask(asked())).rcode() == dns.rcode.SERVFAIL
    assert read(await world.ask(asked())).id == 1


# What a query says of its reply


@pytest.mark.parametrize("sizes", [(4096, 1232), (1232, 4096), (4096, 600), (600, 4096)])
async def test_a_capped_size_counts_for_all_who_ask(sizes: tuple[int, int]) -> None:
    world = World(
        Does(lambda query: query.cap(1232)),
        told := Told(lambda query: addresses(query, *range(90))),
    )
    for _ in range(3):
        for size in sizes:
            packet = asked(use_edns=0, payload=size)
            reply = await world.ask(packet)
            assert reply == await world.plain(packet)
            assert reply is not None
            assert len(reply) <= min(size, 1232)
            assert read(reply).payload == min(size, 1232)
    assert told.asked < 12 + 6


async def test_a_sealed_reply_is_for_this_once() -> None:
    world = World(
        Does(lambda query: query.seal(lambda reply: reply + query.packet[:2], room=2)),
        told := Told(lambda query: addresses(query, *range(80))),
    )
    for at in range(1, 5):
        reply = await world.ask(asked())
        assert reply is not None
        assert reply.endswith(b"\0\1")
        assert len(reply) <= 512
        assert told.asked == at


async def test_forced_header_bits_win() -> None:
    forced = (types.AD | types.RA) << 16 | types.AA | types.RD
    world = World(Told(lambda query: addresses(query, 1, forced=forced)))
    for _ in range(3):
        flags = read(await world.ask(asked())).flags
        assert flags & (dns.flags.AD | dns.flags.RA) == dns.flags.AD | dns.flags.RA
        assert not flags & (dns.flags.AA | dns.flags.RD)


async def test_packets_that_differ_in_an_option_that_is_read_share_nothing() -> None:
    class Reads(Told):
        reads = frozenset((65001,))

    def say(query: Query) -> Result:
        return addresses(query, query.question.options[-1])

    world = World(told := Reads(say))
    for _ in range(3):
        for last in (1, 2):
            option = dns.edns.GenericOption(65001, bytes((last,)))
            ignored = dns.edns.GenericOption(65002, b"x")
            reply = read(await world.ask(asked(use_edns=0, options=[ignored, option])))
            assert reply.answer[0][0].address == f"10.0.0.{last}"
    assert told.asked == 4


# Other opcodes


def update() -> bytes:
    made = dns.update.UpdateMessage("shop")
    made.id = 1
    for at in range(5):
        made.add(f"n{at}", 5, "A", "10.0.0.1")
    return made.to_wire()


async def test_only_a_block_that_admits_an_opcode_is_asked() -> None:
    class Admits(Told):
        opcodes = frozenset((types.UPDATE,))

    told, admits = Told(lambda q: addresses(q, 1)), Admits(lambda q: Answer(rcode=6))
    world = World(told)
    assert (await world.ask(update()))[3] & 15 == types.NOTIMP
    shop, other = names.parse_key("shop"), names.parse_key("other")
    blocks = [Block(zone, join([one]), (one,), ()) for zone, one in ((shop, admits), (other, told))]
    world.with_table.replace(Router(blocks, recurses=False))
    for at in range(1, 4):
        reply = await world.ask(update())
        assert reply is not None
        assert (reply[2] >> 3 & 15, reply[3] & 15) == (5, dns.rcode.YXDOMAIN)
        assert admits.asked == at
    world.with_table.replace(Router(blocks[1:], recurses=False))
    assert (await world.ask(update()))[3] & 15 == types.NOTIMP
    world.with_table.replace(Router(blocks, recurses=False))
    reply = await world.ask(update().replace(b"\4shop", b"\5other"))
    assert reply is not None
    assert reply[3] & 15 == types.NOTIMP
    assert told.asked == 0


# Transfers


def transfer(count: int, seal: bool = False) -> Callable[[Query], Result]:
    def messages() -> Iterator[Answer]:
        for at in range(count):
            yield Answer(answer=(soa(),), flags=types.AA, rcode=at % 2)

    def say(query: Query) -> Result:
        if seal:
            query.seal(lambda reply: reply + b"x", room=1)
        return Transfer(messages=messages)

    return say


async def test_a_transfer_leaves_in_its_messages_and_no_editor_sees_it() -> None:
    world = World(Spoils(), Told(transfer(300)), whole=True)
    async with Served(world) as served:
        reader, writer = await served.connect()
        for _ in range(2):
            writer.write(frame("cluster.local"))
            codes = [(await message(reader)).rcode() for _ in range(300)]
            assert codes == [0, 1] * 150
        writer.close()


async def test_every_message_of_a_transfer_is_sealed() -> None:
    async with Served(World(Told(transfer(3, seal=True)), whole=True)) as served:
        reader, writer = await served.connect()
        writer.write(frame("cluster.local"))
        for _ in range(3):
            size = int.from_bytes(await reader.readexactly(2), "big")
            assert (await reader.readexactly(size))[-1:] == b"x"
        writer.close()


async def test_a_client_that_takes_nothing_stops_its_transfer_alone() -> None:
    made = []

    def messages() -> Iterator[Answer]:
        for at in range(100_000):
            made.append(at)
            yield Answer(answer=(soa(),) * 100)

    world = World(Told(lambda query: Transfer(messages=messages)), whole=True)
    async with Served(world) as served:
        _, lazy = await served.connect()
        lazy.write(frame("cluster.local"))
        before = -1
        while len(made) != before or not made:
            before = len(made)
            await asyncio.sleep(0.1)
        assert before < 100_000
        lazy.close()


async def test_a_transfer_over_udp_is_servfail() -> None:
    world = World(Told(transfer(3)))
    assert read(await world.ask(asked())).rcode() == dns.rcode.SERVFAIL
