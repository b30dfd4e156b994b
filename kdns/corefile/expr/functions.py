"""The functions of the expression language: what each takes and gives, and what it does.

A parameter is a letter: s text, i whole number, n number, a array, m map, x anything. Those
with a predicate for each element (`any`, `map` …) are given what it said of them (`run_loop`).
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

from kdns.corefile.expr.lex import ExprError
from kdns.corefile.expr.values import (
    ANY,
    ARRAY,
    BINARY,
    BOOL,
    FLOAT,
    INT,
    MAP,
    STRING,
    Kind,
    Value,
    add,
    array,
    equal,
    is_number,
    name,
    text,
    wrap,
)

_LETTERS: dict[str, frozenset[str]] = {
    "s": frozenset(("string",)),
    "i": frozenset(("int",)),
    "n": frozenset(("int", "float")),
    "a": frozenset(("array",)),
    "m": frozenset(("map",)),
    "v": frozenset(("int", "float", "string")),
    "z": frozenset(("array", "int", "float")),
    "l": frozenset(("array", "map", "string")),
    "g": frozenset(("array", "map")),
}
_SPELT = {
    "s": "a text", "i": "a whole number", "n": "a number", "a": "an array", "m": "a map",
    "v": "a text or number", "z": "numbers or arrays of them", "l": "a text, array or map",
    "g": "an array or map",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its parameters (those behind `?` may be left out, `+` repeats the last)."""

    takes: str
    gives: Kind
    run: Callable[..., Value]
    keeps_item: bool = False
    """The array it gives has elements of the kind of its first argument's."""

    def fits(self, at: int, kind: str) -> bool:
        """Whether an argument may be of a kind."""
        letter = self._letter(at)
        return letter == "x" or kind in _LETTERS[letter]

    def wanted(self, at: int) -> str:
        """What an argument has to be, in words."""
        return _SPELT.get(self._letter(at), "a value")

    def _letter(self, at: int) -> str:
        letters = self.takes.replace("?", "").rstrip("+")
        return letters[min(at, len(letters) - 1)]

    def counts(self, count: int) -> bool:
        """Whether it takes so many arguments."""
        least = len(self.takes.partition("?")[0].rstrip("+"))
        return least <= count and (
            self.takes.endswith("+") or count <= len(self.takes.replace("?", ""))
        )

    def check(self, args: Sequence[Value]) -> None:
        """Raises ExprError for arguments whose kind was not known before."""
        for at, value in enumerate(args):
            if not self.fits(at, name(value)):
                raise ExprError(f"expected {self.wanted(at)}, found {name(value)}")


def _int(value: Value) -> int:
    if type(value) is str:
        digits = value[1:] if value[:1] in {"+", "-"} else value
        if not digits.isascii() or not digits.isdigit() or len(digits) > 19:
            raise ExprError(f"invalid operation: int({value})")
        value = int(value)
        if value != wrap(value):
            raise ExprError(f"invalid operation: int({value})")
        return int(value)
    if type(value) is float and not math.isfinite(value):
        return -(2**63)
    return wrap(int(value))


def _float(value: Value) -> float:
    try:
        return float(value)
    except ValueError:
        raise ExprError(f"invalid operation: float({value})") from None


def _split(value: str, mark: str, count: int = -1) -> list[Value]:
    if count == 0:
        return []
    if mark:
        return list(value.split(mark, count - 1 if count > 0 else -1))
    if 0 < count < len(value):
        return [*value[: count - 1], value[count - 1 :]]
    return list(value)


def _split_after(value: str, mark: str, count: int = -1) -> list[Value]:
    parts = _split(value, mark, count)
    return [part + mark for part in parts[:-1]] + parts[-1:]


def _replace(value: str, old: str, new: str, count: int = -1) -> str:
    return value.replace(old, new, count)


def _repeat(value: str, count: int) -> str:
    if count < 0:
        raise ExprError(f"invalid argument for repeat (expected positive integer, got {count})")
    return value * count


def _join(values: list[Value], mark: str = "") -> str:
    if not all(type(value) is str for value in values):
        raise ExprError("join: an element is no text")
    return mark.join(values)


def _numbers(values: Sequence[Value]) -> list[Value]:
    flat: list[Value] = []
    for value in values:
        flat += _numbers(value) if type(value) is list else [value]
    if not all(map(is_number, flat)):
        raise ExprError("an element is no number")
    return flat


