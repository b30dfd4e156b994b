"""What one worker watches is what the others hold: from any moment on, however slowly they read."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace as but
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.cluster import cluster as cluster_module
from kdns.cluster import giving
from kdns.cluster.api.connection import Access
from kdns.cluster.cluster import Cluster, Lent, Origin
from kdns.cluster.freshness import Freshness
from kdns.cluster.giving import Giver
from kdns.cluster.link import Link
from kdns.cluster.objects import Namespace, Port, Slice
from kdns.cluster.packing import Unpacker, puts
from kdns.cluster.selection import Selection
from kdns.cluster.selectors import parse
from kdns.cluster.snapshot import write
from kdns.cluster.store import Change, Delete, Put, Store, Synced
from kdns.cluster.taking import Taker
from kdns.observe.counters import Counters
from tests.cluster.sources import FakeApi, until
from tests.cluster.test_order import ADDRESSES, KEYS, OBJECTS, name, unique
from tests.cluster.things import ALL, imported, ips, listed, pod, ready, seen, service, slice_

WALL = 1_700_000_000.0
ORIGIN = Origin(Selection(pods=True, imports=True), access=Access("http://127.0.0.1:1"))


class Tube:
    """Both ends of the way from a Giver to a Taker; messages move when they are let through."""

    def __init__(self, giver: Giver, taker: Taker) -> None:
        self.giver, self.taker = giver, taker
        self.queue: deque[bytes] = deque()
        self.is_paused = False
        self.dropped = 0
        taker.attach(Back(self))

    @property
    def waiting(self) -> int:
        return sum(map(len, self.queue))

    def send(self, message: bytes) -> None:
        self.queue.append(message)

    def drop(self) -> None:
        self.dropped += 1
        self.queue.clear()

    async def room(self) -> None:
        while self.waiting > 1000:
            await asyncio.sleep(0)

    def move(self, most: int = 1 << 30) -> None:
        for _ in range(min(most, len(self.queue))):
            if self.is_paused:
                return
            self.taker.hear(self.queue.popleft())


class Back:
    def __init__(self, tube: Tube) -> None:
        self.tube = tube

    def send(self, message: bytes) -> None:
        self.tube.giver.hear(self.tube, message)

    def pause(self) -> None:
        self.tube.is_paused = True

    def resume(self) -> None:
        self.tube.is_paused = False


class Worker:
    """A Cluster as one of the workers has it."""

    def __init__(
        self, taker: Taker | None = None, origin: Origin = ORIGIN, link: Link | None = None
    ) -> None:
        link = link or Link(Giver(Counters()), taker or Taker(), watches=False)
        self.link = link.giver
        self.bumped: list[object] = []
        self.bumps = 0
        lent = Lent(
            self._bump, Counters(), time.monotonic,
            lambda: WALL, Random(1).random, lambda: True, link,
        )  # fmt: skip
        self.cluster = Cluster(origin, lent)
        self.store = self.cluster.store
        self.task = asyncio.get_running_loop().create_task(self.cluster.run())

    def _bump(self, change: Change) -> None:
        self.bumped += change.keys
        self.bumps += 1

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Watching(Worker):
    """The one with the source."""

    def __init__(self, origin: Origin = ORIGIN, taker: Taker | None = None) -> None:
        self.counters = Counters()
        link = Link(Giver(self.counters), taker or Taker(), watches=True, inherits=bool(taker))
        super().__init__(None, origin, link)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cluster_module, "Api", FakeApi)
    monkeypatch.setattr(cluster_module, "SNAPSHOT_GRACE_S", 0.02)
    monkeypatch.setattr(cluster_module, "LOOK_S", 0.002)
    monkeypatch.setattr(giving, "NEWS_S", 0.01)


async def turns(tube: Tube, count: int = 30) -> None:
    for _ in range(count):
        tube.move()
        await asyncio.sleep(0)


async def moved(tube: Tube, true) -> None:
    def holds() -> bool:
        tube.move()
        return true()

    await until(holds)


def bare(store: Store) -> dict[str, object]:
    """What can be seen of a Store, without versions, which do not travel."""
    out = seen(store, ADDRESSES, KEYS)
    return {key: _without(value) for key, value in out.items()}


def _without(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without(one) for one in value]
    return replace(value, version="") if hasattr(value, "version") else value


async def test_objects_come_out_as_they_went_in():
    ports = (Port("http", 80, "tcp"), Port("", -1, "udp"))
    some = [
        Namespace("a", (("x", "y"),), "3"),
        replace(service("s", "1", external_addresses=ips("9"), external_hosts=("h",)), version="4"),
        slice_("x", "1", "2", unready=frozenset({1}), hostnames=("h", ""), pods=("p", "q"),
               zones=("z", "z"), cluster="c"),
        slice_("empty"),
        replace(slice_("y", "fd00::1"), ports=ports),
        pod("p", "1", labels=(("a", "b"),)),
        imported("i", "7"),
    ]  # fmt: skip
    unpacker = Unpacker()
    for one in some:
        [back] = unpacker.objects(puts([one]))
        assert type(back) is type(one)
        assert back == replace(one, version="")
    twice = unpacker.objects(puts([slice_("x"), slice_("y")]))
    assert twice[0].ports is twice[1].ports


async def test_a_worker_follows_from_its_start_and_is_whole_with_the_watcher():
    watching, taker = Watching(), Taker()
    tube, fed = Tube(watching.link, taker), Worker(taker)
    await asyncio.sleep(0)
    FakeApi.made.say(Put(Namespace("a")), Put(service("s", "1")), Put(slice_("x", "2")))
    await moved(tube, lambda: ready(fed.store) == set(ips("2")))
    assert not fed.store.has_synced
    assert not fed.cluster.synced.is_set()
    FakeApi.made.list_all(Namespace("a"), service("s", "1"), slice_("x", "2", "3"))
    await moved(tube, lambda: fed.store.has_synced)
    assert fed.cluster.synced.is_set()
    assert ready(fed.store) == set(ips("2", "3"))
    assert (fed.store.serial, fed.store.import_serial) == (int(WALL), 0)
    fed.bumped.clear()
    FakeApi.made.say(Delete(Slice, "a", "x"))
    await moved(tube, lambda: not ready(fed.store))
    assert "a/s" in fed.bumped
    await fed.end()
    await watching.end()


async def test_a_serial_that_moved_alone_reaches_what_is_remembered():
    watching, taker = Watching(), Taker()
    tube, fed = Tube(watching.link, taker), Worker(taker)
    await asyncio.sleep(0)
    FakeApi.made.list_all(Namespace("a"), service("s", "1"))
    await moved(tube, lambda: fed.store.has_synced)
    await turns(tube)
    before = fed.bumps
    watching.store.serial += 1  # as where a hold ended a second later than here
    FakeApi.made.failure = "news, so that something is told"
    await moved(tube, lambda: fed.store.serial == int(WALL) + 1)
    assert fed.bumps == before + 1
    await fed.end()
    await watching.end()


async def test_a_list_that_says_nothing_new_sends_nothing():
    watching, taker = Watching(), Taker()
    tube, fed = Tube(watching.link, taker), Worker(taker)
    await asyncio.sleep(0)
    things = (Namespace("a"), service("s", "1"), slice_("x", "2"))
    FakeApi.made.list_all(*things)
    await moved(tube, lambda: fed.store.has_synced)
    edition = watching.store.edition
    FakeApi.made.list_all(*[replace(one, version="77") for one in things])
    await turns(tube)
    await until(lambda: watching.store.get(Slice, "a", "x").version == "77")
    assert watching.store.edition == edition
    assert all(b"slice" not in one for one in tube.queue)
    await fed.end()
    await watching.end()


async def test_a_new_watcher_repairs_and_never_empties(tmp_path):
    old, taker = Watching(), Taker()
    tube, fed = Tube(old.link, taker), Worker(taker)
    await asyncio.sleep(0)
    kept = (Namespace("a"), service("s", "1"), slice_("x", "2"))
    FakeApi.made.list_all(*kept, service("gone", "9"))
    await moved(tube, lambda: fed.store.has_synced)
    await old.end()
    new = Watching()
    tube = Tube(new.link, taker)
    fed.bumped.clear()
    await turns(tube)
    assert ready(fed.store) == set(ips("2"))
    FakeApi.made.list_all(*kept, service("new", "8"))
    await moved(tube, lambda: "a/gone" not in fed.store.services)
    assert "a/new" in fed.store.services
    assert fed.store.has_synced
    assert "a/s" not in fed.bumped
    await fed.end()
    await new.end()


async def test_a_watcher_with_a_snapshot_is_not_believed_by_who_knows_more(tmp_path):
    origin = but(ORIGIN, snapshot=str(tmp_path / "snapshot"))
    write(origin.snapshot, origin.owner, [Namespace("a"), service("s", "1"), slice_("x", "3")])
    old, taker, late = Watching(origin), Taker(), Taker()
    tube, fed = Tube(old.link, taker), Worker(taker, origin)
    await asyncio.sleep(0)
    FakeApi.made.list_all(Namespace("a"), service("s", "1"), slice_("x", "2"))
    await moved(tube, lambda: fed.store.has_synced)
    await old.end()
    new = Watching(origin)
    write(origin.snapshot, origin.owner, [Namespace("a"), service("s", "1"), slice_("x", "3")])
    tube, other = Tube(new.link, taker), Tube(new.link, late)
    fresh = Worker(late, origin)
    await moved(other, lambda: fresh.store.has_synced)
    assert fresh.cluster.is_restored
    assert ready(fresh.store) == set(ips("3"))
    await turns(tube, 100)
    assert ready(fed.store) == set(ips("2"))
    assert not fed.cluster.is_restored
    FakeApi.made.list_all(Namespace("a"), service("s", "1"), slice_("x", "4"))
    await moved(tube, lambda: ready(fed.store) == set(ips("4")))
    await moved(
        other, lambda: ready(fresh.store) == set(ips("4")) and not fresh.cluster.is_restored
    )
    for one in (fed, fresh, new):
        await one.end()


async def test_a_new_watcher_inherits_what_the_others_know(tmp_path):
    origin = but(ORIGIN, snapshot=str(tmp_path / "snapshot"))
    write(origin.snapshot, origin.owner, [Namespace("a"), service("s", "1"), slice_("x", "3")])
    old, taker = Watching(origin), Taker()
    tube, fed = Tube(old.link, taker), Worker(taker, origin)
    await asyncio.sleep(0)
    FakeApi.made.list_all(Namespace("a"), service("s", "1"), slice_("x", "2"))
    await moved(tube, lambda: fed.store.has_synced)
    await old.end()
    elder = Taker()
    tube, new = Tube(fed.link, elder), Watching(origin, elder)
    back = Tube(new.link, taker)
    fed.bumped.clear()
    await moved(tube, lambda: new.store.has_synced)
    assert ready(new.store) == set(ips("2"))
    assert new.store.serial == fed.store.serial
    await until(lambda: FakeApi.made.lists)
    FakeApi.made.failure = "it is away"
    await moved(back, lambda: fed.cluster.failure == "it is away")
    assert ready(new.store) == ready(fed.store) == set(ips("2"))
    assert not new.cluster.is_restored
    assert "a/s" not in fed.bumped
    assert not tube.queue
    FakeApi.made.list_all(Namespace("a"), service("s", "1"), slice_("x", "4"))
    await moved(back, lambda: ready(fed.store) == set(ips("4")))
    for one in (fed, new):
        await one.end()


async def test_who_inherits_from_nobody_asks_the_source(monkeypatch):
    monkeypatch.setattr(cluster_module, "INHERIT_S", 0.01)
    before = FakeApi.made
    new = Watching(ORIGIN, Taker())
    await until(lambda: FakeApi.made is not before and FakeApi.made.lists)
    FakeApi.made.list_all(Namespace("a"))
    await until(lambda: new.store.has_synced)
    await new.end()


async def test_news_of_the_source_are_told():
    watching, taker = Watching(), Taker()
    tube, fed = Tube(watching.link, taker), Worker(taker)
    await asyncio.sleep(0)
    FakeApi.made.failure = "it refuses"
    await moved(tube, lambda: fed.cluster.failure == "it refuses")
    assert not fed.cluster.freshness.is_whole
    FakeApi.made.list_all()
    await moved(tube, lambda: fed.cluster.freshness.is_whole)
    ages = [one.cluster.freshness.ages() for one in (watching, fed)]
    assert ages[0].keys() == ages[1].keys()
    assert all(abs(ages[0][kind] - ages[1][kind]) < 0.1 for kind in ages[0])
    await fed.end()
    await watching.end()


async def test_who_reads_too_slowly_gets_all_of_it_again_and_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(giving, "MOST_WAITING", 20_000)
    watching, taker, quick_taker = Watching(), Taker(), Taker()
    tube, quick_tube = Tube(watching.link, taker), Tube(watching.link, quick_taker)
    fed, quick = Worker(taker), Worker(quick_taker)
    await asyncio.sleep(0)
    FakeApi.made.list_all(Namespace("a"), *[service(f"s{n}", str(n)) for n in range(200)])
    await moved(tube, lambda: fed.store.has_synced)
    for n in range(3000):
        FakeApi.made.say(Put(service(f"s{n % 200}", str((n + n // 200) % 250))))
        if n % 50 == 0:
            await turns(quick_tube, 3)
            assert tube.waiting <= 20_000
    await moved(quick_tube, lambda: quick.store.services == watching.store.services)
    assert tube.dropped >= 1
    assert watching.counters.values["kdns_worker_resyncs_total",] == tube.dropped
    await moved(tube, lambda: fed.store.services == watching.store.services)
    for one in (fed, quick, watching):
        await one.end()


async def test_two_clusters_share_a_pipe_and_only_what_is_wanted_is_sent():
    one = Watching()
    link = Link(one.link, Taker(), watches=True)
    other = Worker(None, but(ORIGIN, selection=Selection(labels=parse("a=b,c in (d,e)"))), link)
    taker = Taker()
    tube = Tube(one.link, taker)
    fed = Worker(taker, but(ORIGIN, selection=Selection(labels=parse("a=b,c in (e,d)"))))
    await asyncio.sleep(0)
    await until(lambda: FakeApi.made.lists)
    FakeApi.made.list_all(Namespace("of-other"))
    await moved(tube, lambda: fed.store.has_synced)
    assert list(fed.store.namespaces) == ["of-other"]
    await fed.end()
    other.store.apply(Put(Namespace("later")), 1.0)
    await asyncio.sleep(0)
    assert not tube.queue
    for each in (other, one):
        await each.end()


class Plain:
    """A cluster that is its Store."""

    title = ORIGIN.title
    is_restored = False
    failure = ""

    def __init__(self) -> None:
        self.store, self.freshness = Store(ALL), Freshness(time.monotonic)


STEPS = st.sampled_from(["put", "put", "put", "delete", "replace", "move", "some", "turn", "new"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(STEPS, st.lists(OBJECTS, min_size=1, max_size=4)), max_size=25))
def test_whatever_happens_both_end_alike(steps):
    asyncio.run(_both_end_alike(steps))


async def _both_end_alike(steps: Iterable[tuple[str, list]]) -> None:
    given_, taker, wall = Plain(), Taker(), 10.0
    giver = Giver(Counters())
    giver.give(given_)
    tube = Tube(giver, taker)
    fed = Worker(taker, ORIGIN)
    fed.cluster.store.selection = ALL
    await asyncio.sleep(0)
    for step, things in steps:
        wall += 0.3
        match step:
            case "put":
                for thing in things:
                    given_.store.apply(Put(thing), wall)
            case "delete":
                given_.store.apply(Delete(*name(things[0])), wall)
            case "replace":
                given_.store.apply_all(listed(unique(things)), wall)
            case "move":
                tube.move()
            case "some":
                tube.move(1)
            case "turn":
                await asyncio.sleep(0)
            case "new":
                given_ = Plain()
                giver = Giver(Counters())
                giver.give(given_)
                tube = Tube(giver, taker)
    given_.store.apply(Synced(), wall)
    giver.tell(given_)
    for _ in range(200):
        tube.move()
        giver.tell(given_)
        await asyncio.sleep(0)
    for store in (given_.store, fed.store):
        for n in range(5):
            store.settle(wall + 1e10 + n)
    assert bare(fed.store) == bare(given_.store)
    await fed.end()
