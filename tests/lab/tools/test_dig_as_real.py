"""dig of ours prints what BIND's prints, and ends with its code."""

import pytest

from tests.lab.tools.comparing import comparable
from tests.lab.tools.conftest import Bench

CASES = """
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


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_ours_says_what_the_real_one_says(bench: Bench, line: str) -> None:
    ours, real = bench.both(*line.split())
    assert comparable(ours) == comparable(real)
