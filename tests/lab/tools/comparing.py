"""What the real tools and ours print, without what differs from one time to the next."""

import re

from tests.clients.conftest import Printed

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
