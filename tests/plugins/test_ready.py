"""ready: which plugins are waited for, for how long, and what the stop says."""

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import Backend, Life, Plugin
from kdns.plugins.ready import Ready
from tests import fakes


class Loads(Backend):
    """Reports readiness."""

    name = "kubernetes"
    is_ready = False

    def __init__(self, name: str = "kubernetes") -> None:
        self.name = name


class Silent(Backend):
    """Reports none."""

    name = "hosts"

    def __init__(self) -> None:
        pass


def probe(text: str, *plugins: Plugin) -> tuple[Ready, Life]:
    life = Life(plugins=plugins)
    [made] = fakes.chain(text, Ready, life=life).plugins
    assert isinstance(made, Ready)
    for plugin in plugins:
        plugin.site = made.site
    return made, life


async def said(made: Ready) -> tuple[int, str]:
    [endpoint] = made.endpoints()
    reply = await endpoint.serve({})
    return reply.status, reply.body.decode()


@pytest.mark.parametrize(
    ("text", "at"), [("ready", ("", 8181)), ("ready localhost:1", ("localhost", 1))]
)
def test_the_address(text: str, at: tuple[str, int]) -> None:
    [endpoint] = probe(text)[0].endpoints()
    assert (endpoint.host, endpoint.port, endpoint.path) == (*at, "/ready")


@pytest.mark.parametrize(
    "text", ["ready x", "ready {\n monitor\n}", "ready {\n monitor never\n}", "ready :1 :2"]
)
def test_what_is_not_taken(text: str) -> None:
    with pytest.raises(ConfigError, match="ready"):
        probe(text)


async def test_plugins_that_report_nothing_are_not_waited_for() -> None:
    made, _ = probe("ready", Silent())
    assert await said(made) == (200, "OK")


async def test_it_names_who_is_not_ready_each_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "kdns.ready")
    one, two, three = Loads(), Loads("erratic"), Loads()
    made, _ = probe("ready", one, Silent(), two, three)
    assert await said(made) == (503, "erratic,kubernetes")
    one.is_ready = three.is_ready = True
    assert await said(made) == (503, "erratic")
    assert await said(made) == (503, "erratic")
    two.is_ready = True
    assert await said(made) == (200, "OK")
    assert [one.getMessage() for one in caplog.records] == [
        "Plugins not ready: erratic,kubernetes",
        "Plugins not ready: erratic",
        "Plugins not ready: none any more",
    ]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("ready", (200, "OK")),
        ("ready {\n monitor until-ready\n}", (200, "OK")),
        ("ready {\n monitor continuously\n}", (503, "kubernetes")),
    ],
)
async def test_who_was_ready_once_is_asked_again_only_if_wanted(
    text: str, after: tuple[int, str]
) -> None:
    loads = Loads()
    made, _ = probe(text, loads)
    loads.is_ready = True
    assert await said(made) == (200, "OK")
    loads.is_ready = False
    assert await said(made) == after


async def test_the_stop_is_said_at_once() -> None:
    made, life = probe("ready")
    life.is_stopping = True
    assert await said(made) == (503, "Shutting down")


async def test_blocks_without_the_directive_are_not_waited_for() -> None:
    here, elsewhere = Loads(), Loads("erratic")
    made, _ = probe("ready", here, elsewhere)
    elsewhere.site = fakes.chain("").site
    assert await said(made) == (503, "kubernetes")
