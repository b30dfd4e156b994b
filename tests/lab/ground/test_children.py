"""Only asyncio asks what became of a process."""

import asyncio
import signal
import subprocess
import sys

import pytest

from kdns.lab.ground.children import begun, send

WORDS = (sys.executable, "-I", "-S", "-c", "input()")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes of which somebody else has asked whether they have ended."""
    found: list[int] = []
    poll = subprocess.Popen.poll

    def polled(process: "subprocess.Popen[bytes]") -> int | None:
        found.append(process.pid)
        return poll(process)

    monkeypatch.setattr(subprocess.Popen, "poll", polled)
    return found


async def test_who_sends_a_signal_does_not_ask(asked: list[int]) -> None:
    process = await begun(asyncio.create_subprocess_exec(*WORDS, stdin=subprocess.PIPE))
    send(process, signal.SIGTERM)
    send(process, signal.SIGKILL)
    async with asyncio.timeout(60):
        assert await process.wait() in {-signal.SIGTERM, -signal.SIGKILL}
    send(process, signal.SIGKILL)
    assert asked == []


async def test_a_start_that_is_cancelled_ends_what_it_has_started(asked: list[int]) -> None:
    made: list[asyncio.subprocess.Process] = []

    async def start() -> asyncio.subprocess.Process:
        made.append(await asyncio.create_subprocess_exec(*WORDS, stdin=subprocess.PIPE))
        return made[0]

    task = asyncio.create_task(begun(start()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the process is there, and asyncio is about to say so
    task.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await made[0].wait() == -signal.SIGKILL
    assert asked == []


async def test_a_start_that_fails_says_so() -> None:
    with pytest.raises(FileNotFoundError):
        await begun(asyncio.create_subprocess_exec("/nonexistent/program"))
