"""nslookup, dig, host and getent of ours print what the real ones print, and end with their code."""

import re

import pytest

from tests.clients.conftest import Printed
from tests.lab.tools.conftest import RESOLV, Bench

CASES = """
getent hosts web
getent hosts web.shop
getent hosts headless
getent hosts twice
getent hosts dual
getent hosts six
getent hosts nosuch
getent hosts broken
getent hosts written
getent hosts mypod
getent hosts www.example.org.
getent hosts big
getent hosts 127.96.1.2
getent hosts 127.244.7.7
getent hosts 127.96.77.77
getent hosts web nosuch web.shop
getent hosts
getent ahosts web
getent ahosts headless
getent ahosts twice
getent ahosts nosuch
getent ahosts written
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
dig web.default.svc.cluster.local
dig web
dig +search web
dig +search nosuch
dig +short +search web
dig +short alias.default.svc.cluster.local
dig +noall +answer headless.default.svc.cluster.local
dig +search +noall +answer twice
dig -x 127.96.1.2
dig -x 127.96.1.2 +short
dig srv _http._tcp.web.default.svc.cluster.local
dig @127.96.0.10 web.default.svc.cluster.local A +noedns
dig @127.96.0.99 web.default.svc.cluster.local
dig @nosuchserver web.default.svc.cluster.local
dig broken.default.svc.cluster.local
dig big.default.svc.cluster.local +short
dig big.default.svc.cluster.local +noedns +noall +answer
dig web.default.svc.cluster.local +tcp +noall +stats
dig web.default.svc.cluster.local +short dual.default.svc.cluster.local AAAA
dig +nocmd +nostats +nocomments www.example.org
dig
"""
OWN = (
    (re.compile(r"; <<>> DiG .*? <<>>"), "; <<>> DiG <<>>"),
    (re.compile(r" id: \d+"), " id: 1"),
    (re.compile(r"Query time: \d+"), "Query time: 0"),
    (re.compile(r"WHEN: .*"), "WHEN: now"),
)


def comparable(said: Printed) -> tuple[int, list[str], str]:
    """What is the same each time: addresses come in any order, silence is told once or more."""
    out = said.out
    for pattern, text in OWN:
        out = pattern.sub(text, out)
    lines = re.sub(r"(STREAM|DGRAM|RAW) .*", r"\1", out).splitlines()
    worries = {line for line in lines if "communications error" in line}
    return said.code, sorted([line for line in lines if line not in worries] + [*worries]), said.err


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_ours_says_what_the_real_one_says(bench: Bench, line: str) -> None:
    ours, real = bench.both(*line.split())
    assert comparable(ours) == comparable(real)


@pytest.mark.parametrize("tool", ["getent hosts", "nslookup", "dig +search +noall +answer"])
@pytest.mark.parametrize("name", ["web.shop", "www.example.org", "nosuch"])
@pytest.mark.parametrize(
    "resolv",
    [
        RESOLV.replace("ndots:5", "ndots:1"),
        "nameserver 127.96.0.99\nnameserver 127.96.0.10\nsearch svc.cluster.local\n",
        "search a.example\nsearch svc.cluster.local.\nnameserver 127.96.0.10\noptions ndots:2\n",
    ],
)
def test_search_paths_are_walked_as_the_real_ones_walk_them(
    bench: Bench, tool: str, name: str, resolv: str
) -> None:
    ours, real = bench.both(*tool.split(), name, resolv=resolv)
    assert comparable(ours) == comparable(real)


def test_a_terminal_is_told_nothing_that_it_obeys(bench: Bench) -> None:
    said = bench.ours("nslookup", "a\x1b[31mb")
    assert "\x1b" not in said.out + said.err
    assert said.code == 1
