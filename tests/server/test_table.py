"""The answer table: what it remembers is what the chain would say, and only for as long."""

import asyncio
from dataclasses import dataclass
from socket import inet_ntoa

import dns.edns
import dns.flags
import dns.message
import pytest

from kdns.plugins.base import SKIP, Query
from kdns.server import table
from kdns.server.table import AnswerTable
from kdns.wire import records, types
from kdns.wire.message import Answer, RRset
from tests.stubs import Rotates, Told, Waits, World, addresses, soa

OPT_BYTES = 11


def packet(name: str = "web.shop.svc.cluster.local", **changes: object) -> bytes:
    query = dns.message.make_query(name, changes.pop("type", "A"), **changes)
    query.id = 0x1234
    return query.to_wire()


def first(reply: bytes | None) -> str:
    assert reply is not None
    return dns.message.from_wire(reply).answer[0][0].to_text()


def in_order(asked: bytes, reply: bytes) -> list[str]:
    """The addresses of a reply. Not by dnspython: it takes 3 ms for eighty."""
    start, stop = len(asked) - OPT_BYTES, len(reply) - OPT_BYTES
    return [inet_ntoa(reply[at + 12 : at + 16]) for at in range(start, stop, 16)]


async def test_a_question_is_remembered_at_second_sight() -> None:
    told = Told(lambda query: addresses(query, 1))
    world = World(told)
    replies = [await world.ask(packet()) for _ in range(6)]
    assert told.asked == 2
    assert len(set(replies)) == 1
    assert len(world.table.views) == 1


async def test_questions_asked_once_leave_no_trace() -> None:
    world = World(Told(lambda query: addresses(query, 1)))
    for at in range(500):
        await world.ask(packet(f"n{at}.example"))
    assert (len(world.table.views), len(world.table.entries), world.table.size_bytes) == (0, 0, 0)


async def test_the_id_of_each_packet_comes_back() -> None:
    world = World(Told(lambda query: addresses(query, 1)))
    for at in range(8):
        asked = bytes((at, 7)) + packet()[2:]
        reply = await world.ask(asked)
        assert reply is not None
        assert reply[:2] == bytes((at, 7))


async def test_a_change_of_a_touched_fact_forgets_and_others_do_not() -> None:
    state = {"web": 1}

    def say(query: Query) -> Answer:
        query.touch("shop/web")
        return addresses(query, state["web"])

    told = Told(say)
    world = World(told)
    for _ in range(4):
        assert first(await world.ask(packet())) == "10.0.0.1"
    asked = told.asked
    world.stamps.bump(["shop/other"])
    await world.ask(packet())
    assert told.asked == asked, "another fact's change ran the chain"
    state["web"] = 2
    world.stamps.bump(["shop/web"])
    assert first(await world.ask(packet())) == "10.0.0.2"
    for _ in range(3):
        assert first(await world.ask(packet())) == "10.0.0.2"
    assert told.asked == asked + 1, "a name seen before is remembered at once again"


async def test_a_change_during_an_await_keeps_the_old_answer_out() -> None:
    state = {"web": 1}

    def say(query: Query) -> Answer:
        query.touch("shop/web")
        return addresses(query, state["web"])

    waits = Waits(say)
    world = World(waits)
    for late in (False, False, True):
        asking = asyncio.ensure_future(world.ask(packet()))
        await asyncio.sleep(0)
        if late:
            break
        waits.open()
        await asking
    else:
        raise AssertionError
    state["web"] = 2
    world.stamps.bump(["shop/web"])
    waits.open()
    assert first(await asking) == "10.0.0.1", "the query began before the change"
    fresh = asyncio.ensure_future(world.ask(packet()))
    await asyncio.sleep(0)
    waits.open()
    assert first(await fresh) == "10.0.0.2"


async def test_a_reload_during_an_await_keeps_the_old_answer_out() -> None:
    waits = Waits(lambda query: addresses(query, 1))
    world = World(waits)
    for _ in range(3):
        asking = asyncio.ensure_future(world.ask(packet()))
        await asyncio.sleep(0)
        world.with_table.replace(world.router)
        waits.open()
        await asking
    assert len(world.table.entries) == 0


async def test_the_serial_is_patched_and_never_runs_the_chain() -> None:
    @dataclass
    class Zone:
        serial: int = 0

    zone = Zone()
    negative = Answer(rcode=types.NXDOMAIN, authority=(soa(),), serial=zone, flags=types.AA)
    told = Told(lambda _: negative)
    world = World(told)
    for _ in range(4):
        await world.ask(packet())
    asked = told.asked
    zone.serial = 77
    world.stamps.bump(["something/else"])
    reply = await world.ask(packet())
    assert reply is not None
    assert dns.message.from_wire(reply).authority[0][0].serial == 77
    assert told.asked == asked


