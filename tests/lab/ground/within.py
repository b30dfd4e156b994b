"""Runs scenes (tests/lab/ground/scenes.py) in real namespaces: as whoever runs the tests, and where
that is root, as an ordinary user too."""

import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[3]
SCENES = "tests.lab.ground.scenes"
NOBODY = 65534
USERS = ["self", "ordinary"] if os.geteuid() == 0 else ["self"]
SAYS_WHY = "from kdns.lab.ground.enter import can_enter; print(can_enter())"


def options(user: str) -> dict[str, Any]:
    """How a process of that user is started."""
    own: dict[str, Any] = {"cwd": TOP, "env": {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}}
    if user == "ordinary":
        own |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return own


def refused(reason: str) -> None:
    """Ends the test: no namespaces can be had, which must not be so where CI requires them."""
    if os.environ.get("KDNS_REQUIRE_CLIENTS") == "1":
        pytest.fail(f"{reason}, and KDNS_REQUIRE_CLIENTS is set")
    pytest.skip(reason)


@functools.cache
def verdict(user: str) -> tuple[str, str]:
    """The interpreter that this user can run, and why there are no namespaces for it."""
    reasons = []
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            said = subprocess.run(
                [python, "-c", SAYS_WHY],
                **options(user),
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        except OSError as error:
            reasons.append(f"an ordinary user cannot run {python}: {error.strerror}")
            continue
        if said.returncode == 0:
            return python, said.stdout.strip()
        reasons.append(f"an ordinary user cannot run our code with {python}")
    return "", "; ".join(reasons)


def interpreter(user: str) -> str:
    python, reason = verdict(user)
    if reason:
        refused(reason)
    return python


def start(scene: str, user: str, **more: Any) -> "subprocess.Popen[str]":
    """A scene that goes on until it is told to end; it says so in its first line."""
    words = [interpreter(user), "-m", SCENES, scene]
    return subprocess.Popen(words, **options(user), stdout=subprocess.PIPE, text=True, **more)


@functools.cache
def seen(scene: str, user: str) -> dict[str, Any]:
    """What a scene says that ends by itself."""
    words = [interpreter(user), "-m", SCENES, scene]
    said = subprocess.run(
        words, **options(user), capture_output=True, text=True, timeout=110, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    told: dict[str, Any] = json.loads(said.stdout)
    return told


def tree(top: int) -> list[int]:
    """A process and all below it, from the top."""
    parents: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", name, "stat").read_text()
        except OSError:
            continue
        parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(name))
    found = [top]
    for one in found:
        found += parents.get(one, [])
    return found


def all_gone(pids: list[int], within_s: float = 30.0) -> bool:
    """Waits until none of them runs; the machine may bury those that are its own in time."""
    end = time.monotonic() + within_s
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def is_alive(pid: int) -> bool:
    """Neither gone nor a child of process 1 that is dead."""
    try:
        words = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return words[:2] != ["Z", "1"]
