"""When a lab looks for garbage."""

import asyncio
import gc
from contextlib import suppress

import pytest

from kdns.lab import quiet
from kdns.lab.resources import NAMESPACES
from kdns.lab.storage import Storage


def test_it_waits_for_a_quiet_moment_but_not_for_ever() -> None:
    assert not quiet.is_time(0, is_quiet=True)
    assert quiet.is_time(quiet.DUE, is_quiet=True)
    assert not quiet.is_time(quiet.OVERDUE - 1, is_quiet=False)
    assert quiet.is_time(quiet.OVERDUE, is_quiet=False)


async def test_old_objects_are_looked_at_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(now=lambda: 0.0, uid=lambda: "uid")
    asked: list[bool] = []

    def is_time(looks: int, *, is_quiet: bool) -> bool:
        del looks
        asked.append(is_quiet)
        return is_quiet

    monkeypatch.setattr(quiet, "LOOK_S", 0.01)
    monkeypatch.setattr(quiet, "is_time", is_time)
    before = gc.get_threshold()
    task = asyncio.create_task(quiet.collect(storage))
    try:
        await asyncio.sleep(0)
        assert gc.get_freeze_count(), "what was there before is not looked at"
        assert gc.get_threshold() == quiet.COLLECT
        storage.create(NAMESPACES, "", {"metadata": {"name": "default"}})
        async with asyncio.timeout(10):
            while len(asked) < 2:
                await asyncio.sleep(0.005)
        assert asked[:2] == [False, True], "what was written in between is seen"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
