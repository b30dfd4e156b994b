"""What flows through a door, and what is left when one side goes."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from kdns.lab.doors import command, rooms
from tests.lab.doors.standing import Place, standing
from tests.lab.doors.talking import soon, talk

BOTH = {"stdin": "true", "stdout": "true"}
TERMINAL = {"stdin": "true", "stdout": "true", "tty": "true"}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with standing(tmp_path) as made:
        made.pod()
        yield made


async def test_outputs_stay_apart_and_the_code_comes_last(place: Place) -> None:
    async with talk(place, "sh", "-c", "echo out; echo err >&2; exit 7") as one:
        await one.hear()
        assert one.first == b"\x01"  # empty: the client may begin
        assert (one.heard[1], one.heard[2], one.code) == (b"out\n", b"err\n", 7)


async def test_success_and_signals(place: Place) -> None:
    async with talk(place, "true") as one:
        await one.hear()
        assert one.status["status"] == "Success"
    async with talk(place, "sh", "-c", "kill -9 $$") as one:
        await one.hear()
        assert one.code == 137


@pytest.mark.parametrize("wanted", [{"stdout": "true"}, {"stderr": "true"}])
async def test_only_what_is_asked_for_is_sent(place: Place, wanted: dict[str, str]) -> None:
    async with talk(place, "sh", "-c", "echo out; echo err >&2", **wanted) as one:
        await one.hear()
        assert set(one.heard) - {1, 3} == ({2} if "stderr" in wanted else set())
        assert one.heard[1] == (b"out\n" if "stdout" in wanted else b"")


async def test_the_end_of_input_is_passed_on_octet_by_octet(place: Place) -> None:
    every = bytes(range(256)) * 1000
    async with talk(place, "cat", **BOTH) as one:
        for at in range(0, len(every), 50_000):
            await one.send(0, every[at : at + 50_000])
        await one.send(255, b"\0")
        assert await one.hear() == every
        assert one.code == 0


async def test_the_old_protocol_cannot_end_input(place: Place) -> None:
    async with talk(place, "cat", protocol="v4.channel.k8s.io", **BOTH) as one:
        await one.send(255, b"\0")
        await one.send(0, b"more")
        assert await one.hear(b"more") == b"more"


async def test_what_nobody_asked_for_or_can_read_is_left_out(place: Place) -> None:
    async with talk(place, "sh", "-c", "read x; echo $x") as one:
        for message in (b"", b"\0ignored\n", b"\x09more", b"\xff", b"\xff\x01", b"\x04{}"):
            await one.socket.send_bytes(message)
        await one.socket.send_str("text")
        assert await one.hear() == b"\n"  # its input is empty


async def test_a_command_that_reads_nothing_holds_its_client_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "PULSE_S", 0.1)
    async with talk(place, "sleep", "60", **BOTH) as one:

        async def pour() -> None:
            for _ in range(4000):
                await one.send(0, bytes(32_768))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pour(), 1)
        one.leave()  # nobody reads what it sends, and yet it is noticed
        await asyncio.wait_for(place.ground.processes[0].wait(), 20)


async def test_a_client_that_reads_nothing_holds_the_command_back(place: Place) -> None:
    size = 64 << 20
    async with talk(place, "head", "-c", str(size), "/dev/zero") as one:
        await one.hear(b"\0")
        process = place.ground.processes[0]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.5)
        assert len(await one.hear()) == size
        assert one.code == 0


async def test_a_command_that_has_closed_its_input_goes_on(place: Place) -> None:
    async with talk(place, "sh", "-c", "exec <&-; sleep 0.1; echo still", **BOTH) as one:
        for _ in range(10):
            await one.send(0, bytes(32_768))
        assert await one.hear() == b"still\n"


async def test_what_a_command_leaves_running_does_not_hold_the_door(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LINGER_S", 0.1)
    async with talk(place, "sh", "-c", "echo first; (sleep 60; echo never) & exit 4") as one:
        assert await one.hear() == b"first\n"
        assert one.code == 4
    os.killpg(place.ground.processes[0].pid, 0)  # it lives on


async def test_what_writes_for_ever_does_not_hold_the_door(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LINGER_S", 0.05)
    async with talk(place, "sh", "-c", "yes & exit 5") as one:
        await one.hear()
        assert one.code == 5


@pytest.mark.parametrize("script", ["sleep 60", "trap '' HUP; sleep 60; sleep 60"])
async def test_a_client_that_goes_ends_its_command(
    place: Place, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(command, "GRACE_S", 0.2)
    async with talk(place, "sh", "-c", f"echo begun; {script}") as one:
        await one.hear(b"begun")
        process = place.ground.processes[0]
        one.leave()
        await asyncio.wait_for(process.wait(), 20)
    await soon(lambda: not place.doors._left and not place.doors._open)


async def test_the_end_of_the_lab_ends_commands_whose_client_goes_with_it(tmp_path: Path) -> None:
    async with standing(tmp_path) as place:
        place.pod()
        async with talk(place, "sh", "-c", "trap '' HUP; echo begun; sleep 60") as one:
            await one.hear(b"begun")
            process = place.ground.processes[0]
            one.leave()
            await soon(lambda: place.doors._left)
            place.doors.end()
            assert await asyncio.wait_for(process.wait(), 20) == -9


async def test_a_command_that_does_not_exist(place: Place) -> None:
    async with talk(place, "no-such-command") as one:
        said = b'exec: "no-such-command": no such file or directory\n'
        assert (await one.hear(channel=2), one.code) == (said, 127)
    async with talk(place, "/dev/null", stdin="true", stdout="true", tty="true") as one:
        said = b'exec: "/dev/null": permission denied\n'
        assert (await one.hear(channel=1), one.code) == (said, 126)


async def test_a_pod_that_leaves_in_between(place: Place) -> None:
    (pod,) = place.insides._found  # type: ignore[attr-defined]
    place.ground.gone.add(pod)
    async with talk(place, "id") as one:
        await one.hear()
        assert "no place to run a command in" in one.status["message"]


async def test_who_waits_hears_that_the_door_is_open(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "PULSE_S", 0.02)
    async with talk(place, "sleep", "60") as one:
        one.socket._autoping = False
        assert (await one.socket.receive()).data == b"\x01"
        message = await asyncio.wait_for(one.socket.receive(), 20)
        assert message.type is aiohttp.WSMsgType.PONG


# Terminals


async def test_a_terminal_has_the_size_of_its_window(place: Place) -> None:
    script = "stty size; trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.02; done"
    async with talk(place, "sh", "-c", script, **TERMINAL) as one:
        assert b"24 80\r\n" in await one.hear(b"ready")
        await one.send(4, b'{"Width":101,"Height":33}')
        assert b"33 101\r\n" in await one.hear()
        assert one.code == 6


async def test_keys_reach_a_terminal(place: Place) -> None:
    async with talk(place, "sh", "-c", "tty >&2; echo $TERM; cat; echo over", **TERMINAL) as one:
        assert (await one.hear(b"xterm")).startswith(b"/dev/pts/")  # stderr is the terminal, too
        await one.send(0, b"words\n")
        await one.hear(b"words\r\nwords\r\n")
        await one.send(255, b"\0")
        assert (await one.hear()).endswith(b"over\r\n")
    async with talk(place, "cat", **TERMINAL) as one:
        await one.send(0, b"words\n")
        await one.hear(b"words\r\nwords\r\n")
        await one.send(0, b"\x03")
        await one.hear()
        assert one.code == 130


async def test_the_terminal_of_a_client_that_goes_is_hung_up(place: Place) -> None:
    async with talk(place, "sh", "-c", "echo begun; cat", **TERMINAL) as one:
        await one.hear(b"begun")
    assert await asyncio.wait_for(place.ground.processes[0].wait(), 20) == -1


# Programs that run already


class Shell:
    """A console."""

    is_terminal = True
    has_input = True

    def __init__(self) -> None:
        self.written: list[object] = []
        self.output: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()

    async def follow(self) -> AsyncIterator[tuple[int, bytes]]:
        while piece := await self.output.get():
            yield piece

    async def write(self, octets: bytes) -> None:
        self.written.append(octets)

    def end_input(self) -> None:
        self.written.append("end")

    def resize(self, rows: int, columns: int) -> None:
        self.written.append((rows, columns))

    async def ended(self) -> int:
        return 9


async def test_attached_to_a_program(place: Place) -> None:
    shell = place.consoles.found["main"] = Shell()
    async with talk(place, part="attach", **TERMINAL) as one:
        await one.send(4, b'{"Width":101,"Height":33}')
        await one.send(0, b"ls\n")
        shell.output.put_nowait((1, b"files"))
        assert await one.hear(b"files") == b"files"
        assert shell.written == [(33, 101), b"ls\n"]
    await soon(lambda: not place.doors._open)
    assert "end" not in shell.written  # it lives on
    async with talk(place, part="attach", **TERMINAL) as one:
        shell.output.put_nowait((1, b"bye"))
        shell.output.put_nowait(None)
        assert await one.hear() == b"bye"
        assert one.status["status"] == "Success"


async def test_input_that_is_for_one_client_ends_with_him(place: Place) -> None:
    once = {"name": "main", "image": "i", "stdin": True, "stdinOnce": True, "tty": True}
    place.pod("once", containers=[once])
    shell = place.consoles.found["main"] = Shell()
    async with talk(place, part="attach", name="once", **TERMINAL) as one:
        await one.send(0, b"ls\n")
        await soon(lambda: shell.written)
    await soon(lambda: shell.written == [b"ls\n", "end"])
