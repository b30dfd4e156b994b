"""The built-in functions of Go templates, and how Go prints values.

Values are str, int, float, bool, None, list, dict (a map) and objects that bring their own text.
Whatever cannot be done raises TemplateError, whose text says which function and why.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from html import escape
from math import isfinite
from typing import Any
from urllib.parse import quote_plus

Value = Any  # Any: a template's values are of every type named above

NO_VALUE = "<no value>"
_WIDEST = 1024
"""Most characters a width or precision may ask for; a reply holds no more."""
_VERB = re.compile(r"%([-+# 0]*)([0-9]*)(?:\.([0-9]*))?(.)?", re.DOTALL)


class TemplateError(ValueError):
    """A template that cannot be parsed, or a value it cannot work with."""


def format_value(value: Value) -> str:
    """A value as Go's `%v` prints it."""
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _shortest(value)
    if isinstance(value, list):
        return "[" + " ".join(map(_inner, value)) + "]"
    if isinstance(value, dict):
        rows = (f"{_inner(key)}:{_inner(value[key])}" for key in sorted(value, key=str))
        return "map[" + " ".join(rows) + "]"
    return str(value)


def _inner(value: Value) -> str:
    return "<nil>" if value is None else format_value(value)


def _shortest(value: float) -> str:
    """The fewest digits that stand for a number, with an exponent below 1e-4 and from 1e6 on."""
    if not isfinite(value):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    power = len(digits) + exponent - 1
    if value and not -4 <= power < 6:
        mantissa = str(digits[0]) + ("." + "".join(map(str, digits[1:])) if digits[1:] else "")
        return f"{'-' * sign}{mantissa}e{power:+03d}"
    return format(Decimal(repr(value)).normalize(), "f")


def is_true(value: Value) -> bool:
    """Go: the empty value of each type is false."""
    return bool(value)


def _type_name(value: Value) -> str:
    kinds: dict[type, str] = {
        str: "string", bool: "bool", int: "int", float: "float64", list: "[]string",
        dict: "map[string]string", type(None): "<nil>",
    }  # fmt: skip
    return kinds.get(type(value), type(value).__name__)


def printf(form: Value, *args: Value) -> str:
    """Go's fmt.Sprintf for the verbs of strings, numbers and booleans."""
    if not isinstance(form, str):
        raise TemplateError("printf: the format is no string")
    left = list(args)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if int(width or 0) > _WIDEST or int(precision or 0) > _WIDEST:
            raise TemplateError(f"printf: {match[0]} asks for more than {_WIDEST} characters")
        if not left:
            return f"%!{verb}(MISSING)"
        text = _verb(verb, flags, None if precision is None else int(precision or 0), left.pop(0))
        return _pad(text, flags, int(width or 0))

    out = _VERB.sub(one, form)
    if left:
        rest = ", ".join(f"{_type_name(value)}={format_value(value)}" for value in left)
        out += f"%!(EXTRA {rest})"
    return out


def _pad(text: str, flags: str, width: int) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags:
        sign = text[:1] if text[:1] in {"-", "+"} else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _verb(verb: str, flags: str, precision: int | None, value: Value) -> str:
    if verb == "v":
        return "<nil>" if value is None else format_value(value)
    if verb == "t" and isinstance(value, bool):
        return format_value(value)
    if isinstance(value, str) and verb in "sqxX":
        return _string_verb(verb, flags, precision, value)
    if isinstance(value, int) and not isinstance(value, bool) and verb in "dxXobcqU":
        return _integer_verb(verb, flags, value)
    if isinstance(value, float) and verb in "efgEGF":
        text = format(
            value, f".{6 if precision is None and verb != 'g' else precision or 17}{verb}"
        )
        return _shortest(value) if verb in "gG" and precision is None else text
    if verb == "s" and not isinstance(value, int | float | None):
        return format_value(value)
    return f"%!{verb}({_type_name(value)}={format_value(value)})"


def _string_verb(verb: str, flags: str, precision: int | None, value: str) -> str:
    if precision is not None:
        value = value[:precision]
    if verb == "s":
        return value
    if verb == "q":
        return go_quote(value)
    raw = value.encode("utf-8", "surrogateescape").hex(*(" " if " " in flags else ""))
    return raw.upper() if verb == "X" else raw


