"""Quantities of Kubernetes (`250m`, `128Mi`) become the whole numbers that a container is told."""

import re
from decimal import ROUND_CEILING, Context, Decimal

_LETTERS = "KMGTPE"
_BINARY = {f"{letter}i": Decimal(1024) ** at for at, letter in enumerate(_LETTERS, 1)}
_DECIMAL = {letter: Decimal(1000) ** at for at, letter in enumerate(_LETTERS, 1)}
_SMALL = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(1000)}
_SUFFIXES = {**_BINARY, **_DECIMAL, **_SMALL, "": Decimal(1)}
_SHAPE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,2})|([A-Za-z]{0,2}))")
_LARGEST = Decimal(2**63 - 1)
_EXACT = Context(prec=60)


def amount(text: str) -> Decimal:
    """A quantity as a number; raises ValueError for what is none."""
    found = _SHAPE.fullmatch(text)
    if found is None or (found[3] or "") not in _SUFFIXES:
        raise ValueError(f"{text!r} is no quantity")
    factor = Decimal(10) ** int(found[2]) if found[2] else _SUFFIXES[found[3] or ""]
    return _EXACT.multiply(Decimal(found[1]), factor)


def counted(text: str, divisor: str) -> str:
    """How often the divisor ("" or "0" for 1) goes into a quantity, rounded up."""
    unit = amount(divisor or "1") or Decimal(1)
    times = _EXACT.divide(amount(text), unit).to_integral_value(ROUND_CEILING)
    return str(int(min(times, _LARGEST)))
