"""The lab's data directory: what it keeps, when it writes, and what it does with a damaged file."""

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from kdns.lab import forms, keeping
from kdns.lab.errors import ApiError
from kdns.lab.history import Item
from kdns.lab.keeping import DataError, Directory
from kdns.lab.lab import Lab, Tls
from kdns.lab.ranges import LOOPBACK
from kdns.lab.resources import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS, SERVICES
from kdns.lab.storage import Storage
from tests.certificates import Authority
from tests.lab.serving import change, make

FILE = "objects.json"


def lab(path: Path) -> Lab:
    return Lab(has_controllers=False, data=path)


async def test_objects_versions_and_tokens_survive(tmp_path: Path) -> None:
    async with lab(tmp_path) as first:
        make(first, "a", "b")
        change(first, "a", x="y")
        first.storage.create(SERVICEACCOUNTS, "default", {"metadata": {"name": "bot"}})
        token = first.tokens.issue("default", "bot", seconds=None)
        before = first.storage.get(CONFIGMAPS, "default", "a")
    async with lab(tmp_path) as second:
        assert second.storage.get(CONFIGMAPS, "default", "a") == before
        assert second.storage.version == first.storage.version
        assert second.token == first.token
        user = second.tokens.user(token)
        assert user is not None
        assert user.name == "system:serviceaccount:default:bot"


async def test_kept_namespaces_get_the_authority_of_this_start(tmp_path: Path) -> None:
    for number in (1, 2):
        authority = tls(tmp_path / f"tls-{number}")
        async with Lab(data=tmp_path / "kept", tls=authority) as running, asyncio.timeout(40):
            while root(running) != Path(authority.ca).read_text():
                await asyncio.sleep(0.01)


def tls(folder: Path) -> Tls:
    """Of an authority that nobody had before."""
    folder.mkdir()
    authority = Authority(folder)
    return Tls(*map(str, (*authority.issue(), authority.file)))


def root(running: Lab) -> object:
    found = running.storage.find(CONFIGMAPS, "default", "kube-root-ca.crt")
    return found and found["data"]["ca.crt"]


async def test_changes_are_written_while_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EVERY_S", 0.01)
    async with lab(tmp_path) as running:
        make(running, "a")
        async with asyncio.timeout(40):
            while not (tmp_path / FILE).exists() or b'"a"' not in (tmp_path / FILE).read_bytes():
                await asyncio.sleep(0.01)
        written = (tmp_path / FILE).stat().st_mtime_ns
        await asyncio.sleep(0.05)
        assert (tmp_path / FILE).stat().st_mtime_ns == written


