"""Snapshot files: what was written is read again, all of it or nothing."""

import asyncio
import os
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster import snapshot as module
from kdns.cluster.objects import KINDS, Namespace, Object, Slice
from kdns.cluster.snapshot import Keeper, write
from kdns.cluster.sources.snapshot import Snapshot, SnapshotError
from kdns.cluster.store import Put, Store, Synced
from kdns.observe.counters import Counters
from tests.cluster.test_order import ADDRESSES, KEYS, OBJECTS, unique
from tests.cluster.things import (
    ALL,
    gateway,
    imported,
    ingress,
    node,
    pod,
    route,
    seen,
    service,
    slice_,
    wanting,
)

SOME: tuple[Object, ...] = (
    Namespace("a", (("team", "x"),), "1"),
    service("s", "1", "fd00::1", version="7", external_hosts=("lb.example",)),
    service("e", external_name="Out.Example"),
    slice_("x", "2", "3", hostnames=("h", ""), pods=("p", "q"), zones=("z", ""), version="9",
           unready=frozenset({1})),
    slice_("six", "fd00::2", cluster="c"),
    pod("p", "4", labels=(("app", "s"),)),
    imported("i", "5"),
    wanting("w", "x.y.test", "*.z.test"),
    slice_("near", "6", nodes=("n",), hints=("z1,z2",)),
    node("n", "7", "fd00::7", zone="z1", net=9),
    ingress("i", "x.y.test"),
    gateway("g", "*.y.test"),
    route("r", "a.y.test"),
)  # fmt: skip


async def read(path, owner="me") -> list[Object]:
    events = [event async for event in Snapshot(str(path), owner)]
    assert events.pop() == Synced()
    assert all(isinstance(event, Put) and event.is_chosen for event in events)
    return [event.object for event in events]


async def test_what_was_written_is_read_again(tmp_path):
    write(str(tmp_path / "kept"), "me", SOME)
    assert await read(tmp_path / "kept") == list(SOME)
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]


async def test_many_objects_are_many_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0)
    monkeypatch.setattr("kdns.cluster.sources.snapshot.PAUSE_S", 0)
    many = [*(pod(f"p{n}", str(n % 250)) for n in range(1050)), *SOME]
    write(str(tmp_path / "kept"), "me", many)
    assert await read(tmp_path / "kept") == many


@settings(max_examples=30, deadline=None)
@given(st.lists(OBJECTS, max_size=12))
async def test_a_store_comes_back_as_it_was(tmp_path_factory, objects):
    before, after = Store(ALL), Store(ALL)
    before.apply_all([*map(Put, unique(objects)), Synced()], 10.0)
    path = tmp_path_factory.mktemp("snapshot") / "kept"
    write(str(path), "me", [one for part in before.objects() for one in part])
    async for event in Snapshot(str(path), "me"):
        after.apply(event, 20.0)
    assert seen(after, ADDRESSES, KEYS) == seen(before, ADDRESSES, KEYS)
    assert after.has_synced


async def test_endpoints_on_the_move_are_not_written_twice():
    store = Store()
    store.apply_all(map(Put, [service("s"), slice_("x", "1", "2"), slice_("y", "3")]), 10.0)
    store.apply(Put(slice_("x", "1")), 10.1)
    assert [one.name for one in store.slices("a/s")] == ["x", "x~1", "y"]
    objects = [one for part in store.objects() for one in part]
    assert [one.name for one in objects if type(one) is Slice] == ["x", "y"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "kept"
    write(str(path), "me", SOME)
    return path.read_bytes()


@settings(max_examples=100, deadline=None)
@given(st.data())
async def test_a_damaged_file_gives_nothing(tmp_path_factory, whole, data):
    at = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["cut", "flip", "more"]))
    match how:
        case "cut":
            text = whole[:at]
        case "flip":
            text = whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :]
        case _:
            text = whole + b"\0"
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(text)
    with pytest.raises(SnapshotError):
        await read(path)


async def test_a_file_of_another_owner_is_refused(tmp_path):
    write(str(tmp_path / "kept"), "me", SOME)
    with pytest.raises(SnapshotError, match="another API server"):
        await read(tmp_path / "kept", "you")


async def test_strings_that_many_objects_have_are_kept_once(tmp_path):
    write(str(tmp_path / "kept"), "me", [slice_(name, "1", ns="long-name") for name in "xy"])
    one, two = await read(tmp_path / "kept")
    assert one.namespace is two.namespace
    assert one.ports[0].name is two.ports[0].name


async def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write(str(tmp_path / "kept"), "me", SOME)
    before = (tmp_path / "kept").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="space"):
        write(str(tmp_path / "kept"), "me", SOME[:1])
    assert (tmp_path / "kept").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]


async def test_the_interpreter_is_let_go_often_while_writing(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(module.time, "sleep", calls.append)
    write(str(tmp_path / "kept"), "me", [pod(f"p{n}", "1") for n in range(500)])
    assert len(calls) == 5


# When it is written


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0.001)


