"""timeouts: what is taken, and that the last block of an address that says something counts."""

import pytest

from kdns.server.assembly import Services, build
from kdns.server.terms import UNLIMITED, Terms
from tests.serving import mistakes


def terms(text: str) -> Terms:
    errors: list[Exception] = []
    assembly = build(text, "Corefile", Services(), errors)
    assert not errors
    return next(iter(assembly.terms.values()))


def block(inside: str, zone: str = ".") -> str:
    return f"{zone} {{\n timeouts {{\n{inside}\n }}\n whoami\n}}\n"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("read 5", {"read_s": 5.0}),
        ("read 5s\nread 6s", {"read_s": 6.0}),
        ("write 1m\nidle 24h", {"write_s": 60.0, "idle_s": 86400.0}),
        ("maxtcpqueries 7", {"max_queries": 7}),
        ("maxtcpqueries -1", {"max_queries": UNLIMITED}),
    ],
)
def test_what_is_said_is_kept_to(inside: str, expected: dict[str, float]) -> None:
    found = terms(block(inside))
    assert {name: getattr(found, name) for name in expected} == expected


def test_what_is_not_said_is_as_in_coredns() -> None:
    found = terms(". {\n whoami\n}\n")
    assert (found.read_s, found.write_s, found.idle_s) == (3.0, 5.0, 10.0)
    assert found.max_queries == UNLIMITED


def test_of_several_blocks_the_last_that_says_so_counts() -> None:
    found = terms(block("idle 1s\nread 9s", "a") + block("idle 4s", "b") + "c {\n whoami\n}\n")
    assert (found.idle_s, found.read_s) == (4.0, 9.0)


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("", "expected an option"),
        ("read 0", "from 1s to 86400s"),
        ("read 500ms", "from 1s to 86400s"),
        ("read 24h1s", "from 1s to 86400s"),
        ("read 1.5", "a duration"),
        ("read", "a duration"),
        ("idle 5 6", "unexpected '6'"),
        ("maxtcpqueries 0", "found 0"),
        ("maxtcpqueries -2", "at least -1"),
        ("maxtcpqueries x", "a whole number"),
        ("linger 5", "unknown option 'linger'"),
    ],
)
def test_what_is_wrong_is_said(inside: str, why: str) -> None:
    [error] = mistakes(block(inside))
    assert why in error


def test_an_argument_is_wrong() -> None:
    assert mistakes(". {\n timeouts 5\n whoami\n}\n")
