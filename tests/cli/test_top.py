"""`kdns top` on real servers: its reports, its screen in a terminal, and a server that is away."""

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from msgspec import structs

from kdns.cli import top
from kdns.status.reader import Where
from kdns.status.screen import Frame, lines, percentile, plain, since_then
from kdns.status.shapes import Cluster, Status, Totals, Upstream
from tests.certificates import Authority
from tests.running import Running, free_port

COMMAND = [sys.executable, "-m", "kdns", "top"]
TOKEN = "0123456789abcdef0123456789abcdef"


# What is shown


def status(**changes):
    totals = Totals(
        queries=1000, hits=800, kept=100, failures=10,
        rcodes={"NOERROR": 900, "NXDOMAIN": 90, "SERVFAIL": 10},
        plugins={"kubernetes": 1000}, transports={"udp": 1000}, latency=[990, 9, 1, 0],
        names=[("a.example.", 500.0)], missing=[("no.example.", 90.0)],
        clients=[("10.244.0.9", 1000.0)],
    )  # fmt: skip
    found = Status(
        "1.2.3", 100.0, 1100.0, totals, bounds=[0.00025, 0.0005, 0.001], memory=80 << 20,
        pods={"10.244.0.9": "shop/web-1"},
        upstreams=[Upstream("192.0.2.1:53", ".", True, 0, 12.5, 40)],
        clusters=[Cluster("https://api", True, 0.5, zones=["cluster.local."], services=10_000,
                          endpoints=150_000, unready=3)],
    )  # fmt: skip
    return structs.replace(found, **changes)


def text(now, before=None, width=100, height=40):
    return "\n".join(lines(now, before, Frame(width, height)))


def test_the_first_screen_is_of_all_since_the_start():
    shown = text(status())
    assert "1 queries/s  from the table 80.0 %  from the cache 10.0 %  failed 1.0 %" in shown
    assert "half ≤0.25 ms  90 % ≤0.25 ms  99 % ≤0.25 ms  99.9 % ≤0.5 ms" in shown
    assert "NOERROR 90.0 %  NXDOMAIN 9.0 %  SERVFAIL 1.0 %" in shown
    assert (
        "cluster cluster.local.  10,000 services, 150,000 endpoints, 3 not ready  500 ms old"
        in shown
    )
    assert "upstream 192.0.2.1:53 for .  healthy  12.5 ms  40 replies" in shown
    assert "10.244.0.9 shop/web-1" in shown


def test_later_ones_are_of_what_came_since():
    now = status(now=1102.0)
    now.totals = structs.replace(now.totals, queries=1200, hits=900, latency=[1090, 9, 101, 0])
    shown = text(now, status())
    assert "100 queries/s  from the table 50.0 %" in shown
    assert "half ≤0.25 ms  90 % ≤1 ms" in shown


def test_a_server_that_was_started_anew_begins_anew():
    now = status(started=1150.0, now=1160.0)
    assert "100 queries/s" in text(now, status())


def test_an_idle_server_shows_what_it_did_before():
    shown = text(status(now=1101.0), status())
    assert "0 queries/s  from the table -" in shown
    assert "NOERROR 90.0 %" in shown


def test_a_percentile_is_the_bound_of_its_bucket():
    assert percentile([0, 0, 0], [1.0, 2.0], 0.5) == "-"
    assert percentile([1, 1, 2], [1.0, 2.0], 0.5) == "≤2 s"
    assert percentile([1, 1, 2], [1.0, 2.0], 0.99) == ">2 s"


def test_what_was_forgotten_by_a_restart_is_not_negative_latency():
    assert since_then(Totals(latency=[3, 2]), Totals(latency=[1])).latency == [2, 2]


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J\x1b]0;owned\x07", "a\nb\rc", "\u202eevil", "\x9b31m", "caf\xe9"]
)
def test_names_cannot_speak_to_the_terminal(hostile):
    now = status(pods={"10.244.0.9": hostile}, version=hostile)
    now.totals = structs.replace(now.totals, names=[(hostile, 1.0)], missing=[(hostile, 1.0)],
                                 rcodes={hostile: 3}, plugins={hostile: 3})  # fmt: skip
    now.upstreams = [Upstream(hostile, hostile, True)]
    now.clusters = [Cluster(hostile, True, 0.0, hostile, zones=[hostile])]
    for width in (80, 160):
        shown = lines(now, None, Frame(width, 60))
        assert all(" " <= char <= "~" or char in "≤…" for line in shown for char in line)
    assert plain("a.example.") == "a.example."


