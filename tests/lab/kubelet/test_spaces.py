"""Pods in network namespaces of their own, where this machine lets us have them."""

import json
import subprocess
import sys

from kdns.lab.ground.enter import can_enter
from tests.lab.ground.within import TOP, refused


def test_pods_serve_ask_and_are_probed_in_spaces_of_their_own() -> None:
    if reason := can_enter():
        refused(reason)
    words = [sys.executable, "-m", "tests.lab.kubelet.spaced"]
    said = subprocess.run(words, cwd=TOP, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads(said.stdout)
    assert found["ready"] is True
    assert found["said"] == [found["asker"], found["web"]]
    assert found["probed by"] == found["node"]
    hostname, unhealthy = found["moody"]
    assert hostname == "moody"
    assert "No such file or directory" in unhealthy
    assert found["code"] == 137
    assert found["left"] == []
