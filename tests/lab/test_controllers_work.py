"""The loop of a controller: what is due, what is tried again, what is left alone."""

import asyncio
import logging
from collections.abc import Iterable
from itertools import count
from random import Random

import pytest

from kdns.lab import errors
from kdns.lab.controllers.desk import KEPT_EVENTS, Desk
from kdns.lab.controllers.work import LATEST_S, Agenda, Controller, delay_s
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import CONFIGMAPS, EVENTS, NAMESPACES, Resource
from kdns.lab.storage import Key, Storage


@pytest.fixture
def storage() -> Storage:
    number = count(1)
    made = Storage(now=lambda: 1_700_000_000.0, uid=lambda: f"uid-{next(number)}")
    made.create(NAMESPACES, "", {"metadata": {"name": "default"}})
    return made


@pytest.fixture
def desk(storage: Storage) -> Desk:
    return Desk(storage, Random(1).randrange)


def put(storage: Storage, name: str, text: str = "") -> Obj:
    metadata = {"name": name}
    if storage.find(CONFIGMAPS, "default", name):
        return storage.update(
            CONFIGMAPS, "default", name, {"metadata": metadata, "data": {"x": text}}
        )
    return storage.create(CONFIGMAPS, "default", {"metadata": metadata, "data": {"x": text}})


class Recorder(Controller):
    """Notes what it is asked to put in order, and fails as it is told."""

    name = "recorder"
    watches = (CONFIGMAPS,)

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.seen: list[str] = []
        self.failures: list[Exception] = []
        self.news = asyncio.Event()

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        del resource
        return (("default", event.object["metadata"]["name"]),)

    def sync(self, key: Key) -> float | None:
        self.seen.append(key[1])
        self.news.set()
        if self.failures:
            raise self.failures.pop()
        return None

    async def until(self, seen: int) -> None:
        async with asyncio.timeout(30):
            while len(self.seen) < seen:
                self.news.clear()
                await self.news.wait()


async def test_controllers_work_one_after_the_other_with_turns_for_others(desk: Desk) -> None:
    loop, turns, between = asyncio.get_running_loop(), [0], list[int]()

    class Busy(Recorder):
        def sync(self, key: Key) -> float | None:
            between.append(turns[0])
            return super().sync(key)

    def turn() -> None:
        turns[0] += 1
        handle[0] = loop.call_soon(turn)

    for number in range(5):
        put(desk.storage, f"map-{number}")
    handle = [loop.call_soon(turn)]
    controllers = [Busy(desk) for _ in range(4)]
    tasks = [asyncio.create_task(one.run()) for one in controllers]
    for one in controllers:
        await one.until(5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    handle[0].cancel()
    assert len(between) == len(set(between)) == 20, "two of them in one turn of the loop"


def test_an_agenda_gives_each_key_once_at_its_earliest_time() -> None:
    agenda = Agenda()
    agenda.add(("", "late"), 5.0)
    agenda.add(("", "a"), 3.0)
    agenda.add(("", "a"), 1.0)
    agenda.add(("", "a"), 2.0)
    assert agenda.take(0.5) is None
    assert agenda.take(1.0) == ("", "a")
    assert agenda.take(4.0) is None
    assert agenda.take(5.0) == ("", "late")


async def test_what_is_there_and_what_comes_is_put_in_order(storage: Storage, desk: Desk) -> None:
    put(storage, "a")
    recorder = Recorder(desk)
    task = asyncio.create_task(recorder.run())
    await recorder.until(1)
    put(storage, "b")
    await recorder.until(2)
    assert recorder.seen == ["a", "b"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_conflict_is_tried_again_without_a_word(
    storage: Storage, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(desk)
    recorder.failures = [errors.conflict("configmaps", "a") for _ in range(2)]
    task = asyncio.create_task(recorder.run())
    put(storage, "a")
    await recorder.until(3)
    assert recorder.seen == ["a", "a", "a"]
    assert not caplog.records
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_makes_no_sense_is_one_warning_and_left_until_it_changes(
    storage: Storage, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    recorder = Recorder(desk)
    recorder.failures = [ValueError("a duration of soon")]
    task = asyncio.create_task(recorder.run())
    put(storage, "a")
    await recorder.until(1)
    put(storage, "b")
    await recorder.until(2)
    put(storage, "a", "else")
    await recorder.until(3)
    assert recorder.seen == ["a", "b", "a"]
    [record] = caplog.records
    assert record.getMessage() == (
        "recorder: default/a makes no sense (ValueError: a duration of soon); "
        "left alone until it changes"
    )
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_storage_that_was_replaced_is_looked_at_anew(storage: Storage, desk: Desk) -> None:
    put(storage, "a")
    recorder = Recorder(desk)
    task = asyncio.create_task(recorder.run())
    await recorder.until(1)
    storage.load([(kind, item.object) for kind, item in storage.dump()], storage.version)
    await recorder.until(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# Events


def test_an_event_that_repeats_is_counted(storage: Storage, desk: Desk) -> None:
    about = put(storage, "a")
    for _ in range(3):
        desk.tell(about, "Changed", "it did", source="test")
    desk.tell(about, "Changed", "otherwise", source="test", is_warning=True)
    found = sorted(storage.list(EVENTS, "default"), key=lambda one: one["type"])
    assert [(one["type"], one["message"], one["count"]) for one in found] == [
        ("Normal", "it did", 3),
        ("Warning", "otherwise", 1),
    ]
    assert found[0]["involvedObject"]["uid"] == about["metadata"]["uid"]
    Desk(storage, Random(2).randrange).tell(about, "Changed", "it did", source="test")
    assert sorted(one["count"] for one in storage.list(EVENTS, "default")) == [1, 4]


def test_events_of_one_moment_are_listed_in_their_order(storage: Storage, desk: Desk) -> None:
    about = put(storage, "a")
    told = [str(number) for number in range(20)]
    for message in told:
        desk.tell(about, "Changed", message, source="test")
    found = sorted(storage.list(EVENTS, "default"), key=lambda one: one["metadata"]["name"])
    assert [one["message"] for one in found] == told


def test_the_oldest_events_go(storage: Storage, desk: Desk) -> None:
    about = put(storage, "a")
    for number in range(KEPT_EVENTS + 5):
        desk.tell(about, "Changed", str(number), source="test")
    messages = {int(one["message"]) for one in storage.list(EVENTS, "default")}
    assert messages == set(range(5, KEPT_EVENTS + 5))


async def test_an_event_that_makes_no_sense_does_not_end_a_controller(
    desk: Desk, storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(desk)
    understood = recorder.keys

    def keys(resource: Resource, event: Event) -> Iterable[Key]:
        if event.object["metadata"]["name"] == "odd":
            raise KeyError("uid")
        return understood(resource, event)

    monkeypatch.setattr(recorder, "keys", keys)
    task = asyncio.create_task(recorder.run())
    put(storage, "odd")
    put(storage, "a")
    await recorder.until(1)
    recorder.failures = [OverflowError("int too large to convert to float")]
    put(storage, "b")
    await recorder.until(2)
    put(storage, "c")
    await recorder.until(3)
    assert not task.done()
    assert "odd makes no sense (KeyError" in caplog.text
    assert "default/b makes no sense (OverflowError" in caplog.text
    task.cancel()


def test_a_key_that_fails_for_hours_is_still_tried() -> None:
    assert delay_s(1) < 0.1
    assert delay_s(5000) == LATEST_S