def _integer_verb(verb: str, flags: str, value: int) -> str:
    if verb in "cqU":
        if not 0 <= value < 0x110000:
            raise TemplateError(f"printf: {value} is no character")
        forms = {"c": chr(value), "q": "'" + chr(value) + "'", "U": f"U+{value:04X}"}
        return forms[verb]
    text = format(value, ("#" if "#" in flags else "") + verb)
    return "+" + text if "+" in flags and value >= 0 else text


def go_quote(value: str) -> str:
    """A string in double quotes, escaped as in Go source."""
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    return (
        '"' + "".join(named.get(c) or (c if c.isprintable() else f"\\x{ord(c):02x}") for c in value)
    ) + '"'


def print_(*args: Value) -> str:
    """Go's fmt.Sprint: a space between operands when neither is a string."""
    out = ""
    for at, value in enumerate(args):
        if at and not isinstance(value, str) and not isinstance(args[at - 1], str):
            out += " "
        out += "<nil>" if value is None else format_value(value)
    return out


def println(*args: Value) -> str:
    """Go's fmt.Sprintln."""
    return " ".join(map(format_value, args)) + "\n"


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind.__name__
    return "nil" if value is None else "other"


def equal(first: Value, *others: Value) -> bool:
    """True when the first equals any of the others."""
    if not others:
        raise TemplateError("eq: missing argument for comparison")
    for other in others:
        kinds = {_kind(first), _kind(other)}
        if "other" in kinds:
            raise TemplateError("eq: non-comparable types")
        if len(kinds) > 1 and "nil" not in kinds:
            raise TemplateError("eq: incompatible types for comparison")
    return first in others


def _ordered(name: str, test: Callable[[Value, Value], bool]) -> Callable[..., bool]:
    def compare(first: Value, second: Value) -> bool:
        if _kind(first) != _kind(second) or _kind(first) in {"bool", "nil", "other"}:
            raise TemplateError(f"{name}: incompatible types for comparison")
        return test(first, second)

    return compare


def length(value: Value) -> int:
    """Octets of a string, elements of a list or map."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, list | dict):
        return len(value)
    raise TemplateError(f"len of {_type_name(value)}")


def index(value: Value, *keys: Value) -> Value:
    """Element by element: of a list by number, of a map by name (missing ones are empty)."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        elif not isinstance(value, list | str) or not isinstance(key, int):
            raise TemplateError(f"cannot index {_type_name(value)} with {_type_name(key)}")
        elif not 0 <= key < len(value):
            raise TemplateError(f"index out of range: {key}")
        else:
            value = value[key] if isinstance(value, list) else value.encode()[key]
    return value


def slice_(value: Value, *bounds: Value) -> Value:
    """A part of a string or list."""
    if not isinstance(value, str | list) or not all(isinstance(one, int) for one in bounds):
        raise TemplateError(f"cannot slice {_type_name(value)}")
    if len(bounds) > 2:
        raise TemplateError("slice: too many bounds")
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= low <= high <= len(value):
        raise TemplateError(f"slice: index out of range: {low}:{high}")
    return value[low:high]


def parse_int(text: Value, base: Value, bits: Value) -> int:
    """CoreDNS's parseInt: an unsigned number in some base that fits some bits."""
    if not isinstance(text, str) or not isinstance(base, int) or not isinstance(bits, int):
        raise TemplateError("parseInt: expected a string, a base and a number of bits")
    digits = text
    if not text or not text.isascii() or not text.isalnum() or not (base == 0 or 2 <= base <= 36):
        raise TemplateError(f"parseInt: parsing {go_quote(digits)}: invalid syntax")
    try:
        value = int(digits[:1024], base)
    except ValueError:
        raise TemplateError(f"parseInt: parsing {go_quote(digits)}: invalid syntax") from None
    if not 0 <= bits <= 64 or value >= 2 ** (bits or 64):
        raise TemplateError(f"parseInt: parsing {go_quote(digits)}: value out of range")
    return value


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "eq": equal,
    "ge": _ordered("ge", lambda a, b: a >= b),
    "gt": _ordered("gt", lambda a, b: a > b),
    "html": lambda *args: (
        escape(print_(*args)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    ),
    "index": index,
    "le": _ordered("le", lambda a, b: a <= b),
    "len": length,
    "lt": _ordered("lt", lambda a, b: a < b),
    "ne": lambda first, second: not equal(first, second),
    "not": lambda value: not is_true(value),
    "parseInt": parse_int,
    "print": print_,
    "printf": printf,
    "println": println,
    "slice": slice_,
    "urlquery": lambda *args: quote_plus(print_(*args)),
}
"""By name. `and` and `or` are not here: they look at no more arguments than they need."""
