"""Finds the kind of every part of an expression, and what it reads; refuses what cannot be right.

As expr-lang does, when the Corefile is read: unknown names, wrong kinds, wrong counts of arguments
and expressions that are no regular expression are errors with their place. What is known only when
it is evaluated is ANY and checked then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kdns.corefile.expr.functions import ABSENT, FUNCTIONS, LOOP_GIVES, Function
from kdns.corefile.expr.lex import ExprError, place
from kdns.corefile.expr.parse import Node
from kdns.corefile.expr.values import (
    ANY,
    ARRAY,
    BOOL,
    FLOAT,
    FUNCTION,
    INT,
    MAP,
    NIL,
    NUMBERS,
    STRING,
    Kind,
    array,
    same,
)
from kdns.corefile.patterns import compile_go


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of the environment: the kinds it takes and the one it gives."""

    takes: tuple[Kind, ...]
    gives: Kind
    is_value: bool = False
    """It is named without parentheses."""


Environment = Mapping[str, Signature]
_CONSTANTS = {bool: BOOL, int: INT, float: FLOAT, str: STRING, type(None): NIL}
_DEEPEST = 100
_TEXTS = frozenset(("matches", "contains", "startsWith", "endsWith"))


def check(tree: Node, text: str, environment: Environment) -> None:
    """Annotates a tree; raises ExprError with the first mistake."""
    _Checker(text, environment).visit(tree)


