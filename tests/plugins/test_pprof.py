"""pprof: stacks of the loop, sampled on demand, within bounds."""

import asyncio
import time

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import HttpReply
from kdns.plugins.pprof import Pprof
from tests import fakes


def plugin(text: str = "pprof") -> Pprof:
    [made] = fakes.chain(text, Pprof).plugins
    assert isinstance(made, Pprof)
    return made


async def get(made: Pprof, path: str, **query: str) -> HttpReply:
    [endpoint] = [one for one in made.endpoints() if one.path == path]
    return await endpoint.serve(query)


PROFILE = "/debug/pprof/profile"


def test_the_address() -> None:
    assert {(one.host, one.port) for one in plugin().endpoints()} == {("localhost", 6053)}
    assert {(one.host, one.port) for one in plugin("pprof :1").endpoints()} == {("", 1)}


@pytest.mark.parametrize("text", ["pprof x", "pprof {\n block x\n}", "pprof {\n heap\n}"])
def test_what_is_not_taken(text: str) -> None:
    with pytest.raises(ConfigError, match="pprof"):
        plugin(text)


@pytest.mark.parametrize("option", ["block", "block 5"])
async def test_blocks_are_not_profiled_and_it_says_so(
    option: str, caplog: pytest.LogCaptureFixture
) -> None:
    await plugin(f"pprof {{\n {option}\n}}").start()
    assert "the option does nothing" in caplog.text


async def test_the_index_says_what_there_is() -> None:
    assert PROFILE.encode() in (await get(plugin(), "/debug/pprof/")).body


def works_hard(end: float) -> None:
    while time.monotonic() < end:
        sum(range(100))


async def test_a_profile_shows_where_the_time_went() -> None:
    sampling = asyncio.ensure_future(get(plugin(), PROFILE, seconds="0.3"))
    while not sampling.done():
        works_hard(time.monotonic() + 0.1)
        await asyncio.sleep(0)
    reply = await sampling
    lines = reply.body.decode().splitlines()
    hot = [line for line in lines if "works_hard" in line]
    assert reply.status == 200
    assert all(int(line.rpartition(" ")[2]) > 0 for line in lines)
    assert sum(int(line.rpartition(" ")[2]) for line in hot) > 0
    assert all(";tests.plugins.test_pprof.works_hard:" in line for line in hot)


@pytest.mark.parametrize("seconds", ["0", "-1", "61", "nan", "x", "inf"])
async def test_the_time_is_bounded(seconds: str) -> None:
    assert (await get(plugin(), PROFILE, seconds=seconds)).status == 400


async def test_one_at_a_time_and_none_that_nobody_waits_for() -> None:
    made = plugin()
    first = asyncio.ensure_future(get(made, PROFILE, seconds="60"))
    await asyncio.sleep(0.02)
    assert (await get(made, PROFILE, seconds="1")).status == 503
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await get(made, PROFILE, seconds="0.02")).status == 200