def _extreme(pick: Callable[..., Value]) -> Callable[..., Value]:
    return lambda *values: pick(_numbers(values), default=None)


def _mean(*values: Value) -> float:
    numbers = _numbers(values)
    return sum(numbers) / len(numbers) if numbers else 0.0


def _median(*values: Value) -> float:
    numbers = sorted(_numbers(values))
    middle = len(numbers) // 2
    if not numbers:
        return 0.0
    return float(numbers[middle] if len(numbers) % 2 else sum(numbers[middle - 1 : middle + 1]) / 2)


def _round(value: Value) -> float:
    return math.copysign(math.floor(abs(value) + 0.5), value)


def _flatten(values: list[Value]) -> list[Value]:
    out: list[Value] = []
    for value in values:
        out += _flatten(value) if type(value) is list else [value]
    return out


def _uniq(values: list[Value]) -> list[Value]:
    out: list[Value] = []
    for value in values:
        if not any(equal(value, one) for one in out):
            out.append(value)
    return out


def _concat(*values: list[Value]) -> list[Value]:
    return [one for value in values for one in value]


def sort(values: list[Value], order: str = "asc") -> list[Value]:
    """The values in order; raises ExprError for such as have none."""
    return [value for value, _ in sort_by([(value, value) for value in values], order)]


def sort_by(rows: list[tuple[Value, Value]], order: Value) -> list[tuple[Value, Value]]:
    """Rows in the order of their second values."""
    if order not in {"asc", "desc"}:
        raise ExprError(f"invalid order {text(order)}, expected asc or desc")
    less = BINARY["<"]

    def compare(one: tuple[Value, Value], other: tuple[Value, Value]) -> int:
        return int(less(other[1], one[1])) - int(less(one[1], other[1]))

    return sorted(rows, key=cmp_to_key(compare), reverse=order == "desc")


def _take(values: list[Value], count: int) -> list[Value]:
    if count < 0:
        raise ExprError("take: a negative number of elements")
    return values[:count]


def _get(value: Value, key: Value) -> Value:
    if type(value) is dict:
        return value.get(key) if type(key) in {str, int, float, bool} else None
    is_there = type(key) is int and -len(value) <= key < len(value)
    return value[key] if is_there else None


def _from_pairs(pairs: list[Value]) -> dict[Value, Value]:
    out: dict[Value, Value] = {}
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) in {list, dict}:
            raise ExprError("fromPairs: an element is no pair")
        out[pair[0]] = pair[1]
    return out


def _from_json(value: str) -> Value:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ExprError("fromJSON: this is no JSON") from None


def _to_json(value: Value) -> str:
    try:
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise ExprError("toJSON: a value has no form in JSON") from None