async def test_ageing_ttls_count_down_by_whole_seconds_and_end() -> None:
    world: World

    def say(query: Query) -> Answer:
        query.until(1030.0)
        return addresses(query, 1, aging=(1000.0, 30))

    told = Told(say)
    world = World(told)
    for _ in range(4):
        await world.ask(packet())
    asked = told.asked
    for now, ttl in ((1000.9, 30), (1001.0, 29), (1001.5, 29), (1010.2, 20), (1029.9, 1)):
        world.clock.now = now
        reply = await world.ask(packet())
        assert reply == await world.plain(packet())
        assert reply is not None
        assert dns.message.from_wire(reply).answer[0].ttl == ttl
    assert told.asked == asked + 5, "only the plain pipeline asked"
    world.clock.now = 1030.0
    await world.ask(packet())
    assert told.asked == asked + 6


@pytest.mark.parametrize("count", [2, 7, 80])
@pytest.mark.parametrize("whole", [False, True])
async def test_rotation_gives_each_record_the_first_place_equally(count: int, whole: bool) -> None:
    world = World(Rotates(), Told(lambda query: addresses(query, *range(count))), whole=whole)
    asked = packet(use_edns=0, payload=1232)
    seen: dict[str, int] = {}
    rounds = 60 if count < 10 else 12
    for _ in range(count * rounds):
        reply = await world.ask(asked)
        assert reply is not None
        kept = in_order(asked, reply)
        assert len(set(kept)) == len(kept) == (count if whole else min(count, 73))
        assert bool(reply[2] & 2) is (len(kept) < count)
        seen[kept[0]] = seen.get(kept[0], 0) + 1
    assert {rdata.to_text() for rdata in dns.message.from_wire(reply).answer[0]} == set(kept)
    assert len(seen) == count
    assert max(seen.values()) < rounds * 3


async def test_letter_case_and_cookies_do_not_run_the_chain() -> None:
    told = Told(lambda query: addresses(query, 1))
    world = World(told)
    for _ in range(3):
        await world.ask(packet())
    asked = told.asked
    for name in ("WEB.shop.svc.cluster.local", "web.SHOP.svc.cluster.LOCAL"):
        for size in (512, 4096):
            for cookie in (b"12345678", b"87654321"):
                noisy = packet(
                    name, use_edns=0, payload=size, options=[dns.edns.GenericOption(10, cookie)]
                )
                for _ in range(2):
                    assert await world.ask(noisy) == await world.plain(noisy)
    assert told.asked - asked <= 8 * 2 + 2, "the plain pipeline's and the first EDNS question's"


async def test_an_answer_with_uncompressed_names_keeps_each_askers_case() -> None:
    def say(query: Query) -> Answer:
        return Answer(answer=(RRset(query.key, types.SRV, 5, (records.srv(80, query.key),)),))

    world = World(Told(say))
    for name in ("web.shop", "WEB.shop", "web.SHOP", "web.shop"):
        asked = packet(name, type="SRV")
        for _ in range(4):
            assert await world.ask(asked) == await world.plain(asked)


async def test_a_small_edns_size_gets_a_cut_reply_and_a_big_one_the_whole() -> None:
    world = World(Told(lambda query: addresses(query, *range(60))))
    for _ in range(4):
        for payload in (512, 800, 4096, 100):
            asked = packet(use_edns=0, payload=payload)
            reply = await world.ask(asked)
            assert reply is not None
            assert reply == await world.plain(asked)
            assert len(reply) <= max(payload, 512)


@pytest.mark.parametrize(
    "why", ["forget", "client", "error", "failure", "nonsense", "until", "badvers"]
)
async def test_what_must_not_be_remembered_is_not(why: str) -> None:
    def say(query: Query) -> Answer:
        match why:
            case "forget":
                query.forget()
            case "client":
                query.reads_client()
            case "error":
                return Answer(rcode=types.SERVFAIL, error="upstream failed")
            case "failure":
                raise RuntimeError("a bug")
            case "nonsense":
                return addresses(query, 1, ttl=-1)
            case "until":
                query.until(999.0)
        return addresses(query, 1)

    world = World(Told(say))
    asked = packet(use_edns=1) if why == "badvers" else packet()
    for _ in range(4):
        reply = await world.ask(asked)
    assert len(world.table.entries) == 0
    if why in {"failure", "nonsense"}:
        assert reply is not None
        assert dns.message.from_wire(reply).rcode() == types.SERVFAIL
        assert world.counters.values[("coredns_panics_total",)] == 4


