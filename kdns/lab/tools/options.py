"""Reads a command line as getopt does: flags, options with values, and words in any order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field


class UsageError(Exception):
    """What is wrong with a command line."""


@dataclass(slots=True)
class Options:
    """What stands on a command line; long options under their short letter if they have one."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def last(self, name: str, otherwise: str = "") -> str:
        """The value that counts."""
        return self.values.get(name, [otherwise])[-1]

    def number(self, name: str) -> float:
        """The value as seconds, 0 without one; raises UsageError."""
        try:
            return float(self.last(name, "0"))
        except ValueError:
            raise UsageError(f"expected a proper numerical parameter for {name}") from None


def read(
    words: Sequence[str],
    *,
    flags: Collection[str],
    values: Collection[str],
    long: Mapping[str, str] | None = None,
) -> Options:
    """The options; raises UsageError for what is none of these."""
    found = Options()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            found.words += rest
            break
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
            known = (long or {}).get(name, name)
            if known not in flags and known not in values:
                raise UsageError(f"option {word}: is unknown to this one")
            _take(found, known, [value] if has_value else rest, values)
        elif word.startswith("-") and len(word) > 1:
            _letters(found, word[1:], rest, flags, values)
        else:
            found.words.append(word)
    return found


def _letters(
    found: Options, letters: str, rest: list[str], flags: Collection[str], values: Collection[str]
) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in values:
            _take(found, letter, [letters] if letters else rest, values)
            return
        if letter not in flags:
            raise UsageError(f"option -{letter}: is unknown to this one")
        found.flags.add(letter)


def _take(found: Options, name: str, rest: list[str], values: Collection[str]) -> None:
    if name not in values:
        found.flags.add(name)
        return
    if not rest:
        dashes = "-" if len(name) == 1 else "--"
        raise UsageError(f"option {dashes}{name}: requires an argument")
    found.values.setdefault(name, []).append(rest.pop(0))
