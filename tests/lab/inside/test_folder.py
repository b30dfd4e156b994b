"""The lab's temporary directory."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kdns.lab.inside.folder import Folder


@pytest.fixture(autouse=True)
def above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_gone_at_the_end(above: Path) -> None:
    with Folder() as path:
        assert path.parent == above
        assert path.stat().st_mode & 0o777 == 0o700
        (path / "deep").mkdir()
        (path / "deep" / "file").write_text("x")
    assert not list(above.iterdir())


def test_labs_leave_each_other_alone(above: Path) -> None:
    with Folder() as one, Folder() as two:
        assert one != two
        assert one.exists()
        assert two.exists()
    assert not list(above.iterdir())


KILLED = """
import os, signal, sys, tempfile
from kdns.lab.inside.folder import Folder
tempfile.tempdir = sys.argv[1]
with Folder() as path:
    (path / "token").write_text("secret")
    print(path, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_lab_has_left_goes_with_the_next(above: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, above],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    left = Path(ran.stdout.strip())
    assert (left / "token").exists()
    with Folder():
        assert not left.exists()


def test_what_a_killed_lab_has_begun_goes_once_it_is_old(above: Path) -> None:
    begun, strange = above / "kdns-lab-begun", above / "kdns-lab-strange"
    for path, file in ((begun, "new"), (strange, "other")):
        path.mkdir()
        (path / file).write_text("")
    with Folder():
        assert begun.exists()
    for path in (begun, strange):
        os.utime(path, (0, 0))
    with Folder():
        assert not begun.exists()
        assert strange.exists()


def test_what_is_no_lab_s_is_left_alone(above: Path) -> None:
    strange = above / "kdns-lab-strange"
    strange.mkdir()
    target = above / "target"
    target.write_text("x")
    linked = above / "kdns-lab-linked"
    linked.mkdir()
    os.symlink(target, linked / "lock")
    with Folder():
        pass
    assert strange.exists()
    assert linked.exists()
    assert target.exists()
