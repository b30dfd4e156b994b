"""on: commands at the start and at the end."""

import asyncio
import os

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins import on
from kdns.plugins.base import Life
from kdns.plugins.on import On
from tests import fakes


async def lived(text, **changes):
    """Starts and ends the plugins of a block, waiting for what nobody else waits for."""
    plugins = fakes.plugins(text, fakes.site(**changes), On)
    for plugin in plugins:
        await plugin.start()
    await asyncio.gather(*[task for plugin in plugins for task in plugin.tasks()])
    yield plugins
    for plugin in plugins:
        await plugin.wind_down()
        await plugin.stop()


async def test_commands_run_at_their_event(tmp_path):
    text = "\n".join(
        f"on {event} touch {tmp_path}/{name}"
        for event, name in [("startup", "a"), ("STARTUP", "'b c'"), ("shutdown", "d")]
    )
    there = lambda: sorted(path.name for path in tmp_path.iterdir())  # noqa: E731
    async for _ in lived(text + f"\non startup touch {tmp_path}/e &"):
        assert there() == ["a", "b c", "e"]
    assert there() == ["a", "b c", "d", "e"]


async def test_words_are_taken_apart_again(tmp_path):
    async for _ in lived(f'on startup touch "{tmp_path}/a {tmp_path}/b"'):
        assert len(list(tmp_path.iterdir())) == 2


async def test_a_failing_command_is_an_error_in_the_log(caplog):
    async for _ in lived("on startup false\non startup /nowhere/at/all\non startup &"):
        pass
    assert "false ended with 1" in caplog.text
    assert "cannot run /nowhere/at/all: No such file or directory" in caplog.text


async def test_one_worker_alone_runs_it(tmp_path):
    async for _ in lived(f"on startup touch {tmp_path}/a", life=Life(is_lead=False)):
        assert not list(tmp_path.iterdir())


async def test_a_command_is_ended_with_the_wait_for_it(caplog):
    [plugin] = fakes.plugins("on startup sleep 1000", fakes.site(), On)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(plugin.start(), 0.2)


async def test_a_command_that_will_not_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(on, "PATIENCE_S", 0.1)
    words = f"sh -c 'trap : TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done'"
    [plugin] = fakes.plugins(f'on startup "{words}"', fakes.site(), On)
    starting = asyncio.ensure_future(plugin.start())
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        await asyncio.sleep(0.01)
    pid = int((tmp_path / "pid").read_text())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_certrenew_never_comes(caplog):
    async for _ in lived("on certrenew true"):
        pass
    assert "certrenew" in caplog.text


@pytest.mark.parametrize("args", ["", "startup", "restart true", 'startup "echo \'x"'])
def test_wrong_arguments_are_refused(args):
    with pytest.raises(ConfigError):
        fakes.chain(f"on {args}", On)