@pytest.mark.parametrize("width", [20, 40, 80, 114, 200])
@pytest.mark.parametrize("height", [1, 10, 24, 60])
def test_a_screen_fits_its_terminal(width, height):
    now = status(upstreams=[Upstream(f"192.0.2.{at}:53", ".", at % 2 == 0) for at in range(15)])
    now.totals = structs.replace(
        now.totals, names=[(f"{'x' * 60}.{at}.", 9.0) for at in range(20)],
        clients=[(f"2001:db8::{at}", 1.0) for at in range(20)],
    )  # fmt: skip
    shown = lines(now, None, Frame(width, height))
    assert len(shown) <= height
    assert max(map(len, shown)) <= max(width, 60 if width < 60 else 0)
    colored = lines(now, None, Frame(width, height, is_colored=True))
    assert [re.sub(r"\x1b\[\d*m", "", line).rstrip() for line in colored] == [
        line.rstrip() for line in shown
    ]


def test_what_a_person_should_look_at_is_red():
    down = Upstream("192.0.2.1:53", ".", is_healthy=False, failures=7)
    now = status(upstreams=[down], clusters=[Cluster("x", False, 9.0, "403: no", zones=["c."])])
    red = [line for line in lines(now, None, Frame(100, 40, is_colored=True)) if "\x1b[31m" in line]
    assert [
        "DOWN, 7 probes failed" in line or "not known yet  403: no" in line for line in red
    ] == [True] * 2
    assert "\x1b" not in text(now)


@pytest.mark.parametrize(
    ("words", "url"),
    [
        ("10.0.0.1", "http://10.0.0.1:9154"),
        ("host:99", "http://host:99"),
        ("[::1]:99", "http://[::1]:99"),
        ("https://dns.example:99/", "https://dns.example:99"),
    ],
)
def test_an_address_may_be_short(words, url):
    assert str(Where.parse(words)) == url


# Bad usage


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["ftp://x"], "expected HOST:PORT"),
        (["host:port"], "expected HOST:PORT"),
        (["--token-file", "/nowhere/token"], "/nowhere/token: No such file"),
        (["https://x", "--ca", "/nowhere/ca"], "No such file"),
    ],
)
def test_bad_usage_is_told_in_one_line(capsys, words, why):
    assert top.main(words) == 2
    told = capsys.readouterr().err
    assert why in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("interval", ["0", "x", "1e9"])
def test_an_interval_is_seconds(capsys, interval):
    with pytest.raises(SystemExit) as ended:
        top.main(["--interval", interval])
    assert ended.value.code == 2
    assert "expected seconds from 0.1 to 3600" in capsys.readouterr().err


# Real servers


