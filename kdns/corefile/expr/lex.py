"""The text of an expression becomes tokens: words, numbers, strings, marks, each with its place.

Strings have the escapes of Go; raw ones stand in back quotes. Comments are `//` and `/* */`.
"""

import re
from typing import Any, NamedTuple

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)
    | (?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
        |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9_]+)?)
    | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<raw>`[^`]*`)
    | (?P<mark>\*\*|\.\.|\?\.|\?\?|\?:|&&|\|\||==|!=|<=|>=|[-+*/%^<>!?:.,;|=\#(){}\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:(?P<named>[abfnrtv\\'\"`?])|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})"
    r"|U(?P<U>[0-9a-fA-F]{8})|(?P<octal>[0-3][0-7]{2})|(?P<wrong>.))",
    re.DOTALL,
)
_NAMED = dict(zip("abfnrtv\\'\"`?", "\a\b\f\n\r\t\v\\'\"`?", strict=True))
_WIDEST = 2**63


class ExprError(ValueError):
    """An expression that is wrong, or that cannot be evaluated for what it was given."""


class Token(NamedTuple):
    """One token; `value` is what a number or string stands for."""

    kind: str
    text: str
    at: int
    value: Any = None  # Any: str, int or float


def place(text: str, at: int) -> str:
    """Where in a text something stands, as `line:column`, both from 1."""
    before = text[:at]
    return f"{before.count(chr(10)) + 1}:{at - (before.rfind(chr(10)) + 1) + 1}"


def tokens(text: str) -> list[Token]:
    """All tokens of an expression, with an `end` behind them; raises ExprError."""
    out: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = "a string is never closed" if text[at] in "\"'`" else f"unexpected {text[at]!r}"
            raise ExprError(f"{what} ({place(text, at)})")
        kind = match.lastgroup or ""
        if kind != "space":
            out.append(_token(kind, match, text))
        at = match.end()
    out.append(Token("end", "the end", len(text)))
    return out


def _token(kind: str, match: re.Match[str], text: str) -> Token:
    word, at = match[0], match.start()
    if kind == "raw":
        return Token("string", word, at, word[1:-1])
    try:
        if kind == "string":
            return Token("string", word, at, _ESCAPE.sub(_unescaped, word[1:-1]))
        if kind == "number":
            behind = text[match.end() : match.end() + 1]
            return Token("number", word, at, _number(word + behind * behind.isalpha()))
    except ExprError as error:
        raise ExprError(f"{error} ({place(text, at)})") from None
    return Token(kind, word, at)


def _unescaped(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    if kind == "named":
        return _NAMED[match[kind]]
    code = int(match[kind], 8 if kind == "octal" else 16) if kind != "wrong" else 0x110000
    if code > 0x10FFFF:
        raise ExprError(f"`{match[0]}` is no escape")
    return chr(code)


def _number(word: str) -> int | float:
    plain = word.replace("_", "").lower()
    try:
        if plain[:2] in {"0x", "0o", "0b"}:
            value = int(plain, 0)
        elif "." in plain or "e" in plain:
            return float(plain)
        else:
            value = int(plain)
    except ValueError:
        raise ExprError(f"bad number {word!r}") from None
    if value >= _WIDEST:
        raise ExprError(f"{word} does not fit 64 bits")
    return value
