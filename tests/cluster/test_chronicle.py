"""What happened to services and endpoints: a line each, whatever slices the controller makes of it."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.cluster.chronicle import RING, SERVICES, Chronicle, Line, Recorder
from kdns.cluster.feed import Feed
from kdns.cluster.moves import QUIET_S
from kdns.cluster.objects import Port, Slice
from kdns.cluster.store import Delete, Prune, Put, Replace, Store, Synced
from kdns.wire.names import format_address
from tests.cluster.things import ips, ready, service, slice_
from tests.fakes import Clock


class World:
    """A Store that is fed, and what is written down of it."""

    def __init__(self, *first, has_synced=True):
        self.store, self.chronicle, self.wall = Store(), Chronicle(), Clock(100.0)
        self.clock = Clock(5.0)
        self.feed = Feed(self.store, self.wall, lambda _: None)
        self.recorder = Recorder(self.chronicle, self.store, clock=self.clock, wall=self.wall)
        self.feed.recorder, self.store.noted = self.recorder, self.recorder.note
        self.store.apply_all(map(Put, first), self.wall())
        if has_synced:
            self.store.apply(Synced(), self.wall())

    async def happen(self, *events):
        """What is told of events, as `what` and the address."""
        before = self.chronicle.newest
        for event in events:
            await self.feed.apply(event)
        self.feed.stop()
        return self.told(before)

    def lines(self, after=0) -> list[Line]:
        return self.chronicle.after(after, RING)[0]

    def told(self, after=0):
        return [
            f"{line.what} {format_address(line.address).removeprefix('10.0.0.')}"
            if line.address
            else line.what
            for line in self.lines(after)
        ]


FIRST = (service("s", "9"), slice_("x", "1", "2"))


async def test_endpoints_come_go_and_change_their_readiness():
    world = World(*FIRST)
    assert await world.happen(Put(slice_("x", "1", "2", "3"))) == ["added 3"]
    unready = frozenset({1})
    assert await world.happen(Put(slice_("x", "1", "2", "3", unready=unready))) == ["not ready 2"]
    assert await world.happen(Put(slice_("x", "1", "2", "3"))) == ["ready 2"]
    assert await world.happen(Put(slice_("x", "1", "3"))) == ["removed 2"]
    assert {line.service for line in world.lines()} == {"a/s"}


async def test_one_that_comes_unready_is_told_to_be():
    world = World(*FIRST)
    told = await world.happen(Put(slice_("x", "1", "2", "3", unready=frozenset({2}))))
    assert told == ["added 3", "not ready 3"]
    assert await world.happen(Put(slice_("x", "1", "2", "3"))) == ["ready 3"]


async def test_an_endpoint_brings_the_name_of_its_pod():
    world = World(*FIRST)
    await world.happen(Put(slice_("x", "1", "2", "3", pods=("p1", "p2", "p3"))))
    assert [line.name for line in world.lines()] == ["p3"]


async def test_what_changes_no_answer_is_not_kept_to_be_told_later():
    world = World(*FIRST)
    relabelled = [Put(replace(service("s", "9"), labels=(("at", str(at)),))) for at in range(3)]
    assert await world.happen(*relabelled) == []
    assert not world.recorder._pending
    assert await world.happen(Put(slice_("x", "1", "2", "3"))) == ["added 3"]


async def test_services_come_change_and_go():
    world = World(*FIRST)
    assert await world.happen(Put(service("t", "8"))) == ["service added"]
    assert await world.happen(Put(service("t", "7"))) == ["changed"]
    assert await world.happen(Put(service("t", "7", labels=(("a", "b"),)))) == []
    assert await world.happen(Delete(type(service("t")), "a", "t")) == ["service removed"]


async def test_other_ports_are_a_change_of_the_service():
    world = World(*FIRST)
    whole = slice_("x", "1", "2")
    told = await world.happen(
        Put(Slice("a", "x", "s", 4, whole.addresses, ports=(Port("n", 1, "tcp"),)))
    )
    assert told == ["changed"]


async def test_the_first_state_is_one_line():
    world = World(has_synced=False)
    told = await world.happen(*map(Put, FIRST), Synced())
    assert told == ["listed: 1 services"]


async def test_a_list_that_says_what_is_known_says_nothing_new():
    world = World(*FIRST)
    same = [Put(one) for one in FIRST]
    assert await world.happen(*same, Prune(Slice, {("a", "x")})) == []
    assert await world.happen(Replace(Slice, (slice_("x", "1", "2"),))) == []


async def test_a_fresh_list_tells_what_was_missed():
    world = World(*FIRST)
    assert await world.happen(Replace(Slice, (slice_("x", "1", "3"),))) == ["removed 2", "added 3"]
    assert await world.happen(Prune(Slice, set())) == ["removed 1", "removed 3"]


PAIR = (service("s", "9"), slice_("x", "1", "2"), slice_("y", "3"))


async def test_a_move_tells_nothing_whichever_slice_is_written_first():
    world = World(*PAIR)
    assert await world.happen(Put(slice_("x", "1")), Put(slice_("y", "3", "2"))) == []
    assert ready(world.store) == set(ips("1", "2", "3"))
    assert await world.happen(Put(slice_("x", "1", "2")), Put(slice_("y", "3"))) == []
    assert await world.happen(Replace(Slice, (slice_("x", "1"), slice_("y", "3", "2")))) == []


async def test_an_endpoint_on_the_move_that_arrives_unready_is_not_ready():
    world = World(*PAIR)
    await world.happen(Put(slice_("x", "1")))
    assert await world.happen(Put(slice_("y", "3", "2", unready=frozenset({1})))) == ["not ready 2"]


async def test_a_hold_that_ends_is_a_removal_and_not_before():
    world = World(*PAIR)
    assert await world.happen(Put(slice_("x", "1"))) == []
    world.wall.now += QUIET_S + 0.1
    assert await world.happen(Put(service("t", "8"))) == ["service added", "removed 2"]
    assert ready(world.store) == set(ips("1", "3"))


async def test_a_hold_whose_time_is_up_is_told_although_nothing_else_happens(monkeypatch):
    monkeypatch.setattr("kdns.cluster.slices.QUIET_S", 0.05)
    world = World(*PAIR)
    world.wall = world.feed._wall = world.recorder._wall = time.time
    await world.feed.apply(Put(slice_("x", "1")))
    async with asyncio.timeout(40):
        while world.told() != ["removed 2"]:
            await asyncio.sleep(0.01)
    world.feed.stop()


async def test_a_deleted_service_tells_of_what_was_held():
    world = World(*PAIR)
    await world.happen(Put(slice_("x", "1")))
    told = await world.happen(Delete(type(service("s")), "a", "s"))
    assert told == ["service removed", "removed 2"]


async def test_a_slice_may_change_hands():
    world = World(*FIRST, service("t", "8"))
    await world.happen(Put(slice_("x", "1", "2", of="t")))
    assert {(line.service, line.what) for line in world.lines()} == {
        ("a/s", "removed"), ("a/t", "added"),
    }  # fmt: skip


async def test_a_line_says_how_long_it_took_from_its_cause_and_what_of_that_was_ours():
    world = World(*FIRST)
    world.recorder.came_at = world.clock() - 0.25
    changed = slice_("x", "1", "2", "3", version="7")
    await world.happen(Put(changed))
    [line] = world.lines()
    assert (line.at, line.ours_s, line.delay_s) == (100.0, 0.25, None)
    world.recorder.caused(changed, 98.0)
    assert line.delay_s == 2.0
    assert world.chronicle.times("a/s") == (99.75, 100.0)
    world.recorder.caused(changed, 1.0)
    assert line.delay_s == 2.0, "a cause is told once"


async def test_a_clock_of_the_control_plane_that_is_ahead_makes_no_negative_delay():
    world = World(*FIRST)
    changed = slice_("x", "1", version="7")
    await world.happen(Put(changed))
    world.recorder.caused(changed, 500.0)
    assert world.lines()[0].delay_s == 0.0


async def test_lines_and_times_are_bounded():
    world = World(*FIRST)
    for at in range(RING + 50):
        await world.happen(Put(slice_("x", "1", "2", unready=frozenset({at % 2}), version=str(at))))
    lines, missed = world.chronicle.after(0, 10 * RING)
    assert len(lines) == RING
    assert missed == world.chronicle.newest - RING
    assert lines[-1].number == world.chronicle.newest
    assert world.recorder._fresh_count <= 2 * RING
    for at in range(SERVICES + 10):
        world.chronicle.touched(f"a/{at}", 1.0, 2.0)
    assert len(world.chronicle._times) == SERVICES
    assert world.chronicle.times("a/0") is None


def test_whoever_asks_gets_the_newest_and_how_many_he_missed():
    chronicle = Chronicle()
    for _ in range(10):
        chronicle.add(Line(0, 1.0, "a/s", "changed"))
    assert [line.number for line in chronicle.after(7, 100)[0]] == [8, 9, 10]
    lines, missed = chronicle.after(0, 4)
    assert ([line.number for line in lines], missed) == ([7, 8, 9, 10], 6)
    assert chronicle.after(10, 5) == ([], 0)
    assert len(chronicle.after(99, 100)[0]) == 10, "a number of another process"


SLICES = st.lists(
    st.tuples(
        st.sampled_from("xyz"),
        st.lists(st.sampled_from("12345"), unique=True, max_size=5),
        st.frozensets(st.integers(0, 4), max_size=2),
        st.floats(0, 3),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(SLICES)
def test_the_lines_taken_together_are_what_is_answered(events):
    """Whatever order slices are written in, who follows the lines knows what is ready."""

    async def run():
        world = World(service("s", "9"))
        for name, addresses, unready, pause in events:
            known = frozenset(at for at in unready if at < len(addresses))
            world.wall.now += pause
            await world.happen(Put(slice_(name, *addresses, unready=known)))
        return world

    world = asyncio.run(run())
    known: set[bytes] = set()
    for line in world.lines():
        if line.what in {"added", "ready"}:
            known.add(line.address)
        elif line.what in {"not ready", "removed"}:
            known.discard(line.address)
    assert known == ready(world.store)


@pytest.mark.parametrize("count", [1, 50])
async def test_a_changed_endpoint_costs_microseconds(count):
    """Of a service of 1,000 endpoints in slices of a hundred."""
    world = World(
        service("s", "9"),
        *(slice_(f"x{at}", *(f"10.1.{at}.{n}" for n in range(100))) for at in range(10)),
    )
    old = world.store.get(Slice, "a", "x5")
    packed = b"".join(old.address(at) for at in range(100 - count))
    new = Slice("a", "x5", "s", 4, packed, ports=old.ports)
    best = min([await spent(world, old, new) for _ in range(20)])
    assert best < 60e-6 * (count + 1), f"{best * 1e6 / count:.1f} us"


async def spent(world, old, new):
    world.store.apply(Put(new), 0)
    world.recorder._pending.append((old, new))
    began = time.thread_time()
    world.recorder._record()
    took = time.thread_time() - began
    world.store.apply(Put(old), 0)
    world.recorder._pending.clear()
    return took
