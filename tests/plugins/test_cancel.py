"""cancel: no query takes longer."""

import asyncio

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP
from kdns.plugins.cancel import Cancel
from kdns.server.drive import drive
from tests import fakes
from tests.stubs import Told, Waits, addresses


def chain(text, *plugins):
    made = fakes.chain(text, Cancel)
    made.plugins += plugins
    return made


async def test_what_takes_too_long_fails_and_is_stopped():
    slow = Waits(lambda query: addresses(query, 1))
    made = chain("cancel 10ms", slow)
    answer = await made.ask("a.example", has_opt=True)
    assert (answer.rcode, answer.error) == (2, "context deadline exceeded")
    assert not made.ledger.keep
    await asyncio.sleep(0)
    assert slow.gates[0].cancelled()


async def test_what_comes_in_time_comes():
    slow = Waits(lambda query: addresses(query, 1))
    asked = asyncio.ensure_future(chain("cancel 10s", slow).ask("a.example"))
    while not slow.gates:
        await asyncio.sleep(0)
    slow.open()
    assert (await asked).answer


async def test_no_task_is_needed_to_wait():
    """As UDP does it: what is waited for goes on from a callback."""
    slow, got = Waits(lambda query: addresses(query, 1)), []
    drive(chain("cancel 10ms", slow).ask("a.example"), got.append)
    assert not got
    while not got:
        await asyncio.sleep(0.005)
    assert got[0].rcode == 2


async def test_failures_of_plugins_are_passed_on():
    def fail(_):
        raise RuntimeError("broken")

    class Late(Told):
        async def answer(self, query):
            await asyncio.sleep(0)
            return self.say(query)

    with pytest.raises(RuntimeError):
        await chain("cancel", Late(fail)).ask("a.example")
    assert await chain("cancel", Late(lambda _: SKIP)).ask("a.example") is SKIP


def test_a_time_is_needed_to_be_over_zero():
    for text in ("cancel 0s", "cancel -1s", "cancel 1", "cancel x", "cancel 1s 2s"):
        with pytest.raises(ConfigError):
            chain(text)
    assert chain("cancel").plugins[0].timeout_s == 5.001


async def test_the_first_of_a_block_counts(caplog):
    made = chain("cancel 10s\ncancel 1ms {\n x\n}", Waits(lambda query: addresses(query, 1)))
    for plugin in made.plugins[:2]:
        await plugin.start()
    assert caplog.text.count("kdns.cancel") == 2
    asked = asyncio.ensure_future(made.ask("a.example"))
    await asyncio.wait([asked], timeout=0.02)
    made.plugins[2].open()
    assert (await asked).answer
