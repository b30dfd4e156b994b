"""The text/template language of Go, as far as one-line records need it: text becomes a Template.

Actions, pipelines, variables, `if`, `with`, `range`, trim marks and comments; not `define`,
`template` and `block`. A Template is a tree of closures, so that rendering parses nothing.
"""

import re
from typing import NamedTuple

from kdns.corefile.go import nodes
from kdns.corefile.go.functions import FUNCTIONS, TemplateError, Value, format_value
from kdns.corefile.go.nodes import Eval, Fields, Node, Template

__all__ = ["Fields", "Template", "TemplateError", "parse"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>"(?:\\.|[^"\\\n])*")
    | (?P<raw>`[^`]*`)
    | (?P<char>'(?:\\[^\n]{1,10}?|[^'\\\n])')
    | (?P<number>[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
        |(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?))(?![\w.])
    | (?P<field>\.[A-Za-z_]\w*)
    | (?P<variable>\$\w*)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>:=|[=|(),.])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)
_CONTROLS = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "nil": None}
_BLOCKS = frozenset(("if", "range", "with"))
_ABSENT = frozenset(("define", "template", "block", "call", "js"))
_DEEPEST = 50


class _Token(NamedTuple):
    kind: str
    text: str
    is_apart: bool
    """White space stands before it."""


def parse(text: str) -> Template:
    """Parses a template; raises TemplateError with what is wrong."""
    try:
        parser = _Parser(text)
        body, end = parser.body()
    except RecursionError:
        raise TemplateError("the template is nested too deeply") from None
    if end:
        raise TemplateError(f"unexpected {{{{{end}}}}}")
    return Template(body, frozenset(parser.root_fields))


def _pieces(text: str) -> list[tuple[bool, str]]:
    """Cuts text into (is an action, its inside), trim marks done and comments gone."""
    out: list[tuple[bool, str]] = []
    at = 0
    trims = False
    while (start := text.find("{{", at)) >= 0:
        plain = text[at:start]
        plain = plain.lstrip() if trims else plain
        inner = start + 2
        if text.startswith("- ", inner):
            plain, inner = plain.rstrip(), inner + 2
        out.append((False, plain))
        end, close = _action_end(text, inner)
        trims = text[close - 4 : close - 2].endswith("-") and text[end:close].startswith(" -")
        if not text[inner:].lstrip().startswith("/*"):
            out.append((True, text[inner:end]))
        at = close
    rest = text[at:]
    out.append((False, rest.lstrip() if trims else rest))
    return out


def _action_end(text: str, at: int) -> tuple[int, int]:
    """Where the inside of an action ends, and where the text goes on."""
    comment = re.compile(r"\s*/\*.*?\*/( -)?\}\}", re.DOTALL).match(text, at)
    if comment:
        return comment.end() - (4 if comment[1] else 2), comment.end()
    while at < len(text):
        if text.startswith(" -}}", at):
            return at, at + 4
        if text.startswith("}}", at):
            return at, at + 2
        match = _TOKEN.match(text, at)
        if match and match["space"]:
            # One space at a time: the last one may belong to a trim mark.
            at += 1
        elif match:
            at = match.end()
        else:
            raise TemplateError(f"unexpected {text[at]!r} in an action")
    raise TemplateError("unclosed action: `}}` is missing")


def _tokens(text: str) -> list[_Token]:
    out = []
    at = 0
    is_apart = True
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise TemplateError(f"unexpected {text[at]!r} in an action")
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "space":
            is_apart = True
            continue
        out.append(_Token(kind, match[0], is_apart))
        is_apart = False
    return out


class _Parser:
    """Reads bodies and the expressions in them."""

    def __init__(self, text: str) -> None:
        self.pieces = _pieces(text)
        self.at = 0
        self.depth = 0
        self.loops = 0
        self.moved = 0
        """How many `with` and `range` stand between here and the data."""
        self.slots = {"$": "$"}
        """Where each variable in sight is kept; an inner one may have an outer one's name."""
        self.declared = 0
        self.root_fields: set[str] = set()

    def body(self) -> tuple[Node, str]:
        """Nodes up to an `else` or `end`, whose words are returned too."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise TemplateError("the template is nested too deeply")
        slots = dict(self.slots)
        steps: list[Node] = []
        end = ""
        while self.at < len(self.pieces):
            is_action, text = self.pieces[self.at]
            self.at += 1
            if not is_action:
                if text:
                    steps.append(nodes.plain(text))
                continue
            tokens = _tokens(text)
            if tokens and tokens[0].text in {"else", "end"}:
                end = " ".join(token.text for token in tokens)
                if tokens[0].text == "else" and len(tokens) > 1:
                    self.pieces.insert(self.at, (True, text.strip()[4:]))
                    end = "else if"
                break
            steps.append(self._action(tokens))
        self.slots = slots
        self.depth -= 1
        return nodes.sequence(steps), end

    def _action(self, tokens: list[_Token]) -> Node:
        if not tokens:
            raise TemplateError("missing value for command")
        word = tokens[0].text
        if word in _BLOCKS:
            return self._block(word, tokens[1:])
        if word in {"break", "continue"} and len(tokens) == 1:
            if not self.loops:
                raise TemplateError(f"{{{{{word}}}}} outside {{{{range}}}}")
            return nodes.leave(nodes.Break if word == "break" else nodes.Continue)
        names, declares, rest = _assigned(tokens)
        if len(names) > 1:
            raise TemplateError("too many variables in an assignment")
        value = self._whole(rest)
        if not names:
            return lambda scope, out: out.append(format_value(value(scope)))
        return nodes.assign(self._declare(names[0]) if declares else self._slot(names[0]), value)

    def _declare(self, name: str) -> str:
        self.declared += 1
        self.slots[name] = f"{name} {self.declared}"
        return self.slots[name]

    def _slot(self, name: str) -> str:
        if name not in self.slots:
            raise TemplateError(f"undefined variable {name!r}")
        return self.slots[name]

    def _block(self, word: str, tokens: list[_Token]) -> Node:
        names, declares, rest = _assigned(tokens)
        if names and (not declares or len(names) > (2 if word == "range" else 1)):
            raise TemplateError(f"unexpected variables in {word}")
        if not rest:
            raise TemplateError(f"missing value for {word}")
        value = self._whole(rest)
        slots = dict(self.slots)
        names = [self._declare(name) for name in names]
        moves = word != "if"
        self.moved += moves
        self.loops += word == "range"
        then, end = self.body()
        self.moved -= moves
        self.loops -= word == "range"
        other: Node = nodes.sequence([])
        if end == "else if":
            other, end = self._else_if(word)
        elif end == "else":
            other, end = self.body()
        self.slots = slots
        if end != "end":
            raise TemplateError(f"{{{{{word}}}}} without {{{{end}}}}")
        if word == "range":
            return nodes.repeat(names, value, then, other)
        return nodes.choice(names, value, then, other, moves=moves)

    def _else_if(self, word: str) -> tuple[Node, str]:
        """`{{else if x}}…` is an `if` in the `else`, ended by the same `end`."""
        _, text = self.pieces[self.at]
        self.at += 1
        tokens = _tokens(text)
        if word == "range" or tokens[0].text != word:
            raise TemplateError(f"unexpected {tokens[0].text} behind else")
        return self._block(word, tokens[1:]), "end"

    def _whole(self, tokens: list[_Token]) -> Eval:
        value, left = self._pipeline(tokens)
        if left:
            raise TemplateError(f"unexpected {left[0].text!r} in an action")
        return value

    def _pipeline(self, tokens: list[_Token]) -> tuple[Eval, list[_Token]]:
        value: Eval | None = None
        while True:
            value, tokens = self._command(tokens, value)
            if not tokens or tokens[0].text != "|":
                return value, tokens
            tokens = tokens[1:]

    def _command(self, tokens: list[_Token], piped: Eval | None) -> tuple[Eval, list[_Token]]:
        """One command; `piped` is its last argument."""
        if not tokens or tokens[0].text in {"|", ")"}:
            raise TemplateError("missing value for command")
        head, tokens = tokens[0], tokens[1:]
        args: list[Eval] = []
        if head.kind == "word" and head.text not in _CONSTANTS:
            function = head.text
            if function in _ABSENT:
                raise TemplateError(f"{function} is not supported")
            if function not in FUNCTIONS and function not in {"and", "or"}:
                raise TemplateError(f"function {function!r} is not defined")
            args, tokens = self._arguments(tokens, piped)
            return nodes.call(function, args), tokens
        value, chain, tokens = self._operand(head, tokens)
        args, tokens = self._arguments(tokens, piped)
        if args and not chain:
            raise TemplateError(f"cannot give arguments to non-function {head.text}")
        return nodes.access(value, chain, args), tokens

    def _arguments(
        self, tokens: list[_Token], piped: Eval | None
    ) -> tuple[list[Eval], list[_Token]]:
        args = []
        while tokens and tokens[0].text not in {"|", ")"}:
            head, tokens = tokens[0], tokens[1:]
            if head.kind == "word" and head.text not in _CONSTANTS:
                args.append(self._command([head], None)[0])
                continue
            value, chain, tokens = self._operand(head, tokens)
            args.append(nodes.access(value, chain, []))
        return (args if piped is None else [*args, piped]), tokens

    def _operand(self, head: _Token, tokens: list[_Token]) -> tuple[Eval, list[str], list[_Token]]:
        """A value, and the fields taken from it."""
        chain: list[str] = []
        if head.text == "(":
            value, tokens = self._pipeline(tokens)
            if not tokens or tokens[0].text != ")":
                raise TemplateError("a `(` is never closed")
            tokens = tokens[1:]
        elif head.kind == "field":
            chain.append(head.text[1:])
            value = nodes.dot
        elif head.text == ".":
            value = nodes.dot
        else:
            value = self._simple(head)
        while tokens and tokens[0].kind == "field" and not tokens[0].is_apart:
            chain.append(tokens[0].text[1:])
            tokens = tokens[1:]
        if chain and ((value is nodes.dot and not self.moved) or head.text == "$"):
            self.root_fields.add(chain[0])
        return value, chain, tokens

    def _simple(self, token: _Token) -> Eval:
        kind, text = token.kind, token.text
        if kind == "variable":
            return nodes.variable(self._slot(text))
        if kind == "word":
            return nodes.constant(_CONSTANTS[text])
        if kind == "raw":
            return nodes.constant(text[1:-1])
        if kind == "string":
            return nodes.constant(_unquote(text[1:-1]))
        if kind == "char":
            return nodes.constant(ord(_unquote(text[1:-1])))
        if kind == "number":
            return nodes.constant(_number(text))
        raise TemplateError(f"unexpected {text!r} in an action")


def _assigned(tokens: list[_Token]) -> tuple[list[str], bool, list[_Token]]:
    """The variables an action sets, whether they are new, and the tokens of the value."""
    for at in (1, 3):
        if len(tokens) > at and tokens[at].text in {":=", "="} and tokens[0].kind == "variable":
            if at == 3 and (tokens[1].text != "," or tokens[2].kind != "variable"):
                break
            names = [token.text for token in tokens[:at:2]]
            return names, tokens[at].text == ":=", tokens[at + 1 :]
    return [], False, tokens


def _unquote(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1]:
            return _CONTROLS[match[1]]
        if match[3]:
            return chr(int(match[3], 8))
        return chr(min(int(match[2] or match[4] or match[5], 16), 0x10FFFF))

    return _ESCAPE.sub(one, text)


def _number(text: str) -> int | float:
    plain = text.replace("_", "")
    try:
        return int(plain, 0)
    except ValueError:
        return float(plain)
