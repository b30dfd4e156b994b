"""Two workers change over together or not at all, and stop without losing a query."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kdns.server.workers.messages import Decide, Prepare, Propose, Verdict
from kdns.server.workers.supervisor import Vote
from tests.running import free_port
from tests.server.load import Load
from tests.server.test_no_loss import COREFILE, slowly
from tests.server.workers import Workers, metric, status, until
from tests.upstream import Upstream

MORE = """.:{other} {{
    bind 127.0.0.1
    prometheus 127.0.0.1:{metrics}
    health 127.0.0.1:{health}
    whoami
}}
"""
BROKEN = (".{\n", ". {\n whoam\n}\n", ". {\n bind 127.0.0.1\n forward . /none/resolv.conf\n}\n")


class Scene:
    def __init__(self, folder: Path, upstream: int) -> None:
        self.file = folder / "Corefile"
        self.upstream = upstream
        self.port, self.other, self.metrics, self.health = (free_port() for _ in range(4))
        self.count = 2
        self.write(1)

    def write(self, value: int) -> None:
        own = {**vars(self), "value": value}
        text = COREFILE.format(**own) + MORE.format(**own)
        self.file.write_text(text.replace("{", f"{{\n    multisocket {self.count}", 1))

    def failed(self) -> float:
        return metric(self.metrics, "coredns_reload_failed_total")


@pytest.mark.slow
def test_reloads_and_stops_lose_no_query_and_all_change_over(tmp_path: Path) -> None:
    asyncio.run(_reload_and_stop(tmp_path))


async def _reload_and_stop(tmp_path: Path) -> None:
    async with Upstream(slowly) as upstream:
        scene = Scene(tmp_path, upstream.port)
        load = Load(scene.port, [frozenset({1})], pace_s=0.003)
        old = Workers(scene.file, port=scene.port, is_told=False)
        await asyncio.to_thread(old.wait)
        load.start(udp=8, tcp=4)
        for turn, broken in enumerate(BROKEN, 1):
            scene.file.write_text(broken)
            old.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(until, lambda turn=turn: scene.failed() == turn)
        load.allowed.append(frozenset({1, 2}))
        health, scene.health = scene.health, free_port()
        scene.count = old.count = 3
        scene.write(2)
        old.process.send_signal(signal.SIGUSR1)
        await asyncio.to_thread(until, lambda: old.ask_all("hot.example") == {"10.0.0.2"})
        load.allowed.append(frozenset({2}))
        await asyncio.to_thread(until, lambda: status(scene.health, "/health") == 200)
        await asyncio.to_thread(until, lambda: status(health, "/health") == 0)
        await asyncio.to_thread(old.wait)
        scene.count = old.count = 2
        scene.write(2)
        old.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(until, lambda: len(old.pids()) == 2)
        # One that takes a killed one's place begins with the Corefile that serves.
        pid = old.pids()[2]
        scene.file.write_text(BROKEN[1])
        await load.end()
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(until, lambda: old.pids().get(2, pid) != pid)
        await asyncio.to_thread(old.wait)
        assert await asyncio.to_thread(old.ask_all, "hot.example") == {"10.0.0.2"}
        # Others take over the port, and these stop.
        scene.write(2)
        stopping = Load(scene.port, [frozenset({2})], pace_s=0.003)
        stopping.start(udp=8, tcp=4)
        scene.other, scene.metrics, scene.health = (free_port() for _ in range(3))
        scene.write(2)
        new = Workers(scene.file, port=scene.port, is_told=False)
        while not (await asyncio.to_thread(new.process.stdout.readline)).startswith("kdns-"):
            pass
        code, printed = await asyncio.to_thread(old.end)
        await asyncio.sleep(0.1)
        await stopping.end()
        assert new.end()[0] == 0
    assert code == 0
    assert printed.count("Reloading complete") == 2
    assert printed.count("takes its place") == 1
    assert printed.count("what served before serves on") == len(BROKEN)
    for each in (load, stopping):
        assert each.lost == []
        assert each.wrong == []
        assert each.asked > 50


@pytest.mark.slow
def test_a_reload_ordered_before_anybody_serves_is_done_then(tmp_path: Path) -> None:
    text = ". {{\n bind 127.0.0.1\n hosts {{\n  10.0.0.{} a\n }}\n}}\n"
    file = tmp_path / "Corefile"
    file.write_text(text.format(1))
    with Workers(file) as kdns:
        until(lambda: 1 in kdns.pids())  # it is about to import what it needs
        file.write_text(text.format(2))
        kdns.process.send_signal(signal.SIGHUP)
        kdns.wait()
        until(lambda: kdns.ask_all("a") == {"10.0.0.2"})
        code, printed = kdns.end()
        assert code == 0
        assert printed.count("Reloading complete") == 1


@pytest.mark.slow
def test_what_prevents_a_start_is_said_as_by_one_process(tmp_path: Path) -> None:
    with socket.socket() as stream:
        stream.bind(("127.0.0.1", 0))
        stream.listen()
        taken = stream.getsockname()[1]
        for text, code in (
            (". {\n whoam\n}\n", 2),
            (". {\n bind 127.0.0.1\n forward . /none/resolv.conf\n}\n", 2),
            (". {\n bind 127.0.0.1\n whoami\n}\n.:1 {\n bind 240.0.0.1\n whoami\n}\n", 3),
            (f".:{taken} {{\n bind 127.0.0.1\n whoami\n}}\n", 3),
            (f". {{\n bind 127.0.0.1\n whoami\n health 127.0.0.1:{taken}\n}}\n", 3),
        ):
            broken = tmp_path / "broken"
            broken.write_text(text)
            said = [started(broken, count) for count in (1, 2)]
            assert said[0] == said[1]
            assert said[0][0] == code
            assert said[0][1]


def started(file: Path, count: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "kdns", "-conf", str(file), "-dns.port", str(free_port()),
         "--workers", str(count)],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_no_process_loads_what_it_does_not_need() -> None:
    for module, none_of in (
        ("kdns.server.workers.supervisor", "aiohttp kubernetes uvloop kdns.server.service kdns.cluster.store"),
        ("kdns.server.workers.worker, kdns.plugins.kubernetes", "aiohttp kubernetes"),
    ):  # fmt: skip
        code = f"import sys, {module}; print(*sorted(sys.modules))"
        loaded = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert not set(none_of.split()) & set(loaded.stdout.split())


class Voter:
    """A worker as a Vote sees it."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def say(self, message: object) -> None:
        self.heard.append(message)


def vote(voters: list[Voter]) -> tuple[Vote, list[Vote]]:
    decided: list[Vote] = []
    return Vote(Propose("text", "path", "v1"), voters, decided.append), decided


async def test_one_that_refuses_is_enough() -> None:
    voters = [Voter(), Voter()]
    made, decided = vote(voters)
    assert [each.heard for each in voters] == [[Prepare("text", "path", "v1")]] * 2
    made.take(voters[0], Verdict("v0", ("late",)))
    made.take(voters[0], Verdict("v1"))
    assert not decided
    made.take(voters[1], Verdict("v1", ("no",)))
    assert [one.errors for one in decided] == [["no"]]
    assert Decide(("no",)).errors


async def test_one_that_is_gone_is_not_waited_for() -> None:
    voters = [Voter(), Voter()]
    made, decided = vote(voters)
    made.leave(voters[1])
    made.take(voters[0], Verdict("v1"))
    assert [one.errors for one in decided] == [[]]
    made.give_up("too late")
    assert len(decided) == 1


async def test_nobody_else_is_asked_where_one_serves() -> None:
    made, decided = vote([])
    await asyncio.sleep(0)
    assert decided == [made]
