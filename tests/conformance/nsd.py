"""NSD as a child process on a free loopback port, with the zones a test gives it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.child import listening
from tests.running import free_port

NSD = shutil.which("nsd") or shutil.which("nsd", path="/usr/sbin")
needs_nsd = pytest.mark.skipif(NSD is None, reason="NSD is not installed (apt: nsd)")


@contextmanager
def serving(folder: Path, zones: dict[str, str]) -> Iterator[int]:
    """The port of an NSD that serves zone files of this text."""
    port = free_port()
    server = {
        "ip-address": f"127.0.0.1@{port}", "zonesdir": folder, "database": '""', "username": '""',
        "pidfile": folder / "pid", "zonelistfile": folder / "list", "xfrdfile": folder / "xfrd",
        "xfrdir": folder, "minimal-responses": "no", "server-count": 1,
    }  # fmt: skip
    lines = ["server:", *(f"  {name}: {value}" for name, value in server.items())]
    lines += ["remote-control:", "  control-enable: no"]
    for at, (name, text) in enumerate(zones.items()):
        (folder / f"{at}.zone").write_text(text)
        lines += ["zone:", f"  name: {name}", f"  zonefile: {at}.zone"]
    (folder / "nsd.conf").write_text("\n".join(lines) + "\n")
    with listening([str(NSD), "-d", "-c", str(folder / "nsd.conf")], folder, port):
        yield port
