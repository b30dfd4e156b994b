"""Quantities as containers are told them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.lab.inside.amounts import counted


@pytest.mark.parametrize(
    ("text", "divisor", "found"),
    [
        ("250m", "", "1"),
        ("250m", "1m", "250"),
        ("2", "0", "2"),
        ("1.5", "1", "2"),
        ("128Mi", "", "134217728"),
        ("128Mi", "1Mi", "128"),
        ("1Gi", "1M", "1074"),
        ("1G", "1Ki", "976563"),
        ("1e3", "", "1000"),
        ("12E", "", "9223372036854775807"),
        ("100n", "1", "1"),
        ("0", "1Mi", "0"),
        (".5", "1m", "500"),
        ("4k", "", "4000"),
    ],
)
def test_counted(text: str, divisor: str, found: str) -> None:
    assert counted(text, divisor) == found


@pytest.mark.parametrize("text", ["", "x", "1x", "1e999", "1Kii", "NaN", "--1", "1 Mi", "inf"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        counted(text, "")


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_rounded_up_and_never_down(number: int, divisor: int) -> None:
    assert counted(f"{number}m", f"{divisor}m") == str(-(-number // divisor))
