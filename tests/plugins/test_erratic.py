"""erratic: a server that misbehaves as told."""

import dns.flags
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.erratic import Erratic
from tests import fakes
from tests.tabled import Served, query, served


async def pattern(options, count=8, type_="A"):
    one = Served(f".:0 {{\n erratic {{\n {options}\n }}\n}}\n" if options else ".:0 {\n erratic\n}")
    out = ""
    for _ in range(count):
        reply = await one.ask("x.example", type_)
        cut = reply is not None and reply.flags & dns.flags.TC
        out += "_" if reply is None else "S" if reply.rcode() == 2 else "T" if cut else "."
    return out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param("", "_._._._.", id="one in two is dropped"),
        pytest.param("large", "_._._._.", id="also with an option that does nothing"),
        pytest.param("drop 3", "_.._.._.", id="one in three"),
        pytest.param("drop", "_._._._.", id="drop alone"),
        pytest.param("drop 0", "........", id="never"),
        pytest.param("truncate 3", "T..T..T.", id="truncated, and none dropped"),
        pytest.param("truncate", "T.T.T.T.", id="truncate alone"),
        pytest.param("drop 2\ntruncate 3", "_._T_._.", id="both"),
        pytest.param("delay 2 1ms", "........", id="delayed, and none dropped"),
    ],
)
async def test_one_in_so_many(options, expected):
    assert await pattern(options) == expected


async def test_addresses_and_nothing_else():
    one = Served(".:0 {\n erratic {\n drop 0\n }\n}\n")
    assert (await one.ask("x", "A")).answer[0].to_text() == "x. 0 IN A 192.0.2.53"
    assert (await one.ask("x", "AAAA")).answer[0].to_text() == "x. 0 IN AAAA 2001:db8::53"
    assert (await one.ask("x", "TXT")).rcode() == 2
    assert not await one.is_remembered("x")


async def test_some_wait():
    one = Served(".:0 {\n erratic {\n delay 2 1ms\n }\n}\n")
    client = fakes.client()
    kinds = []
    for _ in range(4):
        reply = one.pipeline.reply(query("x"), client, one.clock())
        kinds.append(isinstance(reply, bytes))
        assert reply if isinstance(reply, bytes) else await reply
    assert kinds == [False, True, False, True]


async def test_it_is_ready_after_three_questions():
    one = Served(".:0 {\n erratic\n}\n")
    ready = []
    for _ in range(4):
        ready.append(one.plugins[0].is_ready)
        await one.ask("x")
    assert ready == [False, False, False, True]


async def test_what_does_nothing_is_said(caplog):
    async with served(".:0 {\n erratic example.net {\n large\n }\n erratic\n}\n"):
        assert caplog.text.count("kdns.erratic") == 3


@pytest.mark.parametrize(
    "option", ["drop -1", "drop x", "drop 1 2", "delay 3 50", "delay x", "large x", "other"]
)
def test_wrong_options_are_refused(option):
    with pytest.raises(ConfigError):
        fakes.chain(f"erratic {{\n {option}\n}}", Erratic)
