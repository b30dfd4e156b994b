"""Services in real namespaces: the usual addresses and ports, and who asks is seen as itself."""

import functools
import json
import subprocess
import sys
from typing import Any

import pytest

from tests.lab.ground.within import USERS, interpreter, options

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


@functools.cache
def told(user: str) -> dict[str, Any]:
    words = [interpreter(user), "-m", "tests.lab.proxy.within"]
    said = subprocess.run(
        words, **options(user), capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


@pytest.fixture(params=USERS)
def seen(request: pytest.FixtureRequest) -> dict[str, Any]:
    return told(str(request.param))


def test_the_endpoints_see_the_pod_that_asks(seen: dict[str, Any]) -> None:
    assert seen["tcp"] == ["one 10.244.1.5", "two 10.244.1.5"]
    assert seen["udp"] in {"one 10.244.1.5", "two 10.244.1.5"}
    assert seen["six"] in ([], ["one fd00:10:244::51", "two fd00:10:244::51"])


def test_a_node_port_and_the_address_of_ingresses_are_there(seen: dict[str, Any]) -> None:
    assert seen["node"] in {"one 10.244.1.5", "two 10.244.1.5"}
    assert seen["ingress"] == "HTTP/1.1 502", "it led to an endpoint that speaks no HTTP"


def test_what_left_is_not_asked_and_none_at_all_is_refused(seen: dict[str, Any]) -> None:
    assert seen["left"] == ["two 10.244.1.5"] * 2
    assert seen["none"] == ["ConnectionRefusedError"] * 2


def test_what_a_policy_forbids_hangs(seen: dict[str, Any]) -> None:
    assert seen["forbidden"] == "TimeoutError"
