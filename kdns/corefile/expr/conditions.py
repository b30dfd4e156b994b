"""The lines `var NAME EXPR` and `expr EXPR` of a `template` become Conditions.

They are evaluated in their order for each query: a variable is known to the lines behind it, and an
`expr` that is false ends it. What they read of the query, they say (see `asked`).
"""

import re
from functools import partial

from kdns.corefile.expr import asked
from kdns.corefile.expr.asked import Asked, Classes, Functions
from kdns.corefile.expr.expressions import (
    ANY,
    STRING,
    ExprError,
    Expression,
    Signature,
    Value,
    parse,
)
from kdns.corefile.expr.functions import ABSENT, FUNCTIONS
from kdns.corefile.expr.parse import LOOPS, RESERVED
from kdns.corefile.options import Line
from kdns.corefile.patterns import Match

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Conditions:
    """Variables and expressions of one template."""

    def __init__(self, *, is_wild: bool) -> None:
        self._is_wild = is_wild
        self._classes = Classes()
        self._environment = {**asked.ENVIRONMENT, "group": Signature((ANY,), STRING)}
        self._rows: list[tuple[str, Expression]] = []
        """The name of a variable, or nothing for an `expr`."""

    def add(self, line: Line) -> None:
        """Reads a line; raises ConfigError."""
        name = ""
        words = list(line.values)
        if line.name == "var":
            name = words.pop(0)
            self._check_name(line, name)
        text, parts = " ".join(words), self._classes.parts
        try:
            found = parse(text, self._environment, apart=asked.APART, parts=parts)
        except ExprError as error:
            hint = asked.QUOTES if "unknown name" in str(error) else ""
            raise line.fail(f"template: {line.name}: {error}", hint) from error
        self._rows.append((name, found))
        if name:
            self._environment[name] = Signature((), found.kind, is_value=True)

    def _check_name(self, line: Line, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise line.fail(f"template: {name!r} cannot be the name of a variable")
        taken = (self._environment, FUNCTIONS, LOOPS, RESERVED, ABSENT)
        if any(name in names for names in taken):
            raise line.fail(f"template: var: the name {name} is taken")

    def evaluate(self, query: Asked, match: Match) -> dict[str, Value] | None:
        """The variables, or None if an expression is false; raises ExprError."""
        found: dict[str, Value] = {}
        if not self._rows:
            return found
        functions = Functions(query, self._classes, is_wild=self._is_wild)
        more = functions.more
        more["group"] = partial(_group, match)
        for name, expression in self._rows:
            value = expression.evaluate(functions)
            if name:
                found[name] = value
                more[name] = partial(found.get, name)
            elif value is False:
                return None
            elif value is not True:
                raise ExprError(f"`expr {expression.text}` is neither true nor false")
        return found


def _group(match: Match, key: Value) -> str:
    """What a group of the regular expression matched, by number or name; else nothing."""
    if type(key) is str and key.isascii() and key.isdigit() and len(key) < 6:
        key = int(key)
    try:
        return match[key] or "" if type(key) in {str, int} and key != -1 else ""
    except (IndexError, KeyError):
        return ""
