"""Plugins at work: what is shared runs on through reloads, what is not asked for ends."""

import asyncio
import logging

import pytest

from kdns.plugins.base import Plugin
from kdns.server.assembly import Assembly, Services
from kdns.server.crew import Runners
from kdns.server.service import Service
from tests import fakes


class Works:
    """A Runner that says how often it was started and ended."""

    def __init__(self) -> None:
        self.started = self.ended = 0

    async def run(self) -> None:
        self.started += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1


class Uses(Plugin):
    """Shares a runner and sees it run when it starts."""

    name = "uses"

    def __init__(self, runner: Works, *, fails: bool = False) -> None:
        self.runner = runner
        self.fails = fails
        self.stopped = 0

    async def start(self) -> None:
        await asyncio.sleep(0)
        assert self.runner.started == 1
        if self.fails:
            raise RuntimeError("no data")

    async def stop(self) -> None:
        self.stopped += 1


class Waits(Plugin):
    """Takes a moment to start."""

    name = "waits"

    def __init__(self) -> None:
        """Needs no settings and no site."""

    async def start(self) -> None:
        await asyncio.sleep(0.01)


class Tells(Plugin):
    """Tells of its start, which takes a while, and of its stop."""

    name = "tells"

    def __init__(self, word: str, takes_s: float, told: list[str]) -> None:
        self.word = word
        self.takes_s = takes_s
        self.told = told

    async def start(self) -> None:
        await asyncio.sleep(self.takes_s)
        self.told.append(f"{self.word} starts")

    async def stop(self) -> None:
        self.told.append(f"{self.word} stops")


async def test_a_reload_asked_for_during_the_start_comes_after_it() -> None:
    told: list[str] = []
    service = Service(Assembly(plugins=[Tells("old", 0.05, told)]), Services())
    new = Assembly(plugins=[Tells("new", 0, told)])
    await asyncio.gather(service.start(), service.reload(new))
    assert told == ["old starts", "new starts", "old stops"]
    assert service.assembly is new
    assert service.services.life.plugins == tuple(new.plugins)
    await service.stop()


async def test_a_runner_starts_before_its_plugins_and_ends_after_them() -> None:
    runner = Works()
    plugin = Uses(runner)
    service = Service(Assembly(plugins=[plugin], shared={"one": runner}), Services())
    await service.start()
    assert (runner.started, runner.ended) == (1, 0)
    await service.stop()
    assert (runner.started, runner.ended, plugin.stopped) == (1, 1, 1)


async def test_runners_still_asked_for_run_on_and_others_end() -> None:
    kept, gone, new = Works(), Works(), Works()
    runners = Runners(lambda error: None)
    runners.begin({"kept": kept, "gone": gone})
    await asyncio.sleep(0)
    runners.begin({"kept": kept, "new": new, "plain": []})
    await runners.keep({"kept": kept, "new": new})
    assert [(one.started, one.ended) for one in (kept, gone, new)] == [(1, 0), (1, 1), (1, 0)]
    await runners.keep({})


async def test_a_plugin_that_fails_to_start_ends_the_start_and_stops_the_others() -> None:
    runner = Works()
    good, bad = Uses(runner), Uses(runner, fails=True)
    service = Service(Assembly(plugins=[good, bad], shared={"one": runner}), Services())
    with pytest.raises(RuntimeError, match="no data"):
        await service.start()
    assert (good.stopped, bad.stopped, runner.ended) == (1, 0, 1)


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_runner_that_fails_ends_the_server(
    caplog: pytest.LogCaptureFixture,
    is_late: bool,
) -> None:
    gate = asyncio.Event()

    class Fails:
        async def run(self) -> None:
            if is_late:
                await gate.wait()
            raise RuntimeError("out of order")

    async def serves() -> None:
        await service.start()
        assert is_late
        gate.set()
        await service.wait()

    service = Service(Assembly(plugins=[Waits()], shared={"one": Fails()}), Services())
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="out of order"):
        await serves()
    await service.stop()
    assert "a background task failed, the server ends" in caplog.text


async def test_what_the_last_corefile_shared_is_taken_over_and_the_rest_forgotten() -> None:
    before: dict[object, object] = {"kept": object(), "gone": object()}
    site = fakes.site(kept=before)
    assert site.share("kept", object) is before["kept"]
    made = site.share("new", object)
    assert site.share("new", object) is made
    assert site.shared == {"kept": before["kept"], "new": made}


async def test_a_plugin_that_fails_to_stop_does_not_keep_the_others_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Breaks(Uses):
        async def wind_down(self) -> None:
            raise RuntimeError("too tired")

        async def stop(self) -> None:
            raise RuntimeError("not now")

    runner = Works()
    good, bad = Uses(runner), Breaks(runner)
    service = Service(Assembly(plugins=[bad, good], shared={"one": runner}), Services())
    await service.start()
    await service.wind_down()
    await service.stop()
    assert (good.stopped, runner.ended) == (1, 1)
    assert [record.exc_info[1].args[0] for record in caplog.records] == ["too tired", "not now"]
