"""What a parsed Corefile is made of: words that know their file and line, directives, blocks."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

BRACE = "`}` must stand on a line of its own"
"""The hint for text beside a closing brace."""


class ConfigError(Exception):
    """A mistake in a configuration: where, what is wrong, and what to do about it."""

    def __init__(self, file: str, line: int, why: str, hint: str = "") -> None:
        where = f"{file}:{line}" if line else file  # line 0: the file as a whole
        super().__init__(f"{where}: {why}" + (f" ({hint})" if hint else ""))
        self.file = file
        self.line = line
        self.why = why
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Word:
    """One token and where it stands."""

    text: str
    file: str
    line: int

    def fail(self, why: str, hint: str = "") -> ConfigError:
        """The error to raise about this word."""
        return ConfigError(self.file, self.line, why, hint)


@dataclass(frozen=True, slots=True)
class Directive:
    """A name, its arguments, and the lines of its block; None when it has no block."""

    name: Word
    args: tuple[Word, ...] = ()
    body: "tuple[Directive, ...] | None" = None


@dataclass(frozen=True, slots=True)
class Block:
    """A server block as written: its keys and its directives."""

    keys: tuple[Word, ...]
    directives: tuple[Directive, ...]


def nearest(name: str, words: Iterable[str]) -> str:
    """A hint that names the most similar known word; empty when none is near."""
    found = get_close_matches(name.lower(), sorted(words), n=1)
    return f"did you mean {found[0]!r}?" if found else ""
