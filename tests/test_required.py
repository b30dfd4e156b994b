"""A skip for want of what `.ci/run` installs is a failure there, and any other stays a skip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import required

TOP = Path(__file__).parents[1]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without tools."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(required, "SBIN", "/nowhere")
    monkeypatch.setattr(required, "find_library", lambda _: None)


@pytest.mark.parametrize(
    ("reason", "tools"),
    [
        ("dig is not installed", ["dig"]),
        ("not installed (apt: unbound)", ["unbound"]),
        ("Knot DNS is not installed (apt: knot)", ["knotd"]),
        ("cares is not installed here (apt install libc-ares2)", ["cares"]),
        ("kubectl is not installed", []),
        ("this kernel has no SO_MEMINFO", []),
        ("the digger is not installed", []),
    ],
)
def test_a_reason_names_what_is_missing(bare: None, reason: str, tools: list[str]) -> None:
    assert required.missing(reason) == tools


def test_what_is_here_is_not_missing(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    assert required.missing("cat needs unshare") == []


def test_everything_that_ci_installs_is_read() -> None:
    tools = required.installed_by_ci()
    assert len(tools) > 20
    assert (tools["promtool"], tools["mandoc"]) == ("prometheus", "mandoc")
    text = required.CI.read_text()
    assert all(package in text for package in tools.values())


def test_a_skip_becomes_a_failure_where_clients_are_required() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-k",
        "real_readers",
    ]
    environ = {**os.environ, "PATH": "/nowhere", "KDNS_REQUIRE_CLIENTS": "1"}
    done = subprocess.run(
        [*command, "tests/plugins/test_dnstap.py"],
        cwd=TOP, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "are not installed, and KDNS_REQUIRE_CLIENTS is set" in done.stdout


def test_elsewhere_it_stays_a_skip(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for required_here, outcome in (("1", "failed"), ("", "skipped")):
        monkeypatch.setenv("KDNS_REQUIRE_CLIENTS", required_here)
        report = pytest.TestReport("x", ("x", 1, "x"), {}, "skipped", ("x", 1, "no dig"), "call")
        required.judge(report)
        assert report.outcome == outcome
