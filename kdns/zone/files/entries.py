"""The text of a master file to entries: the words of one record or directive each (RFC 1035 §5.1).

Parentheses join lines, quotes join words, `;` begins a comment. Escapes are left in the words: only
who knows what a word stands for can undo them.
"""

from collections.abc import Iterator
from re import DOTALL
from re import compile as pattern
from typing import NamedTuple

from kdns.wire.fields import Word

_ODD = pattern(r'[;()"\\]')
_TOKEN = pattern(
    r'[ \t\r\f\v]+|;[^\n]*|(?P<mark>[\n()])|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    r'|(?P<word>(?:[^\s;()"\\]|\\.|(?<=[^\s;()"])"(?:[^"\\]|\\.)*")+)',
    DOTALL,
)
_QUOTE = pattern(r'(\\.)|"', DOTALL)


class EntryError(ValueError):
    """Text that cannot be split into words, and the line it begins on."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


class Entry(NamedTuple):
    """The words of a record or directive."""

    line: int
    is_indented: bool
    """It begins with white space: the owner is that of the record before."""
    words: list[Word]


def split(text: str) -> Iterator[Entry]:
    """The entries of a file, in order; raises EntryError."""
    at, line, size = 0, 1, len(text)
    while at < size:
        end = text.find("\n", at)
        if end < 0:
            end = size
        if _ODD.search(text, at, end) is None:  # perf: nearly every line of a large file
            words = [Word(word) for word in text[at:end].split()]
            if words:
                yield Entry(line, text[at].isspace(), words)
            at, line = end + 1, line + 1
            continue
        entry, after = _joined(text, at, line)
        if entry.words:
            yield entry
        line += text.count("\n", at, after)
        at = after


def _joined(text: str, at: int, line: int) -> tuple[Entry, int]:
    """The entry at `at`, and the offset behind the line it ends on."""
    words: list[Word] = []
    opened: list[int] = []
    end = at
    for after, here, mark, word in _tokens(text, at, line):
        end = after
        if word is not None:
            words.append(word)
        elif mark == "(":
            opened.append(here)
        elif mark == ")":
            if not opened:
                raise EntryError("a parenthesis is closed that was never opened", here)
            opened.pop()
        elif not opened:
            break
    if opened:
        raise EntryError("a parenthesis is never closed", opened[0])
    return Entry(line, text[at].isspace(), words), end


def _tokens(text: str, at: int, line: int) -> Iterator[tuple[int, int, str, Word | None]]:
    """Line ends, parentheses and words from `at` on: the offset behind each, and its line."""
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = "a quote is never closed" if text[at] == '"' else "a backslash ends the file"
            raise EntryError(what, line)
        at = match.end()
        if match["mark"]:
            yield at, line, match["mark"], None
        elif match["quoted"] is not None:
            yield at, line, "", Word(match["quoted"], is_quoted=True)
        elif match["word"] is not None:
            yield at, line, "", Word(_unquoted(match["word"]))
        line += match[0].count("\n")
    yield at, line, "", None


def _unquoted(word: str) -> str:
    """A word such as `alpn="h2,h3"` without its quotes."""
    return _QUOTE.sub(lambda match: match[1] or "", word) if '"' in word else word
