"""`kubectl logs`, by its requests and by kubectl itself."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from kdns.lab.api import BY_PATH
from kdns.lab.kubelet.journal import KEPT_BYTES, KEPT_LINES, LONGEST, Journal, Record
from kdns.lab.kubelet.logs import PodLogs
from kdns.lab.lab import Lab
from kdns.lab.stage import Stage, Staging
from kdns.lab.storage import Storage
from kdns.lab.tokens import Tokens
from tests.lab.kubelet.scene import Scene, ranges

LOG = "/api/v1/namespaces/default/pods/web/log"


class Asked(Scene):
    """A cluster behind an API."""

    lab: Lab
    session: aiohttp.ClientSession

    def staged(self, storage: Storage, tokens: Tokens) -> Stage:
        super().__init__(self.folder, storage)
        logs = PodLogs(storage, self.journal)
        return Stage(self.ground, self.parts.insides, logs, None, self.kubelet)  # type: ignore[arg-type]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab = Lab(staging=Staging(self.staged, (), ranges()))

    async def read(self, query: str = "", code: int = 200) -> str:
        url = f"{self.lab.url}{BY_PATH}{self.lab.token}{LOG}?{query}"
        async with self.session.get(url) as reply:
            assert reply.status == code
            return (await reply.json())["message"] if code > 200 else await reply.text()


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    made = Asked(tmp_path)
    async with made.lab, aiohttp.ClientSession() as made.session:
        yield made
    made.ground.close()


async def test_the_log_of_a_server(asked: Asked) -> None:
    asked.pod("web")
    await asked.ready()
    for path in ("/a", "/b", "/c"):
        await asked.fetch(path=path)
    lines = (await asked.read()).splitlines()
    assert [line.split()[6] for line in lines] == ["/a", "/b", "/c"]
    assert await asked.read("tailLines=1") == lines[2] + "\n"
    assert await asked.read("tailLines=0") == ""
    assert await asked.read("limitBytes=5") == lines[0][:5]
    assert (await asked.read("container=main&sinceSeconds=60")).splitlines() == lines
    assert await asked.read("sinceTime=2999-01-01T00:00:00Z") == ""
    timed = (await asked.read("timestamps=true")).splitlines()
    assert [line.partition(" ")[2] for line in timed] == lines
    assert timed[0][10] == "T"
    assert timed[0].split()[0].endswith("000Z")


async def test_a_log_is_followed_to_the_end_of_the_pod(asked: Asked) -> None:
    asked.pod("web")
    await asked.ready()
    await asked.fetch(path="/before")
    url = f"{asked.lab.url}{BY_PATH}{asked.lab.token}{LOG}?follow=true&tailLines=10"
    async with asyncio.timeout(40), asked.session.get(url) as reply:
        assert b"GET /before" in await reply.content.readline()
        await asked.fetch(path="/during")
        assert b"GET /during" in await reply.content.readline()
        asked.delete()
        assert await reply.content.read() == b""


async def test_what_cannot_be_shown_is_said_as_the_api_does(asked: Asked) -> None:
    asked.pod("web", containers=[{"name": "a", "image": "nginx"}, {"name": "b", "image": "redis"}])
    said = await asked.read("container=a", 400)
    assert said == 'container "a" in pod "web" is waiting to start: ContainerCreating'
    await asked.ready()
    assert await asked.read("container=c", 400) == "container c is not valid for pod web"
    said = "a container name must be specified for pod web, choose one of: [a b]"
    assert await asked.read("", 400) == said
    said = 'previous terminated container "a" in pod "web" not found'
    assert await asked.read("container=a&previous=true", 400) == said
    assert "greater than or equal to 0" in await asked.read("container=a&tailLines=-1", 422)
    assert "greater than 0" in await asked.read("container=a&limitBytes=0", 422)
    assert "at most one of" in await asked.read(
        "container=a&sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z", 422
    )
    assert "RFC 3339" in await asked.read("container=a&sinceTime=now", 400)
    assert "invalid syntax" in await asked.read("container=a&tailLines=many", 400)


async def test_the_run_before_is_kept(asked: Asked) -> None:
    command = ["sh", "-c", "echo ran; sleep 0.3; exit 1"]
    asked.pod("web", image="busybox", command=command)
    await asked.until(lambda: asked.container()["restartCount"] >= 1)
    assert await asked.read("previous=true") == "ran\n"


async def test_kubectl_reads_logs(asked: Asked, tmp_path: Path) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    asked.pod("web", containers=[{"name": "a", "image": "nginx"}, {"name": "b", "image": "redis"}])
    await asked.ready()
    await asked.fetch(path="/seen")
    config = str(asked.lab.kubeconfig(tmp_path / "config"))
    words = ["kubectl", "--kubeconfig", config, "logs", "web", "--tail", "5", "--since", "5m"]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert b"GET /seen" in said


# Records


def test_a_record_keeps_the_newest_lines() -> None:
    record = Record(lambda: 1.0)
    for number in range(KEPT_LINES + 10):
        record.write(str(number))
    assert [int(line.text) for line in record.since(0)] == list(range(10, KEPT_LINES + 10))
    assert [line.text for line in record.since(record.total - 1)] == [b"1009"]
    for _ in range(100):
        record.write("x" * 10_000)
    assert sum(len(line.text) for line in record.since(0)) <= KEPT_BYTES


def test_lines_come_in_pieces_and_are_broken_when_too_long() -> None:
    record = Record(lambda: 1.0)
    record.feed(b"a\nb")
    record.feed(b"c\r\n\nd")
    assert [line.text for line in record.since(0)] == [b"a", b"bc", b""]
    record.end()
    assert [line.text for line in record.since(3)] == [b"d"]
    record.feed(b"y" * (2 * LONGEST + 1))
    assert [len(line.text) for line in record.since(4)] == [LONGEST, LONGEST]


def test_a_journal_keeps_two_runs() -> None:
    journal = Journal(lambda: 1.0)
    runs = [journal.begin("uid", "a") for _ in range(3)]
    assert [one.has_ended for one in runs] == [True, True, False]
    assert journal.find("uid", "a") is runs[2]
    assert journal.find("uid", "a", is_previous=True) is runs[1]
    journal.drop("uid")
    assert runs[2].has_ended
    assert journal.find("uid", "a") is None
