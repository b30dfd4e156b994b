"""Expressions of `view` and `template` (the language of expr-lang): text becomes an Expression.

An Expression is a tree of closures: evaluating parses nothing, has no `eval`, and ends after a
bounded number of steps. Parts that are true or false and read only what `apart` names are kept
apart: an asker's class is what they are for his address, so that whoever evaluates asks once.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kdns.corefile.expr import check as exprcheck
from kdns.corefile.expr import parse as exprparse
from kdns.corefile.expr.check import Environment, Signature
from kdns.corefile.expr.functions import STOPS, Function, run_loop, sort_by
from kdns.corefile.expr.lex import ExprError
from kdns.corefile.expr.parse import Node
from kdns.corefile.expr.values import (
    ANY,
    BINARY,
    BOOL,
    INT,
    STRING,
    Kind,
    Value,
    index,
    is_number,
    name,
    slice_,
    wrap,
)
from kdns.corefile.patterns import compile_go

__all__ = ["ANY", "BOOL", "INT", "STRING", "Environment", "ExprError", "Expression", "Kind",
           "Signature", "Value", "parse"]  # fmt: skip

_STEPS = 10_000
"""Elements looked at and characters made by one evaluation; CoreDNS allows a million."""

Ask = Mapping[str, Callable[..., Value]]
"""The functions of the environment, for one evaluation."""

PART: Final = "part of the class"
"""Under this name `Ask` has the function that gives a part kept apart, by its number."""


class Frame:
    """One evaluation."""

    __slots__ = ("acc", "ask", "at", "item", "left", "variables")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.left = _STEPS
        self.item: Value = None
        self.at = 0
        self.acc: Value = None
        self.variables: dict[str, Value] = {}

    def spend(self, steps: int) -> None:
        """Raises ExprError when the evaluation has taken too many steps."""
        self.left -= steps
        if self.left < 0:
            raise ExprError(f"it takes more than {_STEPS} steps")


Eval = Callable[[Frame], Value]


class Expression:
    """A checked expression."""

    def __init__(self, text: str, kind: Kind, run: Eval, reads: frozenset[str]) -> None:
        self.text = text
        self.kind = kind
        self.reads = reads
        """What it may ask the environment; parts kept apart count as PART."""
        self._run = run

    def evaluate(self, ask: Ask) -> Value:
        """Its value; raises ExprError."""
        return self._run(Frame(ask))


def parse(
    text: str,
    environment: Environment,
    *,
    apart: frozenset[str] = frozenset(),
    parts: list[Expression] | None = None,
) -> Expression:
    """Parses and checks an expression; raises ExprError with what is wrong and where.

    With `apart`, the parts that read nothing but those functions are appended to `parts`.
    """
    tree = exprparse.parse(text)
    exprcheck.check(tree, text, environment)
    builder = _Builder(apart, parts)
    return Expression(text, tree.kind, builder.build(tree), frozenset(builder.reads))


class _Builder:
    def __init__(self, apart: frozenset[str], parts: list[Expression] | None) -> None:
        self.apart = apart
        self.parts = parts
        self.reads: set[str] = set()

    def build(self, node: Node) -> Eval:
        is_apart = node.kind == BOOL and node.reads and node.reads <= self.apart
        if self.parts is not None and is_apart:
            number = len(self.parts)
            run = _Builder(frozenset(), None).build(node)
            self.parts.append(Expression("", BOOL, run, node.reads))
            self.reads.add(PART)
            return lambda frame: frame.ask[PART](number)
        method: Callable[[Node], Eval] = getattr(self, "_" + node.op)
        return method(node)

    def _all(self, node: Node) -> list[Eval]:
        return [self.build(part) for part in node.args]

    def _const(self, node: Node) -> Eval:
        value = node.value
        return lambda _: value

    def _function(self, _node: Node) -> Eval:
        return lambda _: _call_it

    def _name(self, node: Node) -> Eval:
        name_ = node.value
        self.reads.add(name_)
        return lambda frame: frame.ask[name_]()

    def _variable(self, node: Node) -> Eval:
        mark = node.data
        return lambda frame: frame.variables[mark]

    def _element(self, node: Node) -> Eval:
        if node.value == "index":
            return lambda frame: frame.at
        return (lambda frame: frame.acc) if node.value == "acc" else (lambda frame: frame.item)

    def _array(self, node: Node) -> Eval:
        rows = self._all(node)
        return lambda frame: [row(frame) for row in rows]

    def _map(self, node: Node) -> Eval:
        parts = self._all(node)
        pairs = list(zip(parts[::2], parts[1::2], strict=True))

        def run(frame: Frame) -> Value:
            out = {}
            for key, value in pairs:
                found = key(frame)
                if type(found) is not str:
                    raise ExprError(f"a map has texts for keys, not {name(found)}")
                out[found] = value(frame)
            return out

        return run

    def _then(self, node: Node) -> Eval:
        first, second = self._all(node)
        return lambda frame: (first(frame), second(frame))[1]

    def _let(self, node: Node) -> Eval:
        value, body = self._all(node)
        mark = node.data

        def run(frame: Frame) -> Value:
            frame.variables[mark] = value(frame)
            return body(frame)

        return run

    def _unary(self, node: Node) -> Eval:
        (value,) = self._all(node)
        if node.value == "not":
            return lambda frame: not _true(value(frame))

        sign = -1 if node.value == "-" else 1

        def run(frame: Frame) -> Value:
            found = value(frame)
            if not is_number(found):
                raise ExprError(f"invalid operation: {node.value} {name(found)}")
            return wrap(sign * found) if type(found) is int else sign * found

        return run

    def _logic(self, node: Node) -> Eval:
        parts = self._all(node)
        if node.value == "and":
            return lambda frame: all(_true(part(frame)) for part in parts)
        return lambda frame: any(_true(part(frame)) for part in parts)

    def _coalesce(self, node: Node) -> Eval:
        first, second = self._all(node)

        def run(frame: Frame) -> Value:
            found = first(frame)
            return second(frame) if found is None else found

        return run

    def _cond(self, node: Node) -> Eval:
        test, then, other = self._all(node)
        return lambda frame: then(frame) if _true(test(frame)) else other(frame)

    def _binary(self, node: Node) -> Eval:
        first, second = self._all(node)
        operator = node.value
        if operator == "..":
            return _range(first, second)
        if operator == "matches":
            return _matching(first, second, node.data)
        run = BINARY[operator]
        if operator in {"+", "in"}:
            return _metered(run, first, second)
        return lambda frame: run(first(frame), second(frame))

    def _member(self, node: Node) -> Eval:
        value, key = self._all(node)
        is_optional = node.value

        def run(frame: Frame) -> Value:
            found = value(frame)
            if found is None and is_optional:
                return None
            return index(found, key(frame))

        return run

    _index = _member

    def _slice(self, node: Node) -> Eval:
        value, low, high = self._all(node)
        return lambda frame: slice_(value(frame), low(frame), high(frame))

    def _call(self, node: Node) -> Eval:
        args = self._all(node)
        if isinstance(node.data, Signature):
            return self._own(node.value, node.data, args)
        function: Function = node.data
        is_checked = any(part.kind == ANY for part in node.args)
        run = function.run
        grows = node.value == "repeat"

        def call(frame: Frame) -> Value:
            values = [arg(frame) for arg in args]
            if is_checked:
                function.check(values)
            frame.spend(1 + sum(_size(value) for value in values))
            if grows:
                frame.spend(len(values[0]) * max(values[1], 0))
            found = run(*values)
            frame.spend(_size(found))
            return found

        return call

    def _own(self, name_: str, signature: Signature, args: list[Eval]) -> Eval:
        self.reads.add(name_)
        if not args:
            return lambda frame: frame.ask[name_]()
        is_text = [kind == STRING for kind in signature.takes]

        def call(frame: Frame) -> Value:
            values = [arg(frame) for arg in args]
            for value, text in zip(values, is_text, strict=True):
                if text and type(value) is not str:
                    raise ExprError(f"{name_} needs a text, found {name(value)}")
            return frame.ask[name_](*values)

        return call

    def _loop(self, node: Node) -> Eval:
        rows, *others = self._all(node)
        predicate = others[0] if others else _Builder._element(self, Node("element", [], "", 0))
        if node.value == "reduce":
            return _reduced(rows, predicate, others[1] if len(others) > 1 else None)
        which, stop = node.value, STOPS.get(node.value)

        def run(frame: Frame) -> Value:
            order = others[1](frame) if len(others) > 1 else "asc"
            found = []
            outer = frame.item, frame.at
            for at, value in enumerate(_rows(which, rows(frame))):
                frame.spend(1)
                frame.item, frame.at = value, at
                said = predicate(frame)
                found.append((value, said))
                if said is stop:
                    break
            frame.item, frame.at = outer
            if which == "sortBy":
                return [value for value, _ in sort_by(found, order)]
            return run_loop(which, found)

        return run


_call_it = object()
"""What the name of a function is without parentheses: equal to nothing."""


def _true(value: Value) -> bool:
    if value is True or value is False:
        return bool(value)
    raise ExprError(f"expected true or false, found {name(value)}")


def _rows(which: str, value: Value) -> list[Value]:
    if type(value) is not list:
        raise ExprError(f"{which} needs an array, found {name(value)}")
    return value


def _size(value: Value) -> int:
    """How much of the budget a value costs: what is long is looked at as a whole."""
    if type(value) is str:
        return len(value) >> 5
    return len(value) if type(value) in {list, dict} else 0


def _metered(run: Callable[[Value, Value], Value], first: Eval, second: Eval) -> Eval:
    """An operator whose cost grows with its operands."""

    def metered(frame: Frame) -> Value:
        one, other = first(frame), second(frame)
        frame.spend(_size(one) + _size(other))
        return run(one, other)

    return metered


def _range(first: Eval, second: Eval) -> Eval:
    def run(frame: Frame) -> Value:
        low, high = first(frame), second(frame)
        if type(low) is not int or type(high) is not int:
            raise ExprError(f"invalid operation: {name(low)} .. {name(high)}")
        frame.spend(max(high - low, 0))
        return list(range(low, high + 1))

    return run


def _matching(first: Eval, second: Eval, pattern: Any) -> Eval:  # Any: a Pattern, or None
    def run(frame: Frame) -> bool:
        text = first(frame)
        if type(text) is not str:
            raise ExprError(f"invalid operation: {name(text)} matches")
        frame.spend(len(text) >> 3)
        if pattern is not None:
            return bool(pattern.search(text))
        word = second(frame)
        if type(word) is not str:
            raise ExprError(f"invalid operation: string matches {name(word)}")
        frame.spend(100 + len(word))  # it is compiled anew each time
        try:
            return bool(compile_go(word).search(text))
        except ValueError as error:
            raise ExprError(str(error)) from None

    return run


def _reduced(rows: Eval, predicate: Eval, start: Eval | None) -> Eval:
    def run(frame: Frame) -> Value:
        values = _rows("reduce", rows(frame))
        outer = frame.item, frame.at, frame.acc
        if start is None and not values:
            raise ExprError("reduce of empty array with no initial value")
        acc = values[0] if start is None else start(frame)
        for at in range(start is None, len(values)):
            frame.spend(1)
            frame.item, frame.at, frame.acc = values[at], at, acc
            acc = predicate(frame)
        frame.item, frame.at, frame.acc = outer
        return acc

    return run
