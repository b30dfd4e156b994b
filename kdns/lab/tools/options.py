"""Reads a command line as getopt does: flags, options with values, and words in any order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class UsageError(Exception):
    """What is wrong with a command line."""


@dataclass(slots=True)
class Options:
    """What stands on a command line; long options under their short letter."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def last(self, letter: str, otherwise: str = "") -> str:
        """The value that counts."""
        return self.values.get(letter, [otherwise])[-1]


def read(
    words: Sequence[str], *, flags: str, values: str, long: Mapping[str, str] | None = None
) -> Options:
    """The options; raises UsageError for what is none of these letters."""
    found = Options()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            found.words += rest
            break
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
            letter = (long or {}).get(name, "")
            if not letter:
                raise UsageError(f"option --{name}: is unknown to this one")
            _take(found, letter, [value] if has_value else rest, values)
        elif word.startswith("-") and len(word) > 1:
            _letters(found, word[1:], rest, flags, values)
        else:
            found.words.append(word)
    return found


def _letters(found: Options, letters: str, rest: list[str], flags: str, values: str) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in values:
            _take(found, letter, [letters] if letters else rest, values)
            return
        if letter not in flags:
            raise UsageError(f"option -{letter}: is unknown to this one")
        found.flags.add(letter)


def _take(found: Options, letter: str, rest: list[str], values: str) -> None:
    if letter not in values:
        found.flags.add(letter)
        return
    if not rest:
        raise UsageError(f"option -{letter}: requires an argument")
    found.values.setdefault(letter, []).append(rest.pop(0))
