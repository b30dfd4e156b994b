"""debug: the log level of the process follows the blocks that ask for it."""

import logging

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.debug import Debug
from tests import fakes


@pytest.fixture(autouse=True)
def level():
    log = logging.getLogger("kdns")
    before = log.level
    log.setLevel(logging.INFO)
    yield lambda: logging.getLevelName(log.level)
    log.setLevel(before)


@pytest.mark.parametrize("text", ["debug x", "debug {\n x\n }"])
def test_it_takes_nothing(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Debug)


async def test_debug_lines_are_logged_while_it_runs(level):
    [plugin] = fakes.chain("debug", Debug).plugins
    assert level() == "INFO"
    await plugin.start()
    assert level() == "DEBUG"
    await plugin.stop()
    assert level() == "INFO"


async def test_a_reload_with_debug_keeps_it_and_one_without_ends_it(level):
    where = fakes.site()
    old, new = (fakes.plugins("debug", where, Debug)[0] for _ in range(2))
    await old.start()
    await new.start()
    await old.stop()
    assert level() == "DEBUG"
    await new.stop()
    assert level() == "INFO"


async def test_stopping_what_never_started_is_fine(level):
    [plugin] = fakes.chain("debug", Debug).plugins
    await plugin.stop()
    assert level() == "INFO"
