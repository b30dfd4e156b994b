"""errors: the lines CoreDNS 1.15.0 wrote for failures, one by one and consolidated."""

import asyncio
import logging

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import Seen
from kdns.plugins.errors import Errors, format_duration
from kdns.wire import types
from kdns.wire.encode import encode
from kdns.wire.message import Answer
from kdns.wire.names import ROOT
from tests import fakes


def seen(name: str, error: str, rcode: int = types.SERVFAIL, type_: str = "A") -> Seen:
    question = fakes.question(name, type_)
    packet = bytearray(encode(question, Answer(), types.RD).wire)
    reply = encode(question, Answer(rcode=rcode), types.QR | types.RD).wire
    return Seen(bytes(packet), fakes.client(), reply, "", ROOT, 0.0, 0.1, error)


def plugin(options: str = "") -> Errors:
    return fakes.chain(f"errors {{\n{options}\n}}", Errors).plugins[0]


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG, "kdns.errors")

    def read() -> list[str]:
        found = [f"{one.levelname} {one.getMessage()}" for one in caplog.records]
        caplog.clear()
        return found

    return read


def test_a_failure_is_one_line(lines):
    plugin().observe(
        [
            seen("A.example", "no next plugin found"),
            seen("b.example", ""),
            seen("c.example", "over the limit", types.REFUSED, "TYPE999"),
        ]
    )
    assert lines() == [
        "ERROR 2 a.example. A: no next plugin found",
        "ERROR 5 c.example. TYPE999: over the limit",
    ]


async def test_consolidated_errors_are_counted_for_a_period(lines):
    errors = plugin("consolidate 10ms timed.out$ warning")
    errors.observe([seen("a.", "1 timed out"), seen("b.", "2 timed out"), seen("c.", "other")])
    assert lines() == ["ERROR 2 c. A: other"]
    await asyncio.sleep(0.05)
    assert lines() == ["WARNING 2 errors like 'timed.out$' occurred in last 10ms"]
    await asyncio.sleep(0.03)
    assert lines() == []
    errors.observe([seen("a.", "3 timed out")])
    await asyncio.sleep(0.05)
    assert lines() == ["WARNING 1 errors like 'timed.out$' occurred in last 10ms"]


async def test_what_is_counted_is_said_at_stop(lines):
    errors = plugin("consolidate 5m out")
    errors.observe([seen("a.", "timed out")])
    await errors.stop()
    assert lines() == ["ERROR 1 errors like 'out' occurred in last 5m0s"]
    await errors.stop()
    assert lines() == []


async def test_the_first_matching_rule_takes_an_error(lines):
    errors = plugin("consolidate 1h ^x\nconsolidate 1h timed info\nconsolidate 1h out debug")
    errors.observe([seen("a.", "timed out"), seen("a.", "run out"), seen("x.", "timed out")])
    await errors.stop()
    assert lines() == [
        "INFO 2 errors like 'timed' occurred in last 1h0m0s",
        "DEBUG 1 errors like 'out' occurred in last 1h0m0s",
    ]


async def test_show_first_shows_the_first_and_spares_a_lone_one_its_summary(lines):
    errors = plugin("consolidate 1m out show_first")
    errors.observe([seen("a.", "timed out")])
    assert lines() == ["ERROR 2 a. A: timed out"]
    await errors.stop()
    assert lines() == []
    errors.observe([seen("a.", "timed out"), seen("b.", "run out"), seen("c.", "run out")])
    assert lines() == ["ERROR 2 a. A: timed out"]
    await errors.stop()
    assert lines() == ["ERROR 3 errors like 'out' occurred in last 1m0s"]


def test_show_first_may_be_said_twice():
    assert plugin("consolidate 1m out show_first show_first").tallies[0].shows_first


async def test_show_first_uses_the_level(lines):
    errors = plugin("consolidate 1m out info show_first")
    errors.observe([seen("a.", "timed out")])
    await errors.stop()
    assert lines() == ["INFO 2 a. A: timed out"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"), (1, "1s"), (1.5, "1.5s"), (90, "1m30s"), (300, "5m0s"), (3600, "1h0m0s"),
        (86_399.25, "23h59m59.25s"), (0.25, "250ms"), (0.0005, "500µs"), (1e-9, "1ns"),
    ],
)  # fmt: skip
def test_durations_are_written_as_go_does(seconds, expected):
    assert format_duration(seconds) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("errors file", "expected stdout, found 'file'"),
        ("errors stdout x", "unexpected 'x'"),
        ("errors {\n consolidate 5m\n}", "end of the line"),
        ("errors {\n consolidate 5 a\n}", "expected a duration"),
        ("errors {\n consolidate -5s a\n}", "expected a duration"),
        ("errors {\n consolidate 5m (\n}", "expected a regular expression"),
        ("errors {\n consolidate 5m " + "a" * 10_001 + "\n}", "at most 10000 characters"),
        ("errors {\n consolidate 5m a fatal\n}", "found 'fatal'"),
        ("errors {\n consolidate 5m a show_first warning\n}", "expected show_first"),
        ("errors {\n consolidate 5m a warning show_first x\n}", "unexpected 'x'"),
        ("errors {\n stacktrace x\n}", "unexpected 'x'"),
        ("errors {\n consolidat 5m a\n}", "did you mean 'consolidate'?"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError) as caught:
        fakes.chain(text, Errors)
    assert why in str(caught.value)


@pytest.mark.parametrize("text", ["errors", "errors stdout", "errors {\n stacktrace\n}"])
def test_what_else_it_takes(text):
    assert fakes.chain(text, Errors).plugins
