"""Unbound as a child process on a free loopback port, with authority for the zones a test gives."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.child import listening
from tests.running import free_port

UNBOUND = shutil.which("unbound") or shutil.which("unbound", path="/usr/sbin")
needs_unbound = pytest.mark.skipif(UNBOUND is None, reason="not installed (apt: unbound)")


@contextmanager
def serving(folder: Path, zones: dict[str, str]) -> Iterator[int]:
    """The port of an Unbound that serves zone files of this text."""
    port = free_port()
    server = {
        "interface": f"127.0.0.1@{port}", "username": '""', "chroot": '""', "directory": folder,
        "pidfile": folder / "pid", "do-daemonize": "no", "use-syslog": "no", "do-ip6": "no",
        "module-config": '"iterator"', "num-threads": 1, "incoming-num-tcp": 100,
    }  # fmt: skip
    lines = ["server:", *(f"  {name}: {value}" for name, value in server.items())]
    for at, (name, text) in enumerate(zones.items()):
        (folder / f"{at}.zone").write_text(text)
        lines += ["auth-zone:", f"  name: {name}", f"  zonefile: {folder / f'{at}.zone'}"]
        lines += ["  for-downstream: yes", "  for-upstream: no", "  fallback-enabled: no"]
    (folder / "unbound.conf").write_text("\n".join(lines) + "\n")
    with listening([str(UNBOUND), "-d", "-c", str(folder / "unbound.conf")], folder, port):
        yield port