def corefile(folder: Path, port: int, options: str = "") -> Path:
    path = folder / "Corefile"
    path.write_text(
        f". {{\n bind 127.0.0.1\n status 127.0.0.1:{port} {options}\n"
        " template IN A no.example {\n rcode NXDOMAIN\n }\n"
        " hosts {\n 10.0.0.1 a.example\n fallthrough\n }\n whoami\n}\n"
    )
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server, and its status port."""
    port = free_port()
    with Running(corefile(tmp_path_factory.mktemp("top"), port)) as running:
        running.wait()
        for _ in range(10):
            running.ask("a.example")
        running.ask("no.example")
        yield f"127.0.0.1:{port}"


def run(*words, timeout=40):
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=timeout, check=False
    )


def test_one_report(server):
    found = run(server, "--once", "--interval", "0.1")
    assert found.returncode == 0, found.stderr
    assert "queries/s" in found.stdout
    assert "a.example." in found.stdout
    assert "no.example." in found.stdout
    assert "127.0.0.1" in found.stdout
    assert "\x1b" not in found.stdout


def test_json_for_scripts(server):
    found = run(server, "--once", "--json")
    assert found.returncode == 0
    assert found.stdout.count("\n") == 1
    assert json.loads(found.stdout)["totals"]["queries"] >= 11


def test_without_a_terminal_a_report_comes_each_time(server):
    with subprocess.Popen(
        [*COMMAND, server, "--interval", "0.1"], stdout=subprocess.PIPE, text=True
    ) as process:
        shown = [process.stdout.readline() for _ in range(60)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(30) == 0
    assert sum(line.startswith("kdns ") for line in shown) >= 2


def test_whoever_reads_may_leave(server):
    first, *_ = subprocess.run(
        f"{sys.executable} -m kdns top {server} --interval 0.1 | head -1",
        shell=True, check=False, capture_output=True, text=True, timeout=40,
    ).stdout.splitlines()  # fmt: skip
    assert first.startswith("kdns ")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:{free}", "nobody listens there: does kdns run, with `status` in its Corefile?"),
        ("https://{server}", "does it speak TLS there?"),
    ],
)
def test_a_server_that_is_not_there_is_named(server, address, why):
    found = run(address.format(free=free_port(), server=server), "--once")
    assert found.returncode == 1
    assert why in found.stderr
    assert "Traceback" not in found.stderr


def test_a_server_that_goes_and_comes_back(tmp_path):
    port = free_port()
    path = corefile(tmp_path, port)
    with subprocess.Popen(
        [*COMMAND, f"127.0.0.1:{port}", "--interval", "0.1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert "nobody listens there" in process.stderr.readline()
            with Running(path):
                assert process.stdout.readline().startswith("kdns ")
            assert "trying again" in process.stderr.readline()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()
    assert process.returncode == 0


def test_tls_and_a_token(tmp_path):
    authority = Authority(tmp_path)
    authority.issue()
    (tmp_path / "web.yaml").write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
    )
    (tmp_path / "token").write_text(TOKEN + "\n")
    port = free_port()
    options = f"{{\n token {tmp_path}/token\n tls {tmp_path}/web.yaml\n }}"
    where = f"https://127.0.0.1:{port}"
    with Running(corefile(tmp_path, port, options)) as running:
        running.wait()
        trust, token = ("--ca", str(authority.file)), ("--token-file", f"{tmp_path}/token")
        found = run(where, "--once", "--json", *trust, *token)
        assert found.returncode == 0, found.stderr
        assert json.loads(found.stdout)["version"]
        assert "--token-file FILE" in run(where, "--once", *trust).stderr
        assert "--ca FILE" in run(where, "--once", *token).stderr
        plain_http = run(f"127.0.0.1:{port}", "--once", *token)
        assert "try https://" in plain_http.stderr


# The screen


class Terminal:
    """`kdns top` in a terminal of the test's own."""

    def __init__(self, *words, rows=24, columns=90):
        ours, theirs = pty.openpty()
        self.fd = ours
        self.resize(rows, columns, theirs)
        self.before = termios.tcgetattr(theirs)
        environ = {
            name: value for name, value in os.environ.items() if name not in {"LINES", "COLUMNS"}
        }
        self.process = subprocess.Popen(
            [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environ,
            start_new_session=True, close_fds=True,
        )  # fmt: skip
        self._theirs = theirs
        self.seen = io.BytesIO()

    def resize(self, rows, columns, fd=None):
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.fd if fd is None else fd, termios.TIOCSWINSZ, size)

    def until(self, what: bytes, timeout=40.0) -> bytes:
        """Reads until it was shown."""
        end = time.monotonic() + timeout
        found = b""
        while what not in found:
            if not select.select([self.fd], [], [], max(end - time.monotonic(), 0))[0]:
                raise AssertionError(f"{what!r} was not shown: {found!r}")
            octets = os.read(self.fd, 65536)
            found += octets
        return found

    def key(self, key: bytes):
        os.write(self.fd, key)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self._theirs)

    def ended(self) -> int:
        return self.process.wait(30)


def test_the_screen_is_drawn_and_all_is_as_it_was_afterwards(server):
    with Terminal(server, "--interval", "0.2") as terminal:
        shown = terminal.until(b"clients")
        assert shown.startswith(b"\x1b[?1049h\x1b[?25l")
        assert b"queries/s" in shown
        assert b"a.example." in shown
        terminal.key(b"q")
        assert terminal.until(b"\x1b[?1049l").endswith(b"\x1b[?25h\x1b[?1049l")
        assert terminal.ended() == 0
        assert termios.tcgetattr(terminal._theirs) == terminal.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_restores_the_terminal(server, number):
    with Terminal(server) as terminal:
        terminal.until(b"queries/s")
        terminal.process.send_signal(number)
        terminal.until(b"\x1b[?1049l")
        assert terminal.ended() == 0
        assert termios.tcgetattr(terminal._theirs) == terminal.before


def test_another_size_is_drawn_at_once(server):
    with Terminal(server, "--interval", "3600") as terminal:
        terminal.until(b"clients")
        terminal.resize(24, 30)
        terminal.process.send_signal(signal.SIGWINCH)
        shown = terminal.until(b"clients").rpartition(b"\x1b[H")[2]
        rows = re.sub(rb"\x1b\[\??\d*[a-zA-Z]", b"", shown).split(b"\r\n")
        assert max(map(len, (row.decode() for row in rows))) <= 30, rows


def test_a_server_that_is_away_is_told_on_the_screen(tmp_path):
    port = free_port()
    with Terminal(f"127.0.0.1:{port}", "--interval", "0.1", columns=150) as terminal:
        terminal.until(b"trying again")
        with Running(corefile(tmp_path, port)):
            terminal.until(b"queries/s")
        terminal.until(b"trying again")
