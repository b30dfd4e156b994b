"""What systemd is told, by a real kdns over a real datagram socket; and what the unit says."""

import asyncio
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from kdns.server import notify
from tests.running import Running

UNIT = Path(__file__).parents[2] / "config" / "systemd" / "kdns.service"
COREFILE = ". {\n    bind 127.0.0.1\n    whoami\n}\n"


@pytest.fixture
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A socket as systemd's, in the file system or without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = (
            str(tmp_path / "notify") if request.param == "path" else f"\0kdns-{os.urandom(8).hex()}"
        )
        sock.bind(name)
        sock.settimeout(40)
        yield sock


def environ(sock: socket.socket, **more: str) -> dict[str, str]:
    name = sock.getsockname()
    return {"NOTIFY_SOCKET": name if isinstance(name, str) else "@" + name[1:].decode(), **more}


def heard(sock: socket.socket, first: str) -> list[str]:
    """The next message that is no sign of life; it begins as said."""
    while True:
        lines = sock.recv(4096).decode().split("\n")
        if lines != ["WATCHDOG=1"]:
            assert lines[0] == first, lines
            return lines


@pytest.mark.parametrize(
    ("systemd", "words"),
    [("path", ()), ("abstract", ()), ("path", ("-workers", "2"))],
    ids=["alone", "abstract", "workers"],
    indirect=["systemd"],
)
def test_systemd_is_told_of_start_reload_and_stop(
    systemd: socket.socket, words: tuple[str, ...], tmp_path: Path
) -> None:
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE)
    with Running(corefile, *words, environ=environ(systemd)) as server:
        lines = heard(systemd, "READY=1")
        assert lines[1:] == [f"STATUS=serves .:{server.port} on 127.0.0.1"]
        assert server.ask("x.example").rcode() == 0, "ready means that it answers at once"

        before = time.monotonic_ns() // 1000
        server.process.send_signal(signal.SIGHUP)
        lines = heard(systemd, "RELOADING=1")
        began = int(lines[1].removeprefix("MONOTONIC_USEC="))
        assert before <= began <= time.monotonic_ns() // 1000
        heard(systemd, "READY=1")

        code, _ = server.end()
        assert code == 0
        heard(systemd, "STOPPING=1")


def test_systemd_is_told_that_a_wrong_corefile_is_over_too(tmp_path: Path) -> None:
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(40)
        with Running(corefile, environ=environ(sock)) as server:
            heard(sock, "READY=1")
            corefile.write_text(". {\n    whoamy\n}\n")
            server.process.send_signal(signal.SIGHUP)
            heard(sock, "RELOADING=1")
            assert heard(sock, "READY=1")[1].startswith("STATUS=serves .:")
            assert server.ask("x.example").rcode() == 0


@pytest.mark.parametrize("words", [(), ("-workers", "2")], ids=["alone", "workers"])
def test_signs_of_life_come_twice_in_the_time_that_systemd_waits(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(40)
        with Running(corefile, *words, environ=environ(sock, WATCHDOG_USEC="200000")) as server:
            heard(sock, "READY=1")
            # They lie there where others had the machine: not every time.
            assert max(six(sock) for _ in range(5)) > 0.3, "more often than asked for"
            os.kill(server.process.pid, signal.SIGSTOP)
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                _drain(sock)
            os.kill(server.process.pid, signal.SIGCONT)


def six(sock: socket.socket) -> float:
    """How long six of them took."""
    began = time.monotonic()
    for _ in range(6):
        assert sock.recv(4096) == b"WATCHDOG=1"
    return time.monotonic() - began


def _drain(sock: socket.socket) -> None:
    for _ in range(50):
        sock.recv(4096)


@pytest.mark.parametrize(
    ("environ", "period_s"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({"WATCHDOG_USEC": "-1"}, 0),
        ({"WATCHDOG_USEC": "²"}, 0),
        ({"WATCHDOG_USEC": "9" * 5000}, 0),
    ],
)
def test_who_is_to_give_signs_of_life(environ: dict[str, str], period_s: float) -> None:
    assert notify._period_s(environ) == period_s


def test_without_systemd_nothing_is_told(monkeypatch, caplog) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.stopping()
    assert not caplog.records


def test_a_socket_that_is_gone_is_a_warning(monkeypatch, caplog, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    notify.ready(["a:53", "b:53", "c:53", "d:53"])
    assert "cannot tell systemd READY=1" in caplog.text


@pytest.mark.parametrize("usec", ["1", "20000"])
async def test_signs_of_life_hold_nothing_up(monkeypatch, tmp_path: Path, usec: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))  # nobody reads: it is soon full
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", usec)
        loop = asyncio.get_running_loop()
        say, times, took = notify._say, [], []

        def timed(*lines: str, **more: float) -> None:
            times.append(loop.time())
            say(*lines, **more)
            took.append(loop.time() - times[-1])

        monkeypatch.setattr(notify, "_say", timed)
        notify.keep_alive()
        async with asyncio.timeout(40):
            while len(times) < 30:
                await asyncio.sleep(0.01)
        assert statistics.median(took) < notify.PATIENCE_S / 2
        assert times[29] - times[0] > 28 * notify.SHORTEST_S, "that often keeps a server busy"


# The unit


def test_the_unit_is_for_a_server_that_speaks_and_may_little() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert (
        service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"
    )
    assert service["ProtectSystem"] == "strict"
    assert service["DynamicUser"] == "yes"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "kdns.service"
    program = Path(sys.executable).with_name("kdns")
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/kdns", str(program)))
    assert "kdns.service" not in verified(unit)
    unit.write_text(re.sub("^Type=notify", "Type=notfy", unit.read_text(), flags=re.M))
    assert "notfy" in verified(unit), "a mistake is noticed"


def verified(unit: Path) -> str:
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr
