"""Labs with the demo; those that walk the tour one at a time: node ports are the machine's."""

import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.conftest import lacking, obstacle
from tests.demo.played import Way, played
from tests.demo.walk import Shell

NODE_PORTS = (30080, 30081, 30010)
"""Of fleetman and discovery."""
PATIENCE_S = 150.0
"""For a lab that somebody else is about to end."""


@contextmanager
def alone() -> Iterator[None]:
    """While no other test has the tour's node ports on this machine."""
    path = Path(tempfile.gettempdir(), f"kdns-demo-{os.getuid()}.lock")
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        until = time.monotonic() + PATIENCE_S
        while taken := [port for port in NODE_PORTS if is_taken(port)]:
            assert time.monotonic() < until, f"another lab has the node ports {taken}"
            time.sleep(0.2)
        yield


def is_taken(port: int) -> bool:
    """Whether somebody else on this machine listens there."""
    with socket.socket() as one:
        return not one.connect_ex(("127.0.0.1", port))


@pytest.fixture(scope="module")
def way() -> Way:
    """How labs are played here where that is no matter."""
    return "loopback" if obstacle() else "namespaces"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, way: Way) -> Iterator[Shell]:
    """What `make run` starts."""
    with played(tmp_path_factory.mktemp("demo"), way) as found:
        yield found


def require(way: Way) -> None:
    """Skips where the kernel forbids namespaces; fails where they must be there."""
    if way == "namespaces" and (why := obstacle()):
        lacking(why)
