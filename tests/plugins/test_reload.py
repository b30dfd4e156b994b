"""reload: how often it looks, and what it publishes. What a reload does: tests/server."""

import asyncio
from random import Random

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins import reload
from kdns.plugins.base import Life
from kdns.plugins.reload import Reload
from tests import fakes


def plugin(text: str = "reload", **changes: object) -> Reload:
    [made] = fakes.chain(text, Reload, **changes).plugins
    assert isinstance(made, Reload)
    return made


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("reload", 22.5, 37.5),
        ("reload 10s", 7.5, 12.5),  # the jitter is cut to half the interval
        ("reload 1m", 52.5, 67.5),
        ("reload 1m 20s", 50, 70),
        ("reload 10s 0s", 10, 10),
        ("reload 2s 1s", 1.5, 2.5),
    ],
)
def test_the_interval_is_drawn_once_within_its_jitter(text: str, low: float, high: float) -> None:
    drawn = [plugin(text, chance=Random(seed)).interval_s for seed in range(300)]
    assert low <= min(drawn) <= max(drawn) <= high
    assert max(drawn) - min(drawn) >= (high - low) * 0.9


@pytest.mark.parametrize(
    "text", ["reload 1s", "reload 10", "reload 10s 500ms", "reload 2s 1s 1s", "reload 5s -1s"]
)
def test_what_is_not_taken(text: str) -> None:
    with pytest.raises(ConfigError, match="reload"):
        plugin(text)


async def test_it_asks_the_server_at_every_interval(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[float] = []
    slept: list[float] = []
    sleep = asyncio.sleep

    async def ask() -> bool:
        asked.append(sum(slept))
        return True

    async def tick(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(reload.asyncio, "sleep", tick)
    caplog.set_level("INFO", "kdns.reload")
    made = plugin("reload 10s 0s", life=Life(reload=ask, version="abc"))
    made.site.life.plugins = (made,)
    [looking] = [asyncio.ensure_future(work) for work in made.tasks()]
    while len(asked) < 3:
        await sleep(0)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert asked[:3] == [10, 20, 30]
    assert "Running configuration SHA512 = abc" in caplog.text


async def test_where_there_is_no_file_there_is_nothing_to_look_at() -> None:
    [looking] = plugin().tasks()
    assert await looking is None


async def test_the_version_is_published_while_a_corefile_with_the_directive_serves() -> None:
    made = plugin(life=Life(version="abc"))
    await made.start()
    read = made.site.counters.asked["coredns_reload_version_info"]
    assert list(read()) == []
    made.site.life.plugins = (made,)
    assert list(read()) == [(("sha512", "abc"), 1)]
    assert made.site.counters.values["coredns_reload_failed_total",] == 0