async def test_a_killed_lab_comes_back_with_its_last_good_state(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from kdns.lab import forms, keeping
from kdns.lab.errors import ApiError
from kdns.lab.history import Item
from kdns.lab.lab import Lab, Tls
from tests.certificates import Authority
from tests.lab.serving import make
keeping.EVERY_S = 0.01
async def main():
    async with Lab(has_controllers=False, data=Path(sys.argv[1])) as lab:
        number = 0
        while True:
            make(lab, f"n{number}")
            number += 1
            print(number, flush=True)
            await asyncio.sleep(0.001)
asyncio.run(main())
"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    while not (tmp_path / FILE).exists():
        assert await child.stdout.readline()
    for _ in range(50):
        assert await child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    await child.communicate()
    async with lab(tmp_path) as again:
        names = [obj["metadata"]["name"] for obj in again.storage.list(CONFIGMAPS)]
        assert len(names) > 1
        assert set(names) == {f"n{number}" for number in range(len(names))}


def kept(path: Path) -> tuple[Directory, Storage]:
    """A directory and what a lab begins with that has it."""
    storage = Storage(now=time.time, uid=lambda: "uid")
    directory = Directory(path)
    directory.load(storage)
    return directory, storage


async def test_a_killed_lab_gives_no_version_twice(tmp_path: Path) -> None:
    tmp_path.joinpath("objects.json").write_text('{"format":"kdns-lab/1","version":5,"objects":[]}')
    seen = []
    for _ in range(3):  # killed each time before anything was written
        _, storage = kept(tmp_path)
        seen.append(storage.version)
        storage.create(NAMESPACES, "", {"metadata": {"name": "default"}})
        seen.append(storage.version)
    assert sorted(set(seen)) == seen
    directory, storage = kept(tmp_path)
    with pytest.raises(ApiError, match="too old"):
        storage.watch(NAMESPACES, since=seen[-1])
    await directory.end(storage)
    assert kept(tmp_path)[1].version == storage.version


async def test_a_writing_that_is_cancelled_does_not_spoil_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, storage = kept(tmp_path)
    storage.create(NAMESPACES, "", {"metadata": {"name": "default"}})
    begun, gate = threading.Event(), threading.Event()

    def slow(item: Item) -> bytes:
        if not begun.is_set():
            begun.set()
            assert gate.wait(40)
        return whole(item)

    whole = forms.whole
    monkeypatch.setattr("kdns.lab.keeping.forms.whole", slow)
    writing = asyncio.create_task(directory.write(storage))
    await asyncio.to_thread(begun.wait, 40)
    writing.cancel()
    storage.create(NAMESPACES, "", {"metadata": {"name": "other"}})
    ending = asyncio.create_task(directory.end(storage))
    await asyncio.sleep(0.05)
    gate.set()
    await ending
    await asyncio.sleep(0.05)  # whoever writes last has written by now
    assert [one["metadata"]["name"] for one in kept(tmp_path)[1].list(NAMESPACES)] == [
        "default",
        "other",
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense",
        b'{"format":"kdns-lab/9","version":1,"objects":[]}',
        b'{"format":"kdns-lab/1","version":1,"objects":[{"kind":"No","apiVersion":"v1"}]}',
        b'{"format":"kdns-lab/1","version":1,"objects":[{"kind":"Pod","apiVersion":"v1"}]}',
    ],
    ids=["empty", "no-json", "another-format", "unknown-kind", "no-metadata"],
)
async def test_a_damaged_file_is_named_and_never_written_over(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE).write_bytes(text)
    with pytest.raises(DataError, match=rf"{FILE} is damaged.*put a copy back, or move it away"):
        async with lab(tmp_path):
            pass
    assert (tmp_path / FILE).read_bytes() == text


async def test_addresses_of_another_ground_are_refused(tmp_path: Path) -> None:
    async with Lab(data=tmp_path) as first, asyncio.timeout(40):
        while first.storage.find(SERVICES, "default", "kubernetes") is None:
            await asyncio.sleep(0.01)
    before = (tmp_path / FILE).read_bytes()
    elsewhere = Storage(now=time.time, uid=str, ranges=LOOPBACK)
    with pytest.raises(DataError, match=r"around 10\.96\.0\.1, and here they are in 127\.96"):
        Directory(tmp_path).load(elsewhere)
    assert (tmp_path / FILE).read_bytes() == before


async def test_a_directory_serves_one_lab_at_a_time(tmp_path: Path) -> None:
    async with lab(tmp_path):
        with pytest.raises(DataError, match="another lab uses"):
            async with lab(tmp_path):
                pass
    async with lab(tmp_path):
        pass


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot use .*file/below for the lab's data"):
        lab(tmp_path / "file" / "below")


async def test_a_full_disk_is_one_line_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with lab(tmp_path) as running:
        make(running, "a")
    before = (tmp_path / FILE).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    directory = Directory(tmp_path)
    async with lab(tmp_path) as running:
        make(running, "b")
        with monkeypatch.context() as patched:
            patched.setattr("kdns.lab.keeping.os.fsync", full)
            await directory.write(running.storage)
        assert "No space left on device" in caplog.text
        assert (tmp_path / FILE).read_bytes() == before
    assert b'"b"' in (tmp_path / FILE).read_bytes()
