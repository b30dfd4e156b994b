"""Option tables: what a plugin declares it takes; `check` turns a Directive into Settings by them.

A plugin names the shape of its arguments and of each option; `check` does the counting, the
converting and the messages once for all. Converters take the text of a word and return a value;
they raise ValueError with what was expected, in words that complete "expected …".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdns.corefile.tree import ConfigError, Directive, Word

Convert = Callable[[str], Any]  # Any: each converter has its own value type


@dataclass(frozen=True, slots=True)
class Shape:
    """The words that may follow a name: required ones, optional ones, then any number of `rest`."""

    words: tuple[Convert, ...] = ()
    maybe: tuple[Convert, ...] = ()
    rest: Convert | None = None
    at_least: int = 0
    repeats: bool = False
    """The option may be given more than once."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """All that a directive takes."""

    args: Shape = field(default_factory=Shape)
    options: Mapping[str, Shape] = field(default_factory=dict)
    other: Shape | None = None
    """Shape of lines whose first word is no option; that word is then their first value."""
    repeats: bool = False
    """The directive may stand more than once in a server block."""
    removed: Mapping[str, str] = field(default_factory=dict)
    """Options of old releases, each with the hint that its error gives."""


@dataclass(frozen=True, slots=True)
class Line:
    """One checked option: its name ("" for an `other` line) and converted values."""

    name: str
    values: tuple[Any, ...]
    word: Word

    def fail(self, why: str, hint: str = "") -> ConfigError:
        """The error to raise about this line."""
        return self.word.fail(why, hint)


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked directive."""

    name: str
    args: tuple[Any, ...]
    lines: tuple[Line, ...]
    word: Word

    def all(self, option: str) -> tuple[Line, ...]:
        """Every line of an option, in file order."""
        return tuple(line for line in self.lines if line.name == option)

    def has(self, option: str) -> bool:
        """True when the option is given."""
        return any(line.name == option for line in self.lines)

    def get(self, option: str, default: Any = None) -> Any:
        """The first value of an option's last line; True for an option without values."""
        for line in reversed(self.lines):
            if line.name == option:
                return line.values[0] if line.values else True
        return default

    def values(self, option: str) -> tuple[Any, ...]:
        """The values of all lines of an option, joined."""
        return tuple(value for line in self.all(option) for value in line.values)

    def fail(self, why: str, hint: str = "") -> ConfigError:
        """The error to raise about the directive as a whole."""
        return self.word.fail(why, hint)


def check(directive: Directive, syntax: Syntax) -> Settings:
    """Checks a directive against what its plugin takes; raises ConfigError."""
    raise NotImplementedError
