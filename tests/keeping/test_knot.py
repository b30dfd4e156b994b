"""Real servers and clients: dig and kdig fetch from us, Knot is our secondary and our primary."""

import shutil
import subprocess
import time
from pathlib import Path

import dns.exception
import dns.query
import pytest

from tests.conformance import knot
from tests.running import Running, free_port

pytestmark = pytest.mark.slow

ZONE = """$ORIGIN example.
$TTL 300
@ 3600 SOA ns host {serial} {timers} 60
@ NS ns
ns A 127.0.0.1
www A 192.0.2.{serial}
long TXT "{long}"
"""
MANY = "".join(f"host{n} A 10.0.{n >> 8}.{n & 255}\n" for n in range(3000))


def text(serial: int, extra: str = "", timers: str = "7200 900 86400") -> str:
    return ZONE.format(serial=serial, timers=timers, long="x" * 200) + extra


def corefile(folder: Path, inside: str) -> Path:
    path = folder / "Corefile"
    path.write_text(f"example {{\n bind 127.0.0.1\n{inside}\n}}\n")
    return path


def waited(ask, expected: str) -> None:
    """Asks for www.example until the answer is this one."""
    found = None
    for _ in range(800):
        try:
            found = [str(rdata) for rrset in ask("www.example").answer for rdata in rrset]
        except (dns.exception.DNSException, OSError):
            found = None
        if found == [expected]:
            return
        time.sleep(0.05)
    raise AssertionError(found)


@pytest.mark.parametrize("client", ["dig", "kdig"])
def test_clients_fetch_the_whole_zone(tmp_path, client):
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    (tmp_path / "db").write_text(text(1, MANY))
    path = corefile(tmp_path, f"file {tmp_path}/db\ntransfer {{\n to *\n}}")
    with Running(path).wait() as running:
        command = [client, "@127.0.0.1", "-p", str(running.port), "example.", "AXFR", "+noidnin"]
        command = command if client == "dig" else command[:-1]
        printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = [line.split() for line in printed.stdout.splitlines() if line[:1] not in {"", ";"}]
    assert len(lines) == 3000 + 6
    assert lines[0] == lines[-1]
    assert lines[0][3] == "SOA"


def rewritten(path: Path, content: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(content)
    beside.replace(path)


@knot.needs_knot
def test_knot_is_our_secondary_and_hears_of_changes(tmp_path):
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "db").write_text(text(1, MANY))
    theirs, port = free_port(), free_port()
    inside = f"file {ours}/db {{\n reload 100ms\n}}\ntransfer {{\n to 127.0.0.1:{theirs}\n}}"
    sections = f"""remote:
  - id: kdns
    address: 127.0.0.1@{port}
acl:
  - id: kdns
    address: 127.0.0.1
    action: notify"""
    options = "    master: kdns\n    acl: kdns"
    with (
        Running(corefile(ours, inside), port=port).wait(),
        knot.serving(tmp_path, {"example.": ""}, sections, options, port=theirs),
    ):
        waited(lambda name: asked(name, theirs), "192.0.2.1")
        rewritten(ours / "db", text(2, MANY))
        waited(lambda name: asked(name, theirs), "192.0.2.2")
    log = (tmp_path / "log").read_text()
    assert "IXFR" in log, log
    assert "AXFR" in log, log


@knot.needs_knot
def test_knot_is_our_primary_and_tells_us_of_changes(tmp_path):
    ours = tmp_path / "ours"
    ours.mkdir()
    mine = free_port()
    sections = f"""remote:
  - id: kdns
    address: 127.0.0.1@{mine}
acl:
  - id: kdns
    address: 127.0.0.1
    action: transfer"""
    options = "    acl: kdns\n    notify: kdns\n    journal-content: changes\n    zonefile-load: difference"
    with knot.serving(tmp_path, {"example.": text(1, MANY)}, sections, options) as theirs:
        path = corefile(ours, f"secondary {{\n transfer from 127.0.0.1:{theirs}\n}}")
        with Running(path, port=mine) as running:
            waited(running.ask, "192.0.2.1")
            assert running.ask("host2999.example").answer
            rewritten(tmp_path / "0.zone", text(2, MANY))
            knot.control(tmp_path, "zone-reload", "example.")
            waited(running.ask, "192.0.2.2")
            printed = running.end()[1]
    assert "(differences)" in printed, printed


def asked(name: str, port: int):
    return dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", 1, port)
