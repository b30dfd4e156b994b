"""Knot DNS as a child process on a free loopback port, with the zones a test gives it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.child import listening
from tests.running import free_port

KNOTD = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin")
needs_knot = pytest.mark.skipif(KNOTD is None, reason="Knot DNS is not installed (apt: knot)")


@contextmanager
def serving(
    folder: Path,
    zones: dict[str, str],
    sections: str = "",
    options: str = "",
    *,
    port: int | None = None,
) -> Iterator[int]:
    """The port of a Knot that serves zone files of this text; `options` stand at every zone."""
    port = port or free_port()
    lines = [f"server:\n    rundir: {folder}\n    listen: 127.0.0.1@{port}"]
    lines += [f"database:\n    storage: {folder}", sections, "zone:"]
    for at, (name, text) in enumerate(zones.items()):
        lines.append(f"  - domain: {name}\n    storage: {folder}\n    zonefile-sync: -1\n{options}")
        if text:
            (folder / f"{at}.zone").write_text(text)
            lines.append(f"    file: {at}.zone")
    (folder / "knot.conf").write_text("\n".join(lines) + "\n")
    with listening([str(KNOTD), "-c", str(folder / "knot.conf")], folder, port):
        yield port


def control(folder: Path, *words: str) -> None:
    """Tells a Knot that serves what to do."""
    knotc = shutil.which("knotc") or shutil.which("knotc", path="/usr/sbin")
    command = [str(knotc), "-s", str(folder / "knot.sock"), *words]
    subprocess.run(command, capture_output=True, check=True, timeout=60)
