"""A block whose keys are all wrong is an error of its keys, whatever directives it has."""

import pytest

from kdns.server.assembly import Services, build
from kdns.server.registry import implemented

WORDS = ("", " x", " x y", " 1", " 127.0.0.1", " /x", " IN A", " name a b", " tcp://127.0.0.1:1")


@pytest.mark.parametrize("directive", implemented())
def test_wrong_keys_are_told_and_nothing_else_happens(directive: str) -> None:
    for words in WORDS:
        errors = []
        build(f":53 {{\n {directive}{words}\n}}\n", "Corefile", Services(), errors)
        assert any("Corefile:1" in str(error) for error in errors)