async def test_it_is_written_at_most_once_in_30_seconds_and_once_more_at_the_end(
    tmp_path, monkeypatch
):
    written, slept = [], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.Event().wait()

    keeper = Keeper(str(tmp_path / "kept"), "me", lambda: [], Clock(), Counters())
    monkeypatch.setattr(module, "write", lambda *_: written.append(1))
    running = asyncio.create_task(keeper.run())
    keeper.changed_to(1)
    while not written:
        await asyncio.sleep(0.001)
    keeper.changed_to(1)
    await turns()
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    keeper.changed_to(2)
    while not slept:
        await turns_of_loop()
    assert (len(written), slept) == (1, [30.0])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await keeper.write()
    await keeper.write()
    assert len(written) == 2


async def turns_of_loop() -> None:
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(done.set_result, None)
    await done


async def test_a_failure_is_told_once_with_what_to_do_and_retried(tmp_path, caplog):
    caplog.set_level("INFO")
    counters, path = Counters(), tmp_path / "absent" / "kept"
    keeper = Keeper(str(path), "me", lambda: [list(SOME)], Clock(), counters)
    keeper.changed_to(1)
    await keeper.write()
    await keeper.write()
    assert len(caplog.records) == 1
    assert "kept: cannot be written: No such file or directory" in caplog.text
    assert "is its directory there and writable?" in caplog.text
    assert counters.values[("kdns_snapshot_failures_total",)] == 2
    (tmp_path / "absent").mkdir()
    await keeper.write()
    assert "written again" in caplog.text
    assert (tmp_path / "absent" / "kept").exists()


async def test_a_stop_that_falls_into_a_write_waits_for_it(tmp_path, monkeypatch):
    """Two threads in one file would leave neither."""
    inside, most = 0, 0
    gate = threading.Event()

    def slow(*_: object) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        gate.wait(40)
        time.sleep(0.005)
        inside -= 1

    monkeypatch.setattr(module, "write", slow)
    keeper = Keeper(str(tmp_path / "kept"), "me", lambda: [list(SOME)], Clock(), Counters())
    running = asyncio.create_task(keeper.run())
    keeper.changed_to(1)
    while not inside:
        await asyncio.sleep(0.001)
    running.cancel()
    keeper.changed_to(2)
    stopping = asyncio.create_task(keeper.write())
    await turns()
    gate.set()
    await stopping
    assert most == 1


async def test_a_stop_that_falls_between_two_parts_still_writes(tmp_path):
    keeper = Keeper(str(tmp_path / "kept"), "me", lambda: [list(SOME), []], Clock(), Counters())
    running = asyncio.create_task(keeper.run())
    keeper.changed_to(1)
    while keeper._changed.is_set():
        await turns_of_loop()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await keeper.write()
    assert await read(tmp_path / "kept") == list(SOME)


@pytest.mark.parametrize("magic", [module.MAGIC, b"kdns snapshot 2 0\n"], ids=["owner", "version"])
async def test_a_file_that_another_has_written_since_is_left_to_it(tmp_path, magic, caplog):
    """A reload with other options and an upgrade overlap: the old one writes its last too late."""
    caplog.set_level("INFO")
    path = tmp_path / "kept"
    write(str(path), "you", SOME)
    keeper = Keeper(str(path), "me", lambda: [list(SOME)], Clock(), Counters())
    keeper.changed_to(1)
    await keeper.write()
    assert await read(path) == list(SOME), "what was there before us is replaced"
    path.write_bytes(magic + module.digest("you") + b"rest")
    for edition in (2, 3):
        keeper.changed_to(edition)
        await keeper.write()
    assert path.read_bytes().endswith(b"rest")
    assert [one.message for one in caplog.records] == [
        f"snapshot {path}: left to another kdns or stanza, by now it has written the file"
    ]
    path.unlink()
    keeper.changed_to(4)
    await keeper.write()
    assert await read(path) == list(SOME)


async def test_two_processes_of_one_number_do_not_write_into_one_file(tmp_path, monkeypatch):
    """In containers that share a directory every kdns is process 1."""
    path, begun = str(tmp_path / "kept"), []
    fill = module._fill

    def second(file, owner, objects):
        begun.append(file.name)
        if len(begun) == 1:
            write(path, owner, SOME[:1])
        fill(file, owner, objects)

    monkeypatch.setattr(module, "_fill", second)
    write(path, "me", SOME)
    assert len(set(begun)) == 2
    assert await read(path) == list(SOME)
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]


def test_what_a_killed_process_left_is_taken_away(tmp_path):
    names = (".kept.0123abcd.new", ".kept.conf", ".kept.89ab4567.new")
    for name in names:
        (tmp_path / name).touch()
    for name in names[:2]:
        os.utime(tmp_path / name, (1, 1))
    write(str(tmp_path / "kept"), "me", SOME)
    assert {one.name for one in tmp_path.iterdir()} == {"kept", *names[1:]}


def test_every_kind_is_known_by_its_place():
    names = [kind.__name__ for kind in KINDS[3:]]
    expected = ["Pod", "ServiceImport", "Node", "Ingress", "Gateway", "Route"]
    assert names == expected, "files name kinds by number"
