"""CoreDNS itself is asked about the corpus: what it takes and refuses, and what zones it serves."""

import os
import re
import select
import shutil
import subprocess
import time

import pytest

from kdns.corefile.keys import SCHEMES
from kdns.wire import names
from tests.corefile.corpus import ACCEPTED, REJECTED, STRICTER, Case, load

COREDNS = shutil.which("coredns")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(COREDNS is None, reason="coredns is not on the PATH"),
]


def ask(case: Case, folder) -> tuple[bool, str]:
    """Whether CoreDNS starts with a Corefile, and what it says meanwhile."""
    (folder / "Corefile").write_text(case.text, newline="", encoding="utf-8")
    for name, text in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    process = subprocess.Popen(
        [COREDNS, "-conf", "Corefile", "-dns.port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **case.environ},
    )
    try:
        return _listen(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _listen(process) -> tuple[bool, str]:
    said = b""
    until = time.monotonic() + 5
    while b"CoreDNS-" not in said and time.monotonic() < until:
        if select.select([process.stdout], [], [], 0.1)[0]:
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                break
            said += piece
    text, ready, _ = said.decode().partition("CoreDNS-")
    return bool(ready), text


SERVED = re.compile(rf"(?:({'|'.join(SCHEMES)})://)?(.+):([0-9]+)")


def _served(said: str) -> set[tuple[str, bytes, int]]:
    lines = [line.partition(" on ")[0] for line in said.splitlines() if "Warning" not in line]
    found = [match.groups() for match in map(SERVED.fullmatch, lines) if match]
    return {(scheme or "dns", names.parse_key(zone), int(port)) for scheme, zone, port in found}


@pytest.mark.parametrize("name", ACCEPTED)
def test_coredns_serves_the_same_zones(name, tmp_path):
    is_up, said = ask(ACCEPTED[name], tmp_path)
    assert is_up, said
    keys = [key for block in load(ACCEPTED[name], port=0).blocks for key in block.keys]
    assert {(key.scheme, key.zone, key.port) for key in keys} == _served(said)


@pytest.mark.parametrize("name", REJECTED)
def test_coredns_refuses_too(name, tmp_path):
    is_up, said = ask(REJECTED[name][0], tmp_path)
    assert not is_up
    assert said.strip()


@pytest.mark.parametrize("name", STRICTER)
def test_coredns_takes_what_we_refuse_on_purpose(name, tmp_path):
    assert ask(STRICTER[name][0], tmp_path)[0]
