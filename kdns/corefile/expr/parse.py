"""Tokens of an expression become a tree of Nodes, by the precedences of expr-lang.

Words that stand for operators (`and`, `in`, `contains`, `not` …) are operators everywhere; a pipe
gives what stands before it to the function behind it as its first argument.
"""

from dataclasses import dataclass, field
from typing import Any

from kdns.corefile.expr.lex import ExprError, Token, place, tokens

_DEEPEST = 40
_LONGEST = 10_000

LOGIC = {"and": "and", "&&": "and", "or": "or", "||": "or"}
_LEVELS = (
    ("|",),
    ("or", "||"),
    ("and", "&&"),
    ("==", "!=", "<", ">", "<=", ">=", "in", "matches", "contains", "startsWith", "endsWith"),
    ("..",),
    ("+", "-"),
    ("*", "/", "%"),
    ("**", "^"),
    ("??",),
)
_BINDS = {operator: level for level, row in enumerate(_LEVELS) for operator in row}
_RIGHT = frozenset(("**", "^"))
_NOT_BINDS, _SIGN_BINDS = 6, 7
"""What `not`, and a sign, take as their operand: all that binds at least as tightly."""
_NEGATED = frozenset(("in", "matches", "contains", "startsWith", "endsWith"))
_CHAINED = frozenset(("<", ">", "<=", ">="))
_WORDS = frozenset((*_NEGATED, "and", "or", "not", "let", "if", "else"))
_CONSTANTS = {"true": True, "false": False, "nil": None}
RESERVED = _WORDS | _CONSTANTS.keys()
"""Words that cannot be names."""

LOOPS = frozenset((
    "all", "any", "none", "one", "filter", "map", "count", "find", "findIndex", "findLast",
    "findLastIndex", "groupBy", "sum", "sortBy", "reduce",
))  # fmt: skip
"""Functions whose second argument is evaluated for each element."""


@dataclass(slots=True, eq=False)
class Node:
    """One part of an expression. The checker fills in what lies below `at`."""

    op: str
    args: list["Node"]
    value: Any  # Any: what the operator needs beside its operands: a constant, a name
    at: int
    kind: Any = None  # Any: a Kind, of the layer above this one
    reads: frozenset[str] = frozenset()
    """What its value depends on: functions of the environment, and `#N` for what the Nth loop or
    variable around it gives."""
    data: Any = field(default=None)  # Any: what the checker found and the evaluator needs


