"""Commands in pods by kubectl itself, and by `kdns lab exec`: the same for both."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.doors.clients import KUBECTL, run, window, words_of
from tests.lab.doors.standing import Place, standing
from tests.lab.doors.talking import soon

pytestmark = pytest.mark.slow
CLIENTS = [
    pytest.param(
        "kubectl", marks=pytest.mark.skipif(not KUBECTL, reason="kubectl is not installed")
    ),
    "kdns",
]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "lab"
    folder.mkdir()
    async with standing(folder) as made:
        made.pod()
        yield made


@pytest.fixture(params=CLIENTS)
def words(request: pytest.FixtureRequest, place: Place, tmp_path: Path) -> list[str]:
    return words_of(request.param, place.lab.kubeconfig(tmp_path / "config"))


async def test_outputs_apart_and_the_exit_code(words: list[str]) -> None:
    script = "echo out; echo err >&2; exit 42"
    ran = await run([*words, "web", "--", "sh", "-c", script])
    assert (ran.code, ran.out) == (42, b"out\n")
    assert ran.err.startswith(b"err\n")


async def test_a_megabyte_through_cat_octet_by_octet(words: list[str]) -> None:
    octets = random.Random(8).randbytes(1 << 20)
    ran = await run([*words, "-i", "web", "--", "cat"], octets)
    assert (ran.code, ran.err) == (0, b"")
    assert ran.out == octets


async def test_input_stays_here_unless_asked_for(words: list[str]) -> None:
    ran = await run([*words, "web", "--", "cat"], b"words")
    assert (ran.code, ran.out) == (0, b"")


async def test_a_command_ended_by_a_signal(words: list[str]) -> None:
    ran = await run([*words, "web", "--", "sh", "-c", "kill -TERM $$"])
    assert ran.code == 143


def size(place: Place) -> tuple[int, int]:
    """Columns and rows of the terminal that the command has."""
    pid = place.ground.processes[-1].pid
    terminal = os.open(f"/proc/{pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
    try:
        return os.get_terminal_size(terminal)
    finally:
        os.close(terminal)


async def test_a_terminal_and_its_window(words: list[str], place: Place) -> None:
    script = "stty size; read word; echo got $word; stty size; cat"
    async with window([*words, "-it", "web", "--", "sh", "-c", script]) as one:
        await one.see(b"31 99")
        one.resize(20, 50)
        await soon(lambda: size(place) == (50, 20))
        one.type(b"hello\r")
        await one.see(b"got hello\r\n20 50\r\n")
        one.type(b"x\r")
        await one.see(b"x\r\nx\r\n")
        one.type(b"\x03")
        assert await one.end() == 130


async def test_a_client_that_is_killed_ends_its_command(words: list[str], place: Place) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, "web", "--", "sleep", "60",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await soon(lambda: place.ground.processes)
    finally:
        process.kill()
        await process.wait()
    assert await asyncio.wait_for(place.ground.processes[0].wait(), 20) < 0


async def test_refusals_in_one_line(words: list[str], place: Place) -> None:
    for asked, said in (
        (["none", "--", "id"], b'pods "none" not found'),
        (["web", "-c", "x", "--", "id"], b"container x is not valid for pod web"),
    ):
        ran = await run([*words, *asked])
        assert (ran.code, ran.err.count(b"\n")) == (1, 1)
        assert said in ran.err
    ran = await run([*words, "web", "--", "no-such-command"])
    assert ran.code == 127
    assert ran.err.startswith(b'exec: "no-such-command": no such file or directory\n')