class _Checker:
    def __init__(self, text: str, environment: Environment) -> None:
        self.text = text
        self.environment = environment
        self.binders = 0
        """How many loops and variables stand around this part."""
        self.elements: list[tuple[str, Kind]] = []
        """The mark and the elements' kind of each loop around."""
        self.variables: dict[str, tuple[str, Kind, frozenset[str]]] = {}
        self.depth = 0

    def fail(self, why: str, node: Node) -> ExprError:
        return ExprError(f"{why} ({place(self.text, node.at)})")

    def visit(self, node: Node) -> Kind:
        """The kind of a part, noted on it together with what it reads."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.fail("it is nested too deeply", node)
        method: Callable[[Node], Kind] = getattr(self, "_" + node.op)
        node.kind = method(node)
        self.depth -= 1
        for part in node.args:
            node.reads |= part.reads
        if node.op in {"loop", "let"} and node.data is not None:
            node.reads -= {node.data}
        return node.kind  # type: ignore[no-any-return]  # it is a Kind: the line above

    def bind(self) -> str:
        self.binders += 1
        return f"#{self.binders}"

    def _const(self, node: Node) -> Kind:
        return _CONSTANTS[type(node.value)]

    def _name(self, node: Node) -> Kind:
        name = node.value
        if name in self.variables:
            mark, kind, reads = self.variables[name]
            node.op, node.data = "variable", mark
            node.reads = reads | {mark}
            return kind
        signature = self.environment.get(name)
        if signature and signature.is_value:
            node.reads = frozenset((name,))
            return signature.gives
        if signature or name in FUNCTIONS:
            node.op = "function"
            return FUNCTION
        raise self.fail(f"unknown name {name}", node)

    def _function(self, node: Node) -> Kind:
        """Where one part stands twice in a tree, as in `a ?: b`, it is visited twice."""
        return FUNCTION

    def _variable(self, node: Node) -> Kind:
        return self._name(node)

    def _element(self, node: Node) -> Kind:
        mark, item = self.elements[-1]
        node.reads = frozenset((mark,))
        return {"": item, "index": INT, "acc": ANY}[node.value]

    def _array(self, node: Node) -> Kind:
        kinds = {self.visit(part) for part in node.args}
        return array(kinds.pop()) if len(kinds) == 1 else ARRAY

    def _map(self, node: Node) -> Kind:
        for part in node.args:
            self.visit(part)
        for key in node.args[::2]:
            if key.kind not in {STRING, ANY}:
                raise self.fail(f"a map has texts for keys, not {key.kind}", key)
        return MAP

    def _then(self, node: Node) -> Kind:
        return [self.visit(part) for part in node.args][-1]

    def _let(self, node: Node) -> Kind:
        name, (value, body) = node.value, node.args
        if name in self.variables or name in self.environment or name in FUNCTIONS:
            raise self.fail(f"cannot redeclare {name}", node)
        kind = self.visit(value)
        node.data = self.bind()
        self.variables[name] = (node.data, kind, value.reads)
        found = self.visit(body)
        del self.variables[name]
        return found

    def _unary(self, node: Node) -> Kind:
        kind = self.visit(node.args[0])
        if node.value == "not":
            if kind not in {BOOL, ANY}:
                raise self.fail(f"`not` needs true or false, found {kind}", node)
            return BOOL
        if kind not in NUMBERS and kind != ANY:
            raise self.fail(f"`{node.value}` needs a number, found {kind}", node)
        return kind

    def _logic(self, node: Node) -> Kind:
        for part in node.args:
            if self.visit(part) not in {BOOL, ANY}:
                raise self.fail(f"`{node.value}` needs true or false, found {part.kind}", part)
        return BOOL

    def _coalesce(self, node: Node) -> Kind:
        first, second = (self.visit(part) for part in node.args)
        return second if first == NIL else same(first, second)

    def _cond(self, node: Node) -> Kind:
        test, then, other = (self.visit(part) for part in node.args)
        if test not in {BOOL, ANY}:
            raise self.fail(f"a condition needs true or false, found {test}", node.args[0])
        if NIL in {then, other}:
            return other if then == NIL else then
        return same(then, other)

    def _binary(self, node: Node) -> Kind:
        first, second = (self.visit(part) for part in node.args)
        operator = node.value
        kind = self._gives(operator, first, second)
        if kind is None:
            raise self.fail(f"invalid operation: {first} {operator} {second}", node)
        pattern = node.args[1]
        if operator == "matches" and pattern.op == "const":
            try:
                node.data = compile_go(pattern.value)
            except ValueError as error:
                raise self.fail(f"{pattern.value!r} is no regular expression: {error}", pattern)\
                    from error  # fmt: skip
        if (
            operator == "%"
            and [part.op for part in node.args] == ["const"] * 2
            and not pattern.value
        ):
            raise self.fail("integer divide by zero", node)
        return kind

    def _gives(self, operator: str, first: Kind, second: Kind) -> Kind | None:
        """What an operator gives for such operands; None where it takes none such."""
        if operator in {"==", "!="}:
            return BOOL if _comparable(first, second) else None
        if operator == "in":
            return BOOL if _holds(first, second) else None
        if operator in _TEXTS:
            return BOOL if _are(first, second, {STRING}) else None
        if operator in {"<", ">", "<=", ">="}:
            fits = _are(first, second, {STRING}) or _are(first, second, NUMBERS)
            return BOOL if fits else None
        if operator == "..":
            return array(INT) if _are(first, second, {INT}) else None
        if operator == "%":
            return INT if _are(first, second, {INT}) else None
        if operator == "+" and STRING in {first, second}:
            return STRING if _are(first, second, {STRING}) else None
        if not _are(first, second, NUMBERS):
            return None
        if operator in {"/", "**", "^"}:
            return FLOAT
        return ANY if ANY in {first, second} else INT if first == second == INT else FLOAT

    def _member(self, node: Node) -> Kind:
        kind, key = (self.visit(part) for part in node.args)
        what = node.args[1].value if node.args[1].op == "const" else key
        if kind.name == "array":
            if key not in {INT, ANY}:
                raise self.fail(f"an array has numbered elements, no {what}", node.args[1])
            return kind.item or ANY
        if kind not in {MAP, ANY}:
            raise self.fail(f"{kind} has no {what}", node.args[1])
        if kind == MAP and key not in {STRING, ANY}:
            raise self.fail(f"a map has texts for keys, not {key}", node.args[1])
        return ANY

    _index = _member

    def _slice(self, node: Node) -> Kind:
        kind, *bounds = (self.visit(part) for part in node.args)
        if kind not in {STRING, ANY} and kind.name != "array":
            raise self.fail(f"cannot slice {kind}", node)
        for bound, part in zip(bounds, node.args[1:], strict=True):
            if bound not in {INT, ANY} and not (part.op == "const" and part.value is None):
                raise self.fail(f"a bound is a whole number, not {bound}", part)
        return kind

    def _call(self, node: Node) -> Kind:
        name = node.value
        kinds = [self.visit(part) for part in node.args]
        signature = self.environment.get(name)
        if signature is not None and not signature.is_value:
            return self._own(node, signature, kinds)
        if name in ABSENT:
            raise self.fail(f"{name} is not supported: an answer would depend on the time", node)
        function = FUNCTIONS.get(name)
        if function is None:
            raise self.fail(f"unknown function {name}", node)
        if not function.counts(len(kinds)):
            raise self.fail(f"wrong number of arguments for {name}", node)
        for at, kind in enumerate(kinds):
            if kind != ANY and not function.fits(at, kind.name):
                raise self.fail(f"{name} needs {function.wanted(at)}, found {kind}", node.args[at])
        node.data = function
        return kinds[0] if function.keeps_item else _number_kind(name, function, kinds)

    def _own(self, node: Node, signature: Signature, kinds: list[Kind]) -> Kind:
        if len(kinds) != len(signature.takes):
            raise self.fail(f"{node.value} takes {len(signature.takes)} arguments", node)
        for want, kind, part in zip(signature.takes, kinds, node.args, strict=True):
            if kind not in {want, ANY} and want != ANY:
                raise self.fail(f"{node.value} needs {want}, found {kind}", part)
        node.data = signature
        node.reads = frozenset((node.value,))
        return signature.gives

    def _loop(self, node: Node) -> Kind:
        name, args = node.value, node.args
        least, most = (1, 3) if name in {"reduce", "sortBy", "sum", "count"} else (2, 2)
        if not least <= len(args) <= most or (name in {"reduce", "sortBy"} and len(args) < 2):
            raise self.fail(f"wrong number of arguments for {name}", node)
        kind = self.visit(args[0])
        if kind != ANY and kind.name != "array":
            raise self.fail(f"{name} needs an array, found {kind}", args[0])
        item = kind.item or ANY
        node.data = self.bind()
        said = item
        if len(args) > 1:
            self.elements.append((node.data, item))
            said = self.visit(args[1])
            self.elements.pop()
        for part in args[2:]:
            self.visit(part)
        free = name in {"map", "sum", "groupBy", "sortBy", "reduce"} or len(args) == 1
        if not free and said not in {BOOL, ANY}:
            raise self.fail(f"the predicate of {name} is neither true nor false", args[1])
        if name == "map":
            return array(said)
        if name == "filter":
            return array(item)
        return said if name == "sum" else LOOP_GIVES.get(name, ANY)


def _number_kind(name: str, function: Function, kinds: list[Kind]) -> Kind:
    """`abs` of a number is one of its kind."""
    return kinds[0] if name == "abs" else function.gives


def _are(first: Kind, second: Kind, kinds: frozenset[Kind] | set[Kind]) -> bool:
    return all(kind == ANY or kind in kinds for kind in (first, second))


def _comparable(first: Kind, second: Kind) -> bool:
    if {ANY, NIL} & {first, second} or {first, second} <= NUMBERS:
        return FUNCTION not in {first, second}
    return first.name == second.name and first != FUNCTION


def _holds(first: Kind, second: Kind) -> bool:
    if second.name == "array":
        item = second.item or ANY
        return ANY in {item, first} or _comparable(first, item)
    if second == MAP:
        return first in {STRING, ANY}
    return second == ANY
