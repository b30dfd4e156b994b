"""A process from its signals to its end: probes while it stops, lameduck, what ends at once."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from tests.running import PATIENCE_S, Running, free_port

COREFILE = """. {{
    bind 127.0.0.1
    health 127.0.0.1:{health} {{
        lameduck {lameduck}
    }}
    ready 127.0.0.1:{ready}
    reload 2s 0s
    whoami
}}
"""


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


def served(tmp_path: Path, ports: tuple[int, int], lameduck: str) -> Running:
    file = tmp_path / "Corefile"
    file.write_text(COREFILE.format(health=ports[0], ready=ports[1], lameduck=lameduck))
    return Running(file)


def status(port: int, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as reply:
            return int(reply.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return 0


def until(holds) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)


@pytest.mark.slow
def test_a_lame_duck_answers_is_alive_and_not_ready(tmp_path: Path, ports: tuple[int, int]) -> None:
    health, ready = ports
    with served(tmp_path, ports, "3s") as kdns:
        kdns.wait()
        assert (status(health, "/health"), status(ready, "/ready")) == (200, 200)
        began = time.monotonic()
        kdns.process.send_signal(signal.SIGTERM)
        until(lambda: status(ready, "/ready") == 503)
        assert status(health, "/health") == 200
        code, printed = kdns.end(signal.SIGTERM)
        took = time.monotonic() - began
    assert code == 0
    assert took >= 3
    assert printed.count("SIGTERM: stopping") == 1


def test_a_lame_duck_waits_for_the_last_query(tmp_path: Path, ports: tuple[int, int]) -> None:
    with served(tmp_path, ports, "1500ms") as kdns:
        kdns.wait()
        last = began = time.monotonic()
        kdns.process.send_signal(signal.SIGTERM)
        while last - began < 1.2:
            last = time.monotonic()
            assert kdns.ask("a.example", timeout=20).additional
            time.sleep(0.02)
        kdns.process.wait(PATIENCE_S)
        ended = time.monotonic()
        assert kdns.end()[0] == 0
    # A second after the last one, or lameduck twice.
    assert ended - last > 0.95 or ended - began > 2.95


def test_a_stop_does_not_wait_for_the_start(tmp_path: Path) -> None:
    file = tmp_path / "Corefile"
    file.write_text(
        ". {\n bind 127.0.0.1\n kubernetes cluster.local {\n"
        f"  manifests {tmp_path}/none.yaml\n  startup_timeout 1m\n }}\n}}\n"
    )
    with Running(file) as kdns:
        assert kdns.process.stdout is not None
        while "waiting for the cluster" not in kdns.process.stdout.readline():
            pass
        began = time.monotonic()
        code, printed = kdns.end()
        took = time.monotonic() - began
    assert code == 0
    assert took < 30  # of a minute
    assert printed.count("\n") == 1
    assert "SIGTERM: stopping" in printed


def test_a_second_interrupt_ends_at_once(tmp_path: Path, ports: tuple[int, int]) -> None:
    with served(tmp_path, ports, "30s") as kdns:
        kdns.wait()
        kdns.process.send_signal(signal.SIGINT)
        until(lambda: status(ports[1], "/ready") == 503)
        code, printed = kdns.end(signal.SIGINT)
    assert code == 1
    assert "Traceback" not in printed


def test_a_reload_takes_the_probes_along(tmp_path: Path, ports: tuple[int, int]) -> None:
    health, ready = ports
    moved = free_port()
    with served(tmp_path, ports, "0s") as kdns:
        kdns.wait()
        (tmp_path / "Corefile").write_text(
            COREFILE.format(health=health, ready=moved, lameduck="0s")
        )
        until(lambda: status(moved, "/ready") == 200)  # by itself, within the interval
        until(lambda: status(ready, "/ready") == 0)
        assert status(health, "/health") == 200
        assert kdns.end()[0] == 0


def test_a_corefile_from_stdin_cannot_be_read_again(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "kdns", "-conf", "stdin", "-dns.port", str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(". {\n bind 127.0.0.1\n whoami\n}\n")
        process.stdin.close()
        assert process.stdout.readline() == f".:{port} on 127.0.0.1\n"
        process.send_signal(signal.SIGHUP)
        lines = [process.stdout.readline() for _ in range(4)]
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert lines[-1] == ("[WARNING] nothing is reloaded: the Corefile came from standard input\n")
