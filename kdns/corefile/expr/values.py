"""What operators of the expression language do with values, and the kinds these are of.

Values are those of Go: whole numbers of 64 bits that wrap, floats, text, booleans, nil (None),
arrays (list) and maps (dict). Whatever cannot be done raises ExprError.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kdns.corefile.expr.lex import ExprError
from kdns.corefile.go.functions import format_value

Value = Any  # Any: an expression's values are of every type named above


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a value when the Corefile is read; `item` is an array's elements' kind."""

    name: str
    item: "Kind | None" = None

    def __str__(self) -> str:
        return f"array of {self.item}" if self.item not in {None, ANY} else self.name


ANY, NIL, BOOL = Kind("any"), Kind("nil"), Kind("bool")
INT, FLOAT, STRING = Kind("int"), Kind("float"), Kind("string")
MAP, FUNCTION = Kind("map"), Kind("function")
ARRAY = Kind("array", ANY)
NUMBERS = frozenset((INT, FLOAT))

_NAMES = {
    bool: "bool", int: "int", float: "float", str: "string", list: "array", dict: "map",
    type(None): "nil",
}  # fmt: skip


def array(item: Kind) -> Kind:
    """The kind of arrays of such elements."""
    return Kind("array", item)


def same(first: Kind, second: Kind) -> Kind:
    """What a value is of which one of two kinds is known."""
    return first if first == second else ANY


def name(value: Value) -> str:
    """The kind of a value, in a word."""
    return _NAMES.get(type(value), "function")


def text(value: Value) -> str:
    """A value as Go prints it."""
    return "<nil>" if value is None else format_value(value)


def wrap(value: int) -> int:
    """A whole number as it fits 64 bits."""
    return (value + 2**63) % 2**64 - 2**63


def is_number(value: Value) -> bool:
    """True for whole numbers and floats."""
    return type(value) is int or type(value) is float


def equal(first: Value, second: Value) -> bool:
    """Whether two values are equal; those of different kinds never are."""
    if type(first) is list and type(second) is list:
        return len(first) == len(second) and all(map(equal, first, second))
    if type(first) is dict and type(second) is dict:
        return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)
    if type(first) is type(second) or (is_number(first) and is_number(second)):
        return bool(first == second)
    return False


def _wrong(operator: str, first: Value, second: Value) -> ExprError:
    return ExprError(f"invalid operation: {name(first)} {operator} {name(second)}")


def _compared(operator: str, test: Callable[[Value, Value], bool]) -> Callable[..., bool]:
    def compare(first: Value, second: Value) -> bool:
        if (is_number(first) and is_number(second)) or type(first) is type(second) is str:
            return test(first, second)
        raise _wrong(operator, first, second)

    return compare


def add(first: Value, second: Value) -> Value:
    """Sum of numbers, or two texts joined."""
    if type(first) is type(second) is str:
        return first + second
    if not is_number(first) or not is_number(second):
        raise _wrong("+", first, second)
    return _whole(first + second)


def _whole(value: Value) -> Value:
    return wrap(value) if type(value) is int else value


def _reckoned(operator: str, run: Callable[[Value, Value], Value]) -> Callable[..., Value]:
    def reckon(first: Value, second: Value) -> Value:
        if not is_number(first) or not is_number(second):
            raise _wrong(operator, first, second)
        return _whole(run(first, second))

    return reckon


def _divided(first: Value, second: Value) -> float:
    if second:
        return float(first) / float(second)
    return math.copysign(math.inf, first) if first else math.nan


def modulo(first: Value, second: Value) -> int:
    """The rest of a division, with the sign of what is divided."""
    if type(first) is not int or type(second) is not int:
        raise _wrong("%", first, second)
    if not second:
        raise ExprError("integer divide by zero")
    return wrap(int(math.copysign(1, first)) * (abs(first) % abs(second)))


def _power(first: Value, second: Value) -> float:
    try:
        return math.pow(first, second)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if not first else math.nan


def _of_texts(operator: str, test: Callable[[str, str], bool]) -> Callable[..., bool]:
    def run(first: Value, second: Value) -> bool:
        if type(first) is not str or type(second) is not str:
            raise _wrong(operator, first, second)
        return test(first, second)

    return run


def is_in(value: Value, where: Value) -> bool:
    """Whether an array has such an element, or a map such a key."""
    if type(where) is list:
        return any(equal(value, one) for one in where)
    if type(where) is dict:
        return type(value) in {str, int, float, bool} and value in where
    if where is None:
        return False
    raise _wrong("in", value, where)


BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "==": equal,
    "!=": lambda first, second: not equal(first, second),
    "<": _compared("<", lambda a, b: a < b),
    ">": _compared(">", lambda a, b: a > b),
    "<=": _compared("<=", lambda a, b: a <= b),
    ">=": _compared(">=", lambda a, b: a >= b),
    "+": add,
    "-": _reckoned("-", lambda a, b: a - b),
    "*": _reckoned("*", lambda a, b: a * b),
    "/": _reckoned("/", _divided),
    "%": modulo,
    "**": _reckoned("**", _power),
    "^": _reckoned("^", _power),
    "in": is_in,
    "contains": _of_texts("contains", lambda a, b: b in a),
    "startsWith": _of_texts("startsWith", str.startswith),
    "endsWith": _of_texts("endsWith", str.endswith),
}
"""By operator. `matches` and `..` need more than their operands."""


def index(value: Value, key: Value) -> Value:
    """An element of an array, from its end if negative; what a map has there, else nil."""
    if type(value) is dict:
        return value.get(key) if type(key) in {str, int, float, bool} else None
    if type(value) is not list:
        raise ExprError(f"cannot fetch {text(key)} from {name(value)}")
    if type(key) is not int:
        raise ExprError(f"cannot fetch {text(key)} from an array")
    if not -len(value) <= key < len(value):
        raise ExprError(f"index out of range: {key} (array length is {len(value)})")
    return value[key]


def slice_(value: Value, low: Value, high: Value) -> Value:
    """A part of a text or an array; bounds below zero count from the end."""
    if type(value) not in {str, list}:
        raise ExprError(f"cannot slice {name(value)}")
    size = len(value)
    bounds = []
    for bound, default in ((low, 0), (high, size)):
        if bound is not None and type(bound) is not int:
            raise ExprError(f"cannot slice with {name(bound)}")
        at = default if bound is None else bound + size if bound < 0 else bound
        bounds.append(min(max(at, 0), size))
    return value[bounds[0] : max(bounds)] if bounds[0] <= bounds[1] else value[:0]