def _from_base64(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        raise ExprError("fromBase64: this is no base64") from None


def _shift(run: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def shift(value: int, count: int) -> int:
        if count < 0:
            raise ExprError(f"invalid operation: negative shift count {count}")
        return wrap(run(value, min(count, 64)))

    return shift


def _sized(value: Value) -> int:
    return len(value)


FUNCTIONS: dict[str, Function] = {
    "len": Function("l", INT, _sized),
    "lower": Function("s", STRING, str.lower),
    "upper": Function("s", STRING, str.upper),
    "trim": Function("s?s", STRING, lambda value, chars=" \t\n\r\v\f": value.strip(chars)),
    "trimPrefix": Function("s?s", STRING, lambda value, part=" ": value.removeprefix(part)),
    "trimSuffix": Function("s?s", STRING, lambda value, part=" ": value.removesuffix(part)),
    "split": Function("ss?i", array(STRING), _split),
    "splitAfter": Function("ss?i", array(STRING), _split_after),
    "replace": Function("sss?i", STRING, _replace),
    "repeat": Function("si", STRING, _repeat),
    "indexOf": Function("ss", INT, str.find),
    "lastIndexOf": Function("ss", INT, str.rfind),
    "hasPrefix": Function("ss", BOOL, str.startswith),
    "hasSuffix": Function("ss", BOOL, str.endswith),
    "join": Function("a?s", STRING, _join),
    "int": Function("v", INT, _int),
    "float": Function("v", FLOAT, _float),
    "string": Function("x", STRING, text),
    "abs": Function("n", ANY, lambda value: wrap(abs(value)) if type(value) is int else abs(value)),
    "ceil": Function("n", FLOAT, lambda value: float(math.ceil(value))),
    "floor": Function("n", FLOAT, lambda value: float(math.floor(value))),
    "round": Function("n", FLOAT, _round),
    "min": Function("z+", ANY, _extreme(min)),
    "max": Function("z+", ANY, _extreme(max)),
    "mean": Function("z+", FLOAT, _mean),
    "median": Function("z+", FLOAT, _median),
    "first": Function("a", ANY, lambda values: values[0] if values else None),
    "last": Function("a", ANY, lambda values: values[-1] if values else None),
    "take": Function("ai", ARRAY, _take, keeps_item=True),
    "reverse": Function("a", ARRAY, lambda values: values[::-1]),
    "uniq": Function("a", ARRAY, _uniq),
    "concat": Function("a+", ARRAY, _concat),
    "flatten": Function("a", ARRAY, _flatten),
    "sort": Function("a?s", ARRAY, sort),
    "keys": Function("m", ARRAY, list),
    "values": Function("m", ARRAY, lambda value: list(value.values())),
    "toPairs": Function("m", ARRAY, lambda value: [list(pair) for pair in value.items()]),
    "fromPairs": Function("a", MAP, _from_pairs),
    "get": Function("gx", ANY, _get),
    "toJSON": Function("x", STRING, _to_json),
    "fromJSON": Function("s", ANY, _from_json),
    "toBase64": Function("s", STRING, lambda value: base64.b64encode(value.encode()).decode()),
    "fromBase64": Function("s", STRING, _from_base64),
    "bitand": Function("ii", INT, lambda a, b: a & b),
    "bitor": Function("ii", INT, lambda a, b: a | b),
    "bitxor": Function("ii", INT, lambda a, b: a ^ b),
    "bitnand": Function("ii", INT, lambda a, b: a & ~b),
    "bitnot": Function("i", INT, lambda a: ~a),
    "bitshl": Function("ii", INT, _shift(lambda a, b: a << b)),
    "bitshr": Function("ii", INT, _shift(lambda a, b: a >> b)),
    "bitushr": Function("ii", INT, _shift(lambda a, b: (a % 2**64) >> b)),
}
"""By name."""

ABSENT = frozenset(("now", "date", "duration", "timezone"))
"""Functions of time, which an answer that is remembered cannot depend on."""

LOOP_GIVES: dict[str, Kind] = {
    **dict.fromkeys(("all", "any", "none", "one"), BOOL),
    "count": INT, "map": ARRAY, "filter": ARRAY, "sortBy": ARRAY, "groupBy": MAP,
}  # fmt: skip
"""What functions with a predicate give, where that is known whatever they are given."""


STOPS = {"any": True, "all": False, "none": True, "find": True, "findIndex": True}
"""What the predicate has to say of an element so that the others are not looked at."""


def run_loop(which: str, rows: list[tuple[Value, Value]]) -> Value:
    """What such a function gives for elements and what its predicate said of each."""
    if which == "map":
        return [said for _, said in rows]
    if which == "sum":
        total: Value = 0
        for _, said in rows:
            total = said if total == 0 and is_number(said) else add(total, said)
        return total
    if which == "groupBy":
        groups: dict[Value, list[Value]] = {}
        for value, said in rows:
            if type(said) in {list, dict}:
                raise ExprError("groupBy: an array or map is no key")
            groups.setdefault(said, []).append(value)
        return groups
    if not all(type(said) is bool for _, said in rows):
        raise ExprError(f"{which}: the predicate is neither true nor false")
    found = [(at, value) for at, (value, said) in enumerate(rows) if said]
    results: dict[str, Callable[[], Value]] = {
        "all": lambda: len(found) == len(rows),
        "any": lambda: bool(found),
        "none": lambda: not found,
        "one": lambda: len(found) == 1,
        "count": lambda: len(found),
        "filter": lambda: [value for _, value in found],
        "find": lambda: found[0][1] if found else None,
        "findLast": lambda: found[-1][1] if found else None,
        "findIndex": lambda: found[0][0] if found else None,
        "findLastIndex": lambda: found[-1][0] if found else None,
    }
    return results[which]()
