"""What dig sees of the directives that edit replies, on real sockets of a real process."""

import shutil
import subprocess

import pytest

from tests.running import Running

pytestmark = pytest.mark.skipif(not shutil.which("dig"), reason="dig is not installed")

MANY = "".join(f"  10.0.0.{at} many.example\n" for at in range(80))
CORE = f"""
. {{
    nsid pod-7
    chaos secret ada
    any
    local
    bufsize 700
    minimal
    header {{
        response set ra
    }}
    hosts {{
{MANY}
    }}
}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("edited") / "Corefile"
    path.write_text(CORE)
    with Running(path) as running:
        yield running.wait()


def dig(server, *words):
    command = ["dig", "@127.0.0.1", "-p", str(server.port), "+tries=1", "+time=3", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_the_server_names_itself_to_who_asks(server, transport):
    for _ in range(4):
        assert '; NSID: 70 6f 64 2d 37 ("pod-7")' in dig(server, "+nsid", transport, "localhost")
        assert "NSID" not in dig(server, transport, "localhost")


def test_class_ch_says_version_and_authors(server):
    assert dig(server, "+short", "CH", "TXT", "version.bind") == '"secret"\n'
    assert dig(server, "+short", "CH", "TXT", "authors.bind") == '"ada"\n'


def test_any_is_one_record(server):
    shown = dig(server, "+notcp", "ANY", "many.example")
    assert '"ANY obsoleted" "See RFC 8482"' in shown
    assert "ANSWER: 1," in shown


def test_udp_is_cut_and_tcp_is_whole(server):
    for _ in range(4):
        cut = dig(server, "+ignore", "+bufsize=4096", "many.example")
        size = next(line for line in cut.splitlines() if "MSG SIZE" in line)
        assert int(size.split()[-1]) <= 700
        assert " tc " in cut
        assert "udp: 700" in cut
        whole = dig(server, "+bufsize=4096", "many.example")
        assert "ANSWER: 80," in whole
        assert "(TCP)" in whole


def test_flags_are_as_said(server):
    for _ in range(4):
        assert "flags: qr aa rd ra;" in dig(server, "+tcp", "many.example")
        assert "flags: qr aa ra;" in dig(server, "+tcp", "+norec", "many.example")
