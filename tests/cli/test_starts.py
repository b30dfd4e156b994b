"""A start where streams are closed or nothing may be written, and an early end: no traceback."""

import errno
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kdns.cli import main as entry
from kdns.cli.main import main

LAB = [sys.executable, "-m", "kdns", "lab", "--port", "0", "--"]
LOOKS = [sys.executable, "-c", "import os; [os.fstat(one) for one in range(3)]; os._exit(7)"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_what_is_started_has_all_streams_though_the_caller_closed_them(
    tmp_path: Path, closed: str
) -> None:
    found = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *LAB, *LOOKS],
        check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (7, "")


def test_what_a_locale_cannot_write_is_no_failure() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "kdns", "--help"],
        check=True, capture_output=True, text=True, timeout=60,
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ).stdout  # fmt: skip
    assert "usage: kdns [FLAG ?]" in said


def test_an_interrupt_ends_any_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "import_module", interrupted)
    assert main(["lab", "--play"]) == 128 + signal.SIGINT
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ground", [[], ["--play"]], ids=["not played", "played"])
def test_a_kubeconfig_that_cannot_be_written_is_one_line_with_the_way_out(
    tmp_path: Path,
    ground: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    folder = tmp_path / "made"
    assert main(["lab", *ground, "--port", "0", "--kubeconfig-out", str(folder / "k")]) == 3
    said = capfd.readouterr()
    hint = "(--kubeconfig-out FILE puts the kubeconfig elsewhere)"
    assert (said.out + said.err).splitlines() == [f"{folder}: Permission denied {hint}"]


def test_who_starts_a_second_lab_is_told_how_the_first_keeps_its_kubeconfig(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "k"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ["lab", "--port", str(taken.getsockname()[1]), "--kubeconfig-out", str(config)]
        said = []
        for _ in range(2):
            assert main(words) == 3
            said.append("".join(capfd.readouterr()))
            config.touch()
    assert ["--kubeconfig-out" in one for one in said] == [False, True]
