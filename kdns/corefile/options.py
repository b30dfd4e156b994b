"""Option tables: what a plugin declares it takes; `check` turns a Directive into Settings by them.

A plugin names the shape of its arguments and of each option; `check` does the counting, the
converting and the messages once for all. Converters take the text of a word and return a value;
they raise ValueError with what was expected, in words that complete "expected …".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdns.corefile.tree import BRACE, ConfigError, Directive, Word, nearest
from kdns.corefile.values import (
    address,
    choice,
    class_,
    duration,
    host_port,
    integer,
    network,
    number,
    percent,
    rcode,
    regex,
    text,
    type_,
    zone,
    zones,
)

__all__ = [
    "Convert",
    "Line",
    "Settings",
    "Shape",
    "Syntax",
    "address",
    "check",
    "check_all",
    "choice",
    "class_",
    "duration",
    "host_port",
    "integer",
    "network",
    "number",
    "percent",
    "rcode",
    "regex",
    "text",
    "type_",
    "zone",
    "zones",
]

Convert = Callable[[str], Any]  # Any: each converter has its own value type


@dataclass(frozen=True, slots=True)
class Shape:
    """The words that may follow a name: required ones, optional ones, then any number of `rest`."""

    words: tuple[Convert, ...] = ()
    maybe: tuple[Convert, ...] = ()
    rest: Convert | None = None
    at_least: int = 0
    repeats: bool = False
    """The option may be given more than once; of one that does not repeat, the last line counts."""
    is_single: bool = False
    """CoreDNS: a second line of the option is an error."""
    is_loose: bool = False
    """CoreDNS does not look at further words, so the closing `}` may stand on the option's line."""
    is_skippable: bool = False
    """CoreDNS passes over a line that is wrong: a warning, so that its Corefiles are taken."""


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
    """Checks a directive against what its plugin takes; raises the first ConfigError."""
    errors: list[ConfigError] = []
    settings = check_all(directive, syntax, errors)
    if errors:
        raise errors[0]
    return settings


def check_all(
    directive: Directive,
    syntax: Syntax,
    errors: list[ConfigError],
    warn: Callable[[str], None] = lambda _: None,
) -> Settings:
    """Checks a directive; appends every mistake to `errors` and returns what is right."""
    name = directive.name
    if directive.body is not None and not syntax.options and not syntax.other:
        errors.append(name.fail(f"{name.text} takes no block"))
        return Settings(name.text, (), (), name)
    args = _values(name.text, name, directive.args, syntax.args, errors)
    found = [_line(name.text, line, syntax, errors, warn) for line in directive.body or ()]
    given = [line for line in found if line]
    for at, line in enumerate(given):
        is_single = line.name in syntax.options and syntax.options[line.name].is_single
        if is_single and any(line.name == before.name for before in given[:at]):
            errors.append(line.fail(f"{name.text}: {line.name} may stand once"))
    lines = _last_of_each(given, syntax, warn)
    return Settings(name.text, args or (), lines, name)


def _last_of_each(
    lines: Sequence[Line], syntax: Syntax, warn: Callable[[str], None]
) -> tuple[Line, ...]:
    """Drops all but the last line of options that do not repeat, as CoreDNS does."""
    last = {line.name: line for line in lines}
    kept = []
    for line in lines:
        if not line.name or line is last[line.name] or syntax.options[line.name].repeats:
            kept.append(line)
        else:
            at = f"{line.word.file}:{line.word.line}"
            again = last[line.name].word.line
            warn(f"{at}: {line.name} is given again on line {again}, which counts")
    return tuple(kept)


def _line(
    plugin: str,
    line: Directive,
    syntax: Syntax,
    errors: list[ConfigError],
    warn: Callable[[str], None],
) -> Line | None:
    name = line.name
    option, words = name.text, line.args
    shape = syntax.options.get(option)
    if shape is None and syntax.other is not None:
        option, words, shape = "", (name, *words), syntax.other
    if shape is None:
        errors.append(_unknown(plugin, name, syntax))
        return None
    what = f"{plugin} {option}".rstrip()
    if line.body is not None:
        errors.append(name.fail(f"{what}: unexpected `{{` at the end of the line"))
        return None
    mistakes: list[ConfigError] = []
    values = _values(what, name, words, shape, mistakes)
    if shape.is_skippable:
        for mistake in mistakes:
            warn(f"{mistake}; the line is skipped")
    else:
        errors.extend(mistakes)
    return None if values is None else Line(option, values, name)


def _unknown(plugin: str, name: Word, syntax: Syntax) -> ConfigError:
    if name.text in syntax.removed:
        return name.fail(f"{plugin}: {name.text} is no option any more", syntax.removed[name.text])
    return name.fail(f"{plugin}: unknown option {name.text!r}", nearest(name.text, syntax.options))


def _values(
    what: str, name: Word, words: tuple[Word, ...], shape: Shape, errors: list[ConfigError]
) -> tuple[Any, ...] | None:
    """The converted words; None after a mistake."""
    converts = [*shape.words, *shape.maybe]
    least = len(shape.words)
    if shape.rest:
        converts += [shape.rest] * max(len(words) - len(converts), 0)
        least = len(shape.words) + len(shape.maybe) * bool(shape.at_least) + shape.at_least
    elif shape.is_loose and len(words) > len(converts) and words[-1].text == "}":
        words = words[:-1]
    if len(words) < least:
        if _converted(what, words, converts, errors) is None:
            return None
        wanted = _wanted([*converts, shape.rest or text][len(words)])
        errors.append(name.fail(f"{what}: expected {wanted}, found the end of the line"))
        return None
    if len(words) > len(converts):
        errors.append(_surplus(what, words[len(converts)]))
        return None
    return _converted(what, words, converts, errors)


def _converted(
    what: str, words: Sequence[Word], converts: Sequence[Convert], errors: list[ConfigError]
) -> tuple[Any, ...] | None:
    values = []
    for word, convert in zip(words, converts, strict=False):
        try:
            values.append(convert(word.text))
        except ValueError as error:
            errors.append(word.fail(f"{what}: expected {error}, found {word.text!r}"))
    return tuple(values) if len(values) == len(words) else None


def _wanted(convert: Convert) -> str:
    try:
        convert("")
    except ValueError as error:
        return str(error)
    return "an argument"


def _surplus(what: str, word: Word) -> ConfigError:
    hint = BRACE if word.text == "}" else ""
    return word.fail(f"{what}: unexpected {word.text!r} at the end of the line", hint)