@pytest.mark.parametrize("version", [1, 64, 128, 192, 255])
async def test_another_edns_version_is_refused_though_the_question_is_known(version: int) -> None:
    world = World(Told(lambda query: addresses(query, 1)))
    known = packet(use_edns=0)
    for _ in range(4):
        await world.ask(known)
    asked = known[:-5] + bytes((version,)) + known[-4:]
    reply = await world.ask(asked)
    assert reply == await world.plain(asked)
    assert reply is not None
    assert dns.message.from_wire(reply).rcode() == types.BADVERS


class Odd:
    """Classes of addresses: odd and even last octets."""

    def classify(self, address: bytes) -> bool:
        return address[-1] % 2 == 1


class Half:
    """Another classification: above or below 128."""

    def classify(self, address: bytes) -> bool:
        return address[-1] >= 128


@pytest.mark.parametrize("order", [(1, 2, 129, 130), (130, 129, 2, 1), (2, 1, 130, 129)])
async def test_classes_of_askers_never_see_each_others_answers(order: tuple[int, ...]) -> None:
    odd, half = Odd(), Half()

    def say(query: Query) -> Answer:
        query.reads_class(odd)
        if odd.classify(query.client.address):
            return addresses(query, 1)
        query.reads_class(half)
        return addresses(query, 3 if half.classify(query.client.address) else 2)

    told = Told(say)
    world = World(told)
    for _ in range(5):
        for last in order:
            address = bytes((10, 9, 9, last))
            assert await world.ask(packet(), address) == await world.plain(packet(), address)
    asked = told.asked
    for last in order:
        await world.ask(packet(), bytes((10, 9, 9, last)))
    assert told.asked == asked, "by now every class is remembered"


async def test_bytes_are_bounded_and_what_is_hit_stays() -> None:
    told = Told(lambda query: addresses(query, *range(20)))
    world = World(told, limit_bytes=200_000)
    hot = packet("hot.example")
    for _ in range(4):
        await world.ask(hot)
    for at in range(600):
        for _ in range(3):
            await world.ask(packet(f"n{at}.example"))
        await world.ask(hot)
        assert world.table.size_bytes <= 200_000
    asked = told.asked
    await world.ask(hot)
    assert told.asked == asked
    assert len(world.table.entries) < 300
    world.table.clear()
    assert world.table.size_bytes == 0


async def test_a_full_table_that_was_all_hit_makes_room_in_short_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, advance = 0, AnswerTable._advance

    def counted(self: AnswerTable) -> None:
        nonlocal looks
        looks += 1
        advance(self)

    monkeypatch.setattr(table, "LOOKS", 50)
    monkeypatch.setattr(AnswerTable, "_advance", counted)
    world = World(Told(lambda query: addresses(query, 1)), limit_bytes=200_000)
    known: list[bytes] = []
    while looks == 0:
        known.append(packet(f"n{len(known)}.example"))
        for _ in range(4):
            await world.ask(known[-1])
    assert len(known) > 100
    above = 0
    for at in range(100):
        for asked in known:
            world.with_table.recall(asked, b"", world.clock())
        before = looks
        await world.ask(packet(f"m{at // 3}.example"))
        assert looks <= before + 100, "an answer and a reply, of 50 looks each"
        above = max(above, world.table.size_bytes - 200_000)
    assert above < 10_000


async def test_the_sum_of_sizes_is_what_the_ring_holds() -> None:
    world = World(Told(lambda query: addresses(query, 1)), limit_bytes=30_000)
    for at in range(300):
        world.stamps.bump([f"fact {at % 7}"])
        for _ in range(4):
            await world.ask(packet(f"n{at % 40}.example"))
    held = [item.size for item in world.table._ring if item is not None]
    assert sum(held) == world.table.size_bytes


async def test_a_flood_that_is_never_hit_leaves_the_ring_short() -> None:
    world = World(Told(lambda query: addresses(query, 1)), limit_bytes=20_000)
    for at in range(2000):
        for _ in range(2):
            await world.ask(packet(f"n{at}.example"))
    held = len(world.table.entries)
    assert 0 < held < 50
    assert len(world.table._ring) <= 3 * held


async def test_skip_all_the_way_is_servfail() -> None:
    world = World(Told(lambda _: SKIP))
    for _ in range(3):
        reply = await world.ask(packet())
        assert reply is not None
        assert dns.message.from_wire(reply).rcode() == types.SERVFAIL


async def test_credit_counts_hits_from_the_table() -> None:
    @dataclass
    class Credit:
        hits: int = 0

    credit = Credit()

    def say(query: Query) -> Answer:
        query.credit(credit)
        query.until(1030.0)
        return addresses(query, 1, aging=(1000.0, 30))

    world = World(Told(say))
    for _ in range(12):
        await world.ask(packet())
    world.clock.now = 1001.0
    await world.ask(packet())
    assert credit.hits == 12 - 2
