"""grpc_server: what is taken, and what a listener makes of it."""

import pytest

from kdns.server.terms import UNLIMITED
from tests.serving import bounds, mistakes

BLOCK = "grpc://. {{\n grpc_server {{\n{}\n }}\n whoami\n}}\n"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", (200, 256)),
        ("max_connections 10\nmax_streams 20", (10, 20)),
        ("max_connections 0\nmax_streams 0", (UNLIMITED, UNLIMITED)),
    ],
)
def test_bounds_are_kept_to(inside: str, expected: tuple[int, int]) -> None:
    assert bounds(BLOCK.format(inside)) == expected


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("max_streams -1", "at least 0"),
        ("max_connections -1", "at least 0"),
        ("max_connections 1\nmax_connections 1", "may stand once"),
        ("bogus", "unknown option"),
    ],
)
def test_what_is_wrong_is_said(inside: str, why: str) -> None:
    [error] = mistakes(BLOCK.format(inside))
    assert why in error


def test_an_argument_is_wrong() -> None:
    assert mistakes("grpc://. {\n grpc_server x\n whoami\n}\n")
