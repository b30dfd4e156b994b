"""nslookup and host of ours print what BIND's print, and end with their codes."""

import pytest

from tests.lab.tools.comparing import comparable
from tests.lab.tools.conftest import Bench

CASES = """
nslookup web
nslookup web.shop
nslookup headless
nslookup twice
nslookup dual
nslookup six
nslookup nosuch
nslookup nosuch.
nslookup broken
nslookup www.example.org
nslookup big
nslookup 127.96.1.2
nslookup 127.96.77.77
nslookup -type=srv _http._tcp.web
nslookup -type=txt text
nslookup -type=srv web
nslookup -type=cname alias
nslookup web 127.96.0.10
nslookup web 127.96.0.99
nslookup web nosuchserver
nslookup -badoption web
host web
host headless
host alias
host dual
host nosuch
host broken
host 127.96.1.2
host 127.96.77.77
host -t srv _http._tcp.web
host -t aaaa web
host web 127.96.0.10
host web 127.96.0.99
"""


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_ours_says_what_the_real_one_says(bench: Bench, line: str) -> None:
    ours, real = bench.both(*line.split())
    assert comparable(ours) == comparable(real)


def test_a_terminal_is_told_nothing_that_it_obeys(bench: Bench) -> None:
    said = bench.ours("nslookup", "a\x1b[31mb")
    assert "\x1b" not in said.out + said.err
    assert said.code == 1
