"""A Cluster on a live source: what is served when the API server fails, and what repairs it."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from kdns.cluster import cluster as module
from kdns.cluster.api.connection import Access
from kdns.cluster.cluster import Cluster, Lent, Origin
from kdns.cluster.objects import Namespace, Object, Service, Slice
from kdns.cluster.selection import Selection
from kdns.cluster.selectors import parse
from kdns.cluster.snapshot import write
from kdns.cluster.sources.snapshot import Snapshot
from kdns.cluster.store import Delete, Put, Synced
from kdns.observe.counters import Counters
from tests.cluster.sources import FakeApi, until
from tests.cluster.things import imported, ips, pod, ready, service, slice_

OLD = (Namespace("a"), service("s", "1"), slice_("x", "2"), service("gone", "9"))
WALL = 1_700_000_000.0
NEW = (Namespace("a"), service("s", "1"), slice_("x", "3"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "Api", FakeApi)
    monkeypatch.setattr(module, "SNAPSHOT_GRACE_S", 0.02)
    monkeypatch.setattr(module, "LOOK_S", 0.002)
    monkeypatch.setattr("kdns.cluster.snapshot.EVERY_S", 0.02)


def origin(path: Path | str = "", **changes: object) -> Origin:
    return Origin(Selection(**changes), access=Access("http://127.0.0.1:1"), snapshot=str(path))


@asynccontextmanager
async def running(of: Origin, *, is_stopping: bool = False):
    bumped: set[object] = set()
    counters = Counters()
    lent = Lent(
        lambda change: bumped.update(change.keys),
        counters,
        time.monotonic,
        lambda: WALL,
        Random(1).random,
        lambda: is_stopping,
    )
    cluster = Cluster(of, lent)
    cluster.bumped, cluster.counters = bumped, counters
    task = asyncio.create_task(cluster.run())
    await asyncio.sleep(0)
    try:
        yield cluster, FakeApi.made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def keep(path: Path, *objects: Object, of: Origin | None = None) -> Origin:
    """Writes a snapshot as an earlier process left it; returns whose it is."""
    of = of or origin(path)
    write(str(path), of.owner, objects)
    return of


async def test_a_snapshot_is_served_at_once_when_the_api_server_fails(tmp_path, caplog):
    async with running(keep(tmp_path / "kept", *OLD)) as (cluster, api):
        api.failure = "connection refused"
        await asyncio.wait_for(cluster.synced.wait(), 40)
        assert cluster.is_restored
        assert ready(cluster.store) == set(ips("2"))
        assert cluster.flag in cluster.bumped
        await until(lambda: caplog.records)
    at = datetime.fromtimestamp((tmp_path / "kept").stat().st_mtime, UTC)
    assert f"refused; serving {tmp_path}/kept, written {at:%Y-%m-%d %H:%M:%S}+00:00" in caplog.text


async def test_a_snapshot_is_served_when_the_api_server_says_nothing(tmp_path):
    async with running(keep(tmp_path / "kept", *OLD)) as (cluster, _):
        await asyncio.wait_for(cluster.synced.wait(), 40)
        assert cluster.is_restored


async def test_no_snapshot_is_read_while_the_api_server_speaks(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SNAPSHOT_GRACE_S", 3600.0)
    async with running(keep(tmp_path / "kept", *OLD)) as (cluster, api):
        api.say(Put(NEW[1]))
        await until(lambda: cluster.store.services)
        await asyncio.sleep(0.02)
        assert not cluster.is_restored
        api.list_all(*NEW)
        await asyncio.wait_for(cluster.synced.wait(), 40)
        assert not cluster.is_restored
        assert "a/gone" not in cluster.store.services


async def test_what_the_api_server_said_before_it_failed_is_not_put_back(tmp_path):
    async with running(keep(tmp_path / "kept", *OLD)) as (cluster, api):
        api.list(Service, objects=NEW)
        api.say(Put(NEW[2]))
        await until(lambda: cluster.store.slices("a/s"))
        api.failure = "connection lost"
        await asyncio.wait_for(cluster.synced.wait(), 40)
        assert ready(cluster.store) == set(ips("3")), "told by the API, newer than the snapshot"
        assert "a/gone" not in cluster.store.services, "the API listed all services"
        assert "a" in cluster.store.namespaces, "the API had not spoken of namespaces"


async def test_what_the_api_server_says_repairs_the_snapshot(tmp_path, caplog):
    caplog.set_level("INFO")
    async with running(keep(tmp_path / "kept", *OLD)) as (cluster, api):
        await asyncio.wait_for(cluster.synced.wait(), 40)
        cluster.bumped.clear()
        api.list(Service, Slice, objects=NEW)
        await until(lambda: "a/gone" not in cluster.store.services)
        assert cluster.is_restored, "namespaces have not been heard of"
        api.list_all(*NEW)
        await until(lambda: not cluster.is_restored)
        assert cluster.flag in cluster.bumped
        assert ready(cluster.store) == set(ips("3"))
        assert cluster.freshness.is_whole
    assert "answers are fresh again" in caplog.text


async def test_what_the_api_server_told_is_kept_and_served_by_the_next_process(
    tmp_path, monkeypatch
):
    """The last change came too soon for the next write: the stop writes it."""
    monkeypatch.setattr("kdns.cluster.snapshot.EVERY_S", 3600.0)
    of = origin(tmp_path / "kept")
    async with running(of) as (cluster, api):
        api.list_all(*NEW)
        await until((tmp_path / "kept").exists)
        api.say(Put(service("late", "7")))
        await until(lambda: "a/late" in cluster.store.services)
    async with running(of) as (cluster, api):
        api.failure = "gone"
        await asyncio.wait_for(cluster.synced.wait(), 40)
        assert set(cluster.store.services) == {"a/s", "a/late"}
        assert ready(cluster.store) == set(ips("3"))


async def test_a_snapshot_is_not_overwritten_before_everything_was_told(tmp_path):
    of = keep(tmp_path / "kept", *OLD)
    before = (tmp_path / "kept").read_bytes()
    async with running(of) as (cluster, api):
        await asyncio.wait_for(cluster.synced.wait(), 40)
        api.list(Service, objects=NEW)
        await until(lambda: "a/gone" not in cluster.store.services)
        await asyncio.sleep(0.05)
    assert (tmp_path / "kept").read_bytes() == before


async def test_nothing_is_written_when_nothing_changed(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("kdns.cluster.snapshot.write", lambda *_: written.append(1))
    async with running(origin(tmp_path / "kept")) as (cluster, api):
        api.list_all(*NEW)
        await until(lambda: written)
        api.say(Put(NEW[1]), Put(service("s", "1", version="2")), Delete(Service, "a", "never"))
        await until(lambda: cluster.store.services["a/s"].version == "2")
        await asyncio.sleep(0.05)
        assert len(written) == 1
        api.say(Put(Namespace("b")))
        await until(lambda: len(written) == 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [(b"", "no snapshot of this version"), (b"half", "no snapshot"), (None, "No such file")],
    ids=["empty", "other", "absent"],
)
async def test_a_snapshot_that_is_none_is_told_of_once_and_left_alone(
    tmp_path, caplog, text, words
):
    path = tmp_path / "kept"
    if text is not None:
        path.write_bytes(text)
    async with running(origin(path)) as (cluster, api):
        api.failure = "gone"
        await until(lambda: caplog.records)
        await asyncio.sleep(0.02)
        assert not cluster.synced.is_set()
    assert len(caplog.records) == 1
    assert f"snapshot {path}: not served: " in caplog.text
    assert words in caplog.text
    assert (path.read_bytes() if text is not None else None) == text


async def test_a_snapshot_of_another_selection_is_refused(tmp_path, caplog):
    keep(tmp_path / "kept", *OLD)
    other = origin(tmp_path / "kept", labels=parse("a in (c, b)"))
    async with running(other) as (_, api):
        api.failure = "gone"
        await until(lambda: caplog.records)
    assert "of another API server or of other options" in caplog.text


def test_the_owner_of_a_snapshot_does_not_depend_on_the_process():
    one, two = (origin("x", labels=parse(text)) for text in ("a in (c,b),d", "d,a in (b,c)"))
    assert one.owner == two.owner
    assert one.owner != origin("x", labels=parse("a")).owner
    assert one.owner != origin("x", labels=parse("a in (c,b),d"), pods=False).owner
    kubeconfig = Origin(Selection(), access=Access(kubeconfig="f", context="c"))
    assert kubeconfig.owner != Origin(Selection(), access=Access(kubeconfig="f")).owner


async def test_objects_chosen_by_their_labels_come_back_without_them(tmp_path):
    """The Store drops the labels of slices; what it held was chosen already."""
    of = origin(tmp_path / "kept", labels=parse("app"))
    async with running(of) as (cluster, api):
        labelled = slice_("x", "2", labels=(("app", "s"),))
        api.list_all(Namespace("a"), labelled)
        await until((tmp_path / "kept").exists)
    async with running(of) as (cluster, api):
        api.failure = "gone"
        await asyncio.wait_for(cluster.synced.wait(), 40)
        assert ready(cluster.store) == set(ips("2"))


async def test_the_time_from_cause_to_answer_is_counted_by_kind_of_service():
    async with running(origin()) as (cluster, api):
        api.list_all(service("s", "1"), service("h"))
        await asyncio.wait_for(cluster.synced.wait(), 40)
        for name in ("s", "h", "unknown"):
            api.lent["triggered"](slice_("x", "2", of=name), WALL - 0.003)
    counted = {
        labels: (one.counts[2], round(one.sum, 4))
        for labels, one in cluster.counters.histograms.items()
    }
    metric = "coredns_kubernetes_dns_programming_duration_seconds"
    assert counted == {
        (metric, "cluster_ip"): (1, 0.003),
        (metric, "headless_with_selector"): (1, 0.003),
    }


@pytest.mark.parametrize("turns", range(5))
async def test_what_the_api_server_says_at_that_moment_is_not_undone_by_the_snapshot(
    tmp_path, monkeypatch, turns
):
    """Both come in turns: what the API tells between a look and a put counts."""

    class Meanwhile(Snapshot):
        async def __aiter__(self):
            FakeApi.made.say(Put(service("s", "2")))
            for _ in range(turns):
                await asyncio.sleep(0)
            yield Put(service("s", "1"))
            yield Synced()

    monkeypatch.setattr("kdns.cluster.pace.TURN_S", -1.0)
    monkeypatch.setattr(module, "Snapshot", Meanwhile)
    async with running(origin(tmp_path / "kept")) as (cluster, _):
        await asyncio.wait_for(cluster.synced.wait(), 40)
        await until(lambda: cluster.store.services["a/s"].addresses == ips("2"))


@pytest.mark.parametrize("is_stopping", [False, True])
async def test_what_a_reload_drops_lets_go_of_what_it_knew_in_turns(is_stopping, tmp_path):
    """gc.freeze has seen the plugins that hold it: it would stay for good."""
    of = origin(tmp_path / "kept")
    async with running(of, is_stopping=is_stopping) as (cluster, api):
        api.say(Put(imported("i", "5")))
        api.list_all(*NEW, pod("p", "4"), slice_("y", "8", cluster="c"))
        await until((tmp_path / "kept").exists)
        cluster.bumped.clear()
    left = [one for part in cluster.store.objects() for one in part]
    assert len(left) == (6 if is_stopping else 0)
    assert cluster.store.has_synced == is_stopping
    assert not cluster.bumped, "those who serve now remember answers of their own"
    async with running(of) as (cluster, api):
        api.failure = "gone"
        await until(lambda: ready(cluster.store) == set(ips("3")))
