"""https3: what is taken, and what a listener makes of it."""

import pytest

from kdns.server.terms import UNLIMITED
from tests.serving import bounds, mistakes

pytest.importorskip("aioquic", reason="the extra kdns[quic] is not installed")

BLOCK = "https3://. {{\n tls a b\n https3 {{\n{}\n }}\n whoami\n}}\n"


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
        ("max_streams", "a whole number"),
        ("max_connections 1\nmax_connections 1", "may stand once"),
        ("bogus 1", "unknown option"),
    ],
)
def test_what_is_wrong_is_said(inside: str, why: str) -> None:
    [error] = mistakes(BLOCK.format(inside))
    assert why in error


def test_it_needs_a_certificate() -> None:
    [error] = mistakes("https3://. {\n whoami\n}\n")
    assert "https3:// needs `tls`" in error
