"""getent of ours prints what glibc's prints, and ends with its code."""

import pytest

from tests.lab.tools.comparing import comparable
from tests.lab.tools.conftest import Bench

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
"""


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_ours_says_what_the_real_one_says(bench: Bench, line: str) -> None:
    ours, real = bench.both(*line.split())
    assert comparable(ours) == comparable(real)