def parse(text: str) -> Node:
    """Parses an expression; raises ExprError with what is wrong and where."""
    if len(text) > _LONGEST:
        raise ExprError(f"it has more than {_LONGEST} characters")
    try:
        return _Parser(text).whole()
    except RecursionError:
        raise ExprError("it is nested too deeply") from None


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.at = 0
        self.depth = 0
        self.loops = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    def fail(self, why: str, token: Token | None = None) -> ExprError:
        at = (token or self.now).at
        return ExprError(f"{why} ({place(self.text, at)})")

    def take(self) -> Token:
        token = self.now
        self.at += token.kind != "end"
        return token

    def takes(self, *texts: str) -> bool:
        """Takes the token if it is one of these marks or words."""
        if self.now.text in texts and self.now.kind in {"mark", "word"}:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.takes(text):
            raise self.fail(f"expected `{text}`, found {self.now.text}")

    def whole(self) -> Node:
        node = self.sequence()
        if self.now.kind != "end":
            raise self.fail(f"unexpected {self.now.text}")
        return node

    def sequence(self) -> Node:
        """Expressions with `;` between them, of which the last one is the value."""
        token = self.now
        if self.takes("let"):
            name = self.take()
            if name.kind != "word" or name.text in _WORDS:
                raise self.fail("expected the name of a variable", name)
            self.expect("=")
            value = self.expression()
            self.expect(";")
            return Node("let", [value, self.sequence()], name.text, token.at)
        node = self.expression()
        if self.takes(";"):
            return Node("then", [node, self.sequence()], None, token.at)
        return node

    def expression(self, level: int = 0) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.fail("it is nested too deeply")
        node = self.condition() if level == 0 and self.now.text == "if" else self.unary()
        node = self.binary(node, level)
        if level == 0:
            node = self.ternary(node)
        self.depth -= 1
        return node

    def binary(self, node: Node, level: int) -> Node:
        chained: Node | None = None
        before = ""
        while True:
            token = self.now
            operator, is_negated = self.operator()
            binds = _BINDS.get(operator, -1)
            if binds < level:
                return node
            if before == "??" and operator not in {"??", "|"}:
                raise self.fail("`??` beside another operator needs parentheses")
            before = operator
            self.at += 1 + is_negated
            if operator == "|":
                node = self.piped(node)
                continue
            right = self.expression(binds + (operator not in _RIGHT))
            node = _joined(operator, node, chained, right, token.at)
            chained = right if operator in _CHAINED else None
            if is_negated:
                node = Node("unary", [node], "not", token.at)

    def operator(self) -> tuple[str, bool]:
        """The operator here, and whether a `not` stands before it."""
        token = self.now
        if token.kind not in {"mark", "word"}:
            return "", False
        if token.text == "not" and self.tokens[self.at + 1].text in _NEGATED:
            return self.tokens[self.at + 1].text, True
        return token.text, False

    def piped(self, node: Node) -> Node:
        name = self.take()
        if name.kind != "word" or name.text in _WORDS:
            raise self.fail("expected a function behind `|`", name)
        self.expect("(")
        return self.behind(self.call(name, [node]))

    def ternary(self, node: Node) -> Node:
        token = self.now
        if self.takes("?:"):
            return Node("cond", [node, node, self.expression()], None, token.at)
        if not self.takes("?"):
            return node
        if self.takes(":"):
            return Node("cond", [node, node, self.expression()], None, token.at)
        then = self.expression()
        self.expect(":")
        return Node("cond", [node, then, self.expression()], None, token.at)

    def condition(self) -> Node:
        """`if CONDITION { … } else { … }`."""
        token = self.take()
        test = self.expression()
        then = self.braced()
        self.expect("else")
        other = self.condition() if self.now.text == "if" else self.braced()
        return Node("cond", [test, then, other], None, token.at)

    def braced(self) -> Node:
        self.expect("{")
        node = self.sequence()
        self.expect("}")
        return node

    def unary(self) -> Node:
        token = self.now
        if self.takes("not", "!"):
            return Node("unary", [self.expression(_NOT_BINDS)], "not", token.at)
        if self.takes("-", "+"):
            return Node("unary", [self.expression(_SIGN_BINDS)], token.text, token.at)
        return self.primary()

    def primary(self) -> Node:
        token = self.take()
        if token.kind in {"number", "string"}:
            node = Node("const", [], token.value, token.at)
            return self.behind(node) if token.kind == "string" else node
        if token.kind == "word" and token.text not in _WORDS:
            return self.word(token)
        handlers = {
            "(": self.group, "[": self.array, "{": self.map, "#": self.element, ".": self.element,
        }  # fmt: skip
        if token.kind != "mark" or token.text not in handlers:
            raise self.fail(f"unexpected {token.text}", token)
        return self.behind(handlers[token.text](token))

    def word(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Node("const", [], _CONSTANTS[token.text], token.at)
        if token.text == "$env":
            self.expect(".")
            token = self.take()
            self.expect("(")
            return self.behind(self.call(token, [], is_own=True))
        if self.takes("("):
            return self.behind(self.call(token, []))
        return self.behind(Node("name", [], token.text, token.at))

    def call(self, token: Token, args: list[Node], *, is_own: bool = False) -> Node:
        """The call of a function whose `(` is taken."""
        is_loop = token.text in LOOPS and not is_own
        while self.now.text != ")":
            args.append(self.predicate() if is_loop and len(args) == 1 else self.expression())
            if not self.takes(","):
                break
        self.expect(")")
        return Node("loop" if is_loop else "call", args, token.text, token.at)

    def predicate(self) -> Node:
        self.loops += 1
        node = self.braced() if self.now.text == "{" else self.expression()
        self.loops -= 1
        return node

    def group(self, _token: Token) -> Node:
        node = self.sequence()
        self.expect(")")
        return node

    def array(self, token: Token) -> Node:
        rows = []
        while not self.takes("]"):
            rows.append(self.expression())
            if not self.takes(",") and self.now.text != "]":
                raise self.fail(f"expected `,` or `]`, found {self.now.text}")
        return Node("array", rows, None, token.at)

    def map(self, token: Token) -> Node:
        """Keys and values by turns."""
        pairs = []
        while not self.takes("}"):
            key = self.take()
            if key.kind in {"word", "string", "number"}:
                text = key.text if key.kind == "word" else str(key.value)
                pairs.append(Node("const", [], text, key.at))
            elif key.text == "(":
                pairs.append(self.group(key))
            else:
                raise self.fail(f"expected a key, found {key.text}", key)
            self.expect(":")
            pairs.append(self.expression())
            if not self.takes(",") and self.now.text != "}":
                raise self.fail(f"expected `,` or `}}`, found {self.now.text}")
        return Node("map", pairs, None, token.at)

    def element(self, token: Token) -> Node:
        """`#`, `#acc`, `#index`, and `.field` for `#.field`."""
        if not self.loops:
            raise self.fail(f"unexpected {token.text}", token)
        if token.text == ".":
            self.at -= 1
            return Node("element", [], "", token.at)
        follows = self.now.kind == "word" and self.now.at == token.at + 1
        name = self.take().text if follows and self.now.text in {"acc", "index"} else ""
        return Node("element", [], name, token.at)

    def behind(self, node: Node) -> Node:
        """Members, indexes and slices behind a value."""
        while True:
            token = self.now
            if self.takes(".", "?."):
                is_optional = token.text == "?."
                if is_optional and self.takes("["):
                    node = self.index(node, token, is_optional=True)
                    continue
                name = self.take()
                if name.kind != "word":
                    raise self.fail("expected the name of a field", name)
                if self.now.text == "(":
                    raise self.fail(f"there is no method {name.text}", name)
                key = Node("const", [], name.text, name.at)
                node = Node("member", [node, key], is_optional, name.at)
            elif self.takes("["):
                node = self.index(node, token, is_optional=False)
            else:
                return node

    def index(self, node: Node, token: Token, *, is_optional: bool) -> Node:
        """What stands in brackets: an index, or the bounds of a slice."""
        nothing = Node("const", [], None, token.at)
        low = nothing if self.now.text == ":" else self.expression()
        if self.takes(":"):
            high = nothing if self.now.text == "]" else self.expression()
            self.expect("]")
            return Node("slice", [node, low, high], None, token.at)
        self.expect("]")
        return Node("index", [node, low], is_optional, token.at)


def _joined(operator: str, left: Node, chained: Node | None, right: Node, at: int) -> Node:
    """Two operands; in `a < b < c` the one in the middle counts for both comparisons."""
    if operator in LOGIC:
        same = left.op == "logic" and left.value == LOGIC[operator]
        return Node("logic", [*(left.args if same else [left]), right], LOGIC[operator], at)
    if operator == "??":
        return Node("coalesce", [left, right], operator, at)
    if operator in _CHAINED and chained is not None:
        again = Node("binary", [chained, right], operator, at)
        return Node("logic", [left, again], "and", at)
    return Node("binary", [left, right], operator, at)
