"""What an expression of PromQL asks for: its selectors, and the labels it groups by.

It knows as much of the language as our dashboard and alerts use, and says what else it meets: every
selector has braces, so that a word without them is a function, a keyword or a mistake.
"""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""\s+|(?P<text>"[^"]*")|(?P<range>\[[^\]]*\])|(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)"""
    r"""|(?P<number>\d+(\.\d+)?[smhd]?)|(?P<sign>==|!=|>=|<=|=~|!~|[-+*/<>=(){},])"""
)
FUNCTIONS = {
    "sum", "max", "min", "count", "rate", "increase", "histogram_quantile", "absent",
    "max_over_time", "vector", "time",
}  # fmt: skip
KEYWORDS = {"or", "and", "unless", "offset"}
GROUPING = {"by", "without", "on", "ignoring"}
MATCHES = {"=", "!=", "=~", "!~"}


class Mistake(Exception):
    """What is wrong with an expression."""


@dataclass(frozen=True)
class Asked:
    """What an expression asks for."""

    selectors: tuple[tuple[str, frozenset[str]], ...]
    """Metrics, each with the labels that are matched."""
    grouped: frozenset[str]
    """Labels of by and without."""


def read(expression: str) -> Asked:
    """Raises Mistake."""
    words = tokens(expression)
    selectors, grouped = [], set()
    at = 0
    while at < len(words):
        word, after = words[at], words[at + 1] if at + 1 < len(words) else ""
        if word in GROUPING:
            labels, at = listed(words, at + 1)
            grouped |= labels
        elif not re.match(r"[a-zA-Z_:]", word):
            at += 1
        elif after == "{":
            labels, at = matched(words, at + 1)
            selectors.append((word, labels))
        elif word in KEYWORDS or (word in FUNCTIONS and (after == "(" or after in GROUPING)):
            at += 1
        else:
            raise Mistake(f"{word} is no function, and no metric with braces: {expression}")
    return Asked(tuple(selectors), frozenset(grouped))


def tokens(expression: str) -> list[str]:
    found, at, depth = [], 0, 0
    while at < len(expression):
        match = TOKEN.match(expression, at)
        if match is None:
            raise Mistake(f"{expression[at:]!r} cannot be read: {expression}")
        at = match.end()
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth < 0:
            break
        if match.lastgroup:
            found.append(match[0])
    if depth:
        raise Mistake(f"parentheses do not match: {expression}")
    return found


def listed(words: list[str], at: int) -> tuple[set[str], int]:
    """The labels between parentheses, and where it goes on."""
    end = words.index(")", at)
    return {word for word in words[at + 1 : end] if word != ","}, end + 1


def matched(words: list[str], at: int) -> tuple[frozenset[str], int]:
    """The labels that a selector matches, and where it goes on."""
    if "}" not in words[at:]:
        raise Mistake("a brace is open")
    end = words.index("}", at)
    inside = [word for word in words[at + 1 : end] if word != ","]
    labels, signs, values = inside[::3], inside[1::3], inside[2::3]
    if not (set(signs) <= MATCHES and len(values) == len(labels)):
        raise Mistake(f"{' '.join(inside)} matches nothing")
    if not all(value.startswith('"') for value in values):
        raise Mistake(f"{values} are to be in quotes")
    return frozenset(labels), end + 1
