"""What a parsed Go template does: each node is a closure that appends to the output.

`gotemplate` builds these; rendering parses nothing and looks nothing up but values.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from kdns.corefile.go.functions import FUNCTIONS, TemplateError, Value, format_value, is_true


class Fields(Protocol):
    """An object of a template: its fields by name; a callable field takes arguments."""

    @property
    def fields(self) -> Mapping[str, Value]:
        """The fields by name."""


class Scope:
    """What a name means while rendering."""

    __slots__ = ("dot", "root", "variables")

    def __init__(self, root: Value, dot: Value, variables: dict[str, Value]) -> None:
        self.root = root
        self.dot = dot
        self.variables = variables


class Break(Exception):
    """`{{break}}`, caught by the innermost range."""


class Continue(Exception):
    """`{{continue}}`, caught by the innermost range."""


Eval = Callable[[Scope], Value]
Node = Callable[[Scope, list[str]], None]


class Template:
    """A parsed template."""

    def __init__(self, body: Node, fields: frozenset[str]) -> None:
        self._body = body
        self.fields = fields
        """The fields it reads of the data itself."""

    def render(self, data: Value) -> str:
        """The text for some data; raises TemplateError."""
        out: list[str] = []
        try:
            self._body(Scope(data, data, {}), out)
        except RecursionError:
            raise TemplateError("the template is nested too deeply") from None
        return "".join(out)


def dot(scope: Scope) -> Value:
    return scope.dot


def constant(value: Value) -> Eval:
    return lambda _: value


def variable(name: str) -> Eval:
    if name == "$":
        return lambda scope: scope.root
    return lambda scope: scope.variables[name]


def plain(text: str) -> Node:
    return lambda _, out: out.append(text)


def sequence(nodes: Sequence[Node]) -> Node:
    def run(scope: Scope, out: list[str]) -> None:
        for node in nodes:
            node(scope, out)

    return run


def leave(kind: type[Exception]) -> Node:
    def run(_scope: Scope, _out: list[str]) -> None:
        raise kind

    return run


def assign(name: str, value: Eval) -> Node:
    def run(scope: Scope, _out: list[str]) -> None:
        scope.variables[name] = value(scope)

    return run


def choice(names: list[str], value: Eval, then: Node, other: Node, *, moves: bool) -> Node:
    def run(scope: Scope, out: list[str]) -> None:
        found = value(scope)
        for name in names:
            scope.variables[name] = found
        if not is_true(found):
            other(scope, out)
        elif moves:
            then(Scope(scope.root, found, scope.variables), out)
        else:
            then(scope, out)

    return run


def repeat(names: list[str], value: Eval, then: Node, other: Node) -> Node:
    def run(scope: Scope, out: list[str]) -> None:
        rows = _rows(value(scope))
        if not rows:
            other(scope, out)
        for row in rows:
            for name, part in zip(names, row if len(names) > 1 else row[1:], strict=False):
                scope.variables[name] = part
            try:
                then(Scope(scope.root, row[1], scope.variables), out)
            except Continue:
                continue
            except Break:
                break

    return run


def _rows(value: Value) -> list[tuple[Value, Value]]:
    if isinstance(value, list):
        return list(enumerate(value))
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, int) and not isinstance(value, bool):
        return [(at, at) for at in range(min(value, 65535))]
    if value is None:
        return []
    raise TemplateError(f"range cannot iterate over {format_value(value)}")


def call(name: str, args: list[Eval]) -> Eval:
    if name in {"and", "or"}:
        if not args:
            raise TemplateError(f"wrong number of arguments for {name}")
        return _short(args, stops_at=name == "or")
    function = FUNCTIONS[name]

    def run(scope: Scope) -> Value:
        try:
            return function(*[arg(scope) for arg in args])
        except TypeError:
            raise TemplateError(f"wrong arguments for {name}") from None

    return run


def _short(args: list[Eval], *, stops_at: bool) -> Eval:
    def run(scope: Scope) -> Value:
        value: Value = None
        for arg in args:
            value = arg(scope)
            if is_true(value) is stops_at:
                break
        return value

    return run


def access(value: Eval, chain: list[str], args: list[Eval]) -> Eval:
    if not chain:
        return value

    def run(scope: Scope) -> Value:
        found = value(scope)
        for name in chain[:-1]:
            found = _field(found, name, [])
        return _field(found, chain[-1], [arg(scope) for arg in args])

    return run


def _field(value: Any, name: str, args: list[Value]) -> Value:  # Any: looked at to find out
    if isinstance(value, dict):
        if args:
            raise TemplateError(f"{name} is no method")
        return value.get(name)
    fields: Mapping[str, Value] = getattr(value, "fields", {})
    if name not in fields:
        raise TemplateError(f"can't evaluate field {name}")
    found = fields[name]
    if not callable(found):
        if args:
            raise TemplateError(f"{name} is no method")
        return found
    try:
        return found(*args)
    except TypeError:
        raise TemplateError(f"wrong number of arguments for {name}") from None
