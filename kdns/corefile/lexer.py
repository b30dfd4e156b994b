"""Corefile text becomes tokens: words with their places, each marked when it begins a line.

The rules are those CoreDNS 1.15.0 shows: white space as Unicode has it, carriage returns dropped
outside quotes, `"` only at the start of a word opens quoted text (in which `\\"` alone is an
escape), and `#` inside a word is a comment that ends with the next white space.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from kdns.corefile.tree import ConfigError, Word

_SPACE = "\t\n\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TOKEN = re.compile(
    rf"""
        [{_SPACE}\r]+
      | \#[^\n]*
      | "(?P<quoted>(?:[^"\\]|\\.)*)(?P<end>"?)
      | (?P<plain>[^{_SPACE}\r\#"][^{_SPACE}\#]*)(?:\#[^{_SPACE}]*)?
    """,
    re.DOTALL | re.VERBOSE,
)


class Token(NamedTuple):
    """A word, and whether it is the first of its line."""

    word: Word
    is_first: bool


def scan(text: str, file: str) -> Iterator[Token]:
    """Yields the tokens of a Corefile; raises ConfigError for a quote that is never closed."""
    line = 1
    ended = 0
    for match in _TOKEN.finditer(text.removeprefix("\ufeff")):
        breaks = match[0].count("\n")
        if match.lastgroup is not None:
            yield Token(Word(_value(match, file, line), file, line), ended < line)
            ended = line + breaks
        line += breaks


def _value(match: re.Match[str], file: str, line: int) -> str:
    if match["plain"] is not None:
        return match["plain"].replace("\r", "")
    if not match["end"]:
        raise ConfigError(file, line, 'quoted text is never closed by `"`')
    return match["quoted"].replace('\\"', '"')
