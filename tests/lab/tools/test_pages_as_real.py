"""curl and wget of ours fetch what the real ones fetch, and end with curl's codes and words."""

import re

import pytest

from tests.clients.conftest import Printed
from tests.lab.tools.conftest import Bench

CASES = """
curl -s http://web
curl -s http://web/echo
curl -s -i http://web
curl -sI http://web
curl -sS http://nosuch/
curl -s http://nosuch/
curl -sS http://web:81
curl -sS http://down
curl -sS -m 2 http://web/cut
curl -sS -f http://web/none
curl -s http://web/none
curl -sL -w %{http_code}\\n http://web/moved
curl -s -o /dev/null -w %{http_code} http://web/moved
curl -s -d a=b -d c=d http://web/echo
curl -sLd a=b http://web/moved
curl -s -X PUT -H X-A:b -H Accept: http://web/echo
curl -s --resolve some.example:80:127.96.1.2 http://some.example/echo
curl -s 127.96.1.2 written.example
curl -vs http://web/none
curl -sS http://written-too:80
wget -qO- http://web
wget -q -O - http://web/moved
"""


def comparable(said: Printed) -> tuple[int, str, list[str]]:
    """Without what depends on versions and on time."""
    out = re.sub(r"curl/[\w. ()]+|Wget[\w./ ()]*", "agent", said.out)
    err = re.sub(r"curl/[\w. ()]+", "agent", said.err).replace(" (#0)", "")
    err = re.sub(r"after \d+ ms", "after a time", err)
    return said.code, out, [line for line in err.splitlines() if not line.startswith("{ [")]


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_ours_says_what_the_real_one_says(bench: Bench, line: str) -> None:
    ours, real = bench.both(*line.split())
    assert comparable(ours) == comparable(real)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("http://nosuch", "wget: bad address 'nosuch'\n"),
        ("http://web/none", "wget: server returned error: HTTP/1.1 404 Not Found\n"),
    ],
)
def test_wget_fails_in_the_words_of_busybox(bench: Bench, words: str, said: str) -> None:
    ours = bench.ours("wget", "-q", "-O", "-", words)
    assert (ours.code, ours.err) == (1, said)
