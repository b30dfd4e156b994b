"""A regular expression in the syntax of Go becomes a tree; what Go refuses is refused.

Flags are spent here: a tree has sets of characters, repetitions, groups and assertions that mean
the same wherever they stand. `patterns` turns it into a pattern of Python, `linear` into a program.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

Range = tuple[int, int]
LAST = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of these ranges, which are in order and apart."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Assertion:
    """`A` begin and `z` end of text, `^` and `$` of a line, `b` edge of a word, `B` none."""

    kind: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part again and again; without `most` any number of times."""

    part: "Tree"
    least: int
    most: int | None
    is_greedy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A part whose match is kept under a number, and a name if it has one."""

    part: "Tree"
    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """Parts one behind the other."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The first of these parts with which the whole matches."""

    parts: tuple["Tree", ...]


Tree = Chars | Assertion | Repeat | Group | Row | Choice

_CLASSES = {
    "alnum": "09AZaz", "alpha": "AZaz", "ascii": "\0\x7f", "blank": "\t\t  ",
    "cntrl": "\0\x1f\x7f\x7f", "digit": "09", "graph": "!~", "lower": "az", "print": " ~",
    "punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ", "word": "09AZ__az", "xdigit": "09AFaf",
    "d": "09", "s": "\t\n\f\r  ", "w": "09AZ__az",
}  # fmt: skip
_REPEAT = re.compile(r"(?:([*+?])|\{([0-9]+)(?:(,)([0-9]*))?\})(\??)")
_GROUP = re.compile(
    r"\((?:\?(?:P?<(?P<name>[A-Za-z0-9_]+)>|(?P<flags>[imsU]*(?:-[imsU]+)?)(?P<end>[:)])))?"
)
_ESCAPE = re.compile(
    r"\\(?:x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|(0[0-7]{0,2}|[1-7][0-7]{1,2})|(.))", re.DOTALL
)
_POSIX = re.compile(r"\[:(\^?)([a-z]+):\]")
_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ASSERTIONS = frozenset("AzbB")
_MOST = 1000
_DEEPEST = 100
_FOLDED = 3000
"""Beyond ASCII, ranges up to this wide match both cases under `(?i)`."""


@dataclass(slots=True)
class _Level:
    """What stands inside one pair of parentheses."""

    flags: frozenset[str]
    head: tuple[int, str] | None = None
    """Number and name of the group it is."""
    choices: list[Tree] = field(default_factory=list)
    row: list[Tree] = field(default_factory=list)

    def close(self) -> Tree:
        parts = (*self.choices, _row(self.row))
        part = parts[0] if len(parts) == 1 else Choice(parts)
        return Group(part, *self.head) if self.head else part


def parse(text: str) -> tuple[Tree, int]:
    """The tree of an expression and how many groups it has; raises ValueError with the reason."""
    reader = _Reader(text)
    tree = reader.whole()
    if not _fits(tree, _MOST):
        raise ValueError(f"repetitions inside one another make more than {_MOST}")
    return tree, reader.groups


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.groups = 0
        self.names: set[str] = set()
        self.levels = [_Level(frozenset())]

    def whole(self) -> Tree:
        while self.at < len(self.text):
            self.step()
        if len(self.levels) > 1:
            raise ValueError("a `(` is never closed")
        return self.levels[0].close()

    def step(self) -> None:
        char = self.text[self.at]
        level = self.levels[-1]
        if char == "\\":
            self.escape(level)
        elif char == "[":
            level.row.append(self.chars())
        elif char == "(":
            self.group()
        elif char in "|).^$":
            self.at += 1
            self.mark(char, level)
        elif repeat := _REPEAT.match(self.text, self.at):
            self.repeat(repeat, level)
        else:
            self.at += 1
            level.row.append(self.one(ord(char)))

    def one(self, code: int) -> Chars:
        return Chars(_joined(self.folded([(code, code)])))

    def folded(self, ranges: list[Range]) -> list[Range]:
        """A set as the flags here have it."""
        return [*ranges, *_other_cases(ranges)] if "i" in self.levels[-1].flags else ranges

    def named(self, name: str, *, is_negated: bool) -> tuple[Range, ...]:
        """A set with a name. Go: it gets its other cases before it is turned round."""
        ends = _CLASSES[name]
        pairs = zip(ends[::2], ends[1::2], strict=True)
        found = _joined(self.folded([(ord(low), ord(high)) for low, high in pairs]))
        return _rest(found) if is_negated else found

    def mark(self, char: str, level: _Level) -> None:
        if char == ".":
            level.row.append(Chars(_joined([(0, LAST)] if "s" in level.flags else _NO_NEWLINE)))
        elif char in "^$":
            kind = char if "m" in level.flags else {"^": "A", "$": "z"}[char]
            level.row.append(Assertion(kind))
        elif char == "|":
            level.choices.append(_row(level.row))
            level.row = []
        elif len(self.levels) == 1:
            raise ValueError("a `)` closes nothing")
        else:
            self.levels.pop()
            self.levels[-1].row.append(level.close())

    def repeat(self, match: re.Match[str], level: _Level) -> None:
        mark, low, comma, high, lazy = match.groups()
        least = 0 if mark in {"*", "?"} else 1 if mark else int(low)
        most = 1 if mark == "?" else None if mark or (comma and not high) else int(high or low)
        if max(least, most or 0) > _MOST:
            raise ValueError(f"{match[0]} repeats more than {_MOST} times")
        if most is not None and most < least:
            raise ValueError(f"{match[0]} has its bounds the wrong way round")
        self.at = match.end()
        if _REPEAT.match(self.text, self.at):
            raise ValueError(f"{match[0]} is followed by another repetition")
        if not level.row:
            raise ValueError(f"there is nothing to repeat before {match[0]}")
        is_greedy = bool(lazy) == ("U" in level.flags)
        level.row[-1] = Repeat(level.row[-1], least, most, is_greedy)

    def group(self) -> None:
        match = _GROUP.match(self.text, self.at)
        assert match is not None
        if match[0] == "(" and self.text.startswith("(?", self.at):
            raise ValueError("Go has no look-around and no such group: " + self.text[self.at :][:4])
        if len(self.levels) > _DEEPEST:
            raise ValueError(f"over {_DEEPEST} parentheses inside one another")
        self.at = match.end()
        level, name = self.levels[-1], match["name"] or ""
        flags = _flags(match["flags"] or "", level.flags)
        if match["end"] == ")":
            if not match["flags"]:
                raise ValueError("`(?)` names no flag")
            level.flags = flags
            return
        if match["end"]:
            self.levels.append(_Level(flags))
            return
        if name in self.names or name[:1].isdigit():
            raise ValueError(f"bad character in group name {name!r}, or another group has it")
        self.names |= {name} if name else set()
        self.groups += 1
        self.levels.append(_Level(flags, (self.groups, name)))

    def escape(self, level: _Level) -> None:
        if self.text.startswith(r"\Q", self.at):
            quoted, _, _ = self.text[self.at + 2 :].partition(r"\E")
            level.row += [self.one(ord(char)) for char in quoted]
            self.at = min(self.at + len(quoted) + 4, len(self.text))
            return
        letter = self.text[self.at + 1 : self.at + 2]
        if letter in _ASSERTIONS and letter:
            level.row.append(Assertion(letter))
            self.at += 2
            return
        found = self.char()
        level.row.append(self.one(found) if isinstance(found, int) else Chars(found))

    def char(self) -> int | tuple[Range, ...]:
        """One character, or the set an escape stands for."""
        match = _ESCAPE.match(self.text, self.at)
        if match is None:
            if self.text[self.at] == "\\":
                raise ValueError(r"it ends in `\`")
            self.at += 1
            return ord(self.text[self.at - 1])
        self.at = match.end()
        char = match[4]
        if char is None:
            code = int(match[1] or match[2] or "0", 16) or int(match[3] or "0", 8)
            if code > LAST:
                raise ValueError(f"{match[0]} is beyond what chr can be")
            return code
        if char.lower() in "dsw":
            return self.named(char.lower(), is_negated=char.isupper())
        if char in _CONTROL:
            return ord(_CONTROL[char])
        if char.isalnum() or not char.isascii():
            raise ValueError(rf"`\{char}` means nothing here, or is not supported")
        return ord(char)

    def chars(self) -> Chars:
        self.at += 1
        is_negated = self.text.startswith("^", self.at)
        self.at += is_negated
        ranges: list[Range] = []
        is_empty = True
        while is_empty or not self.text.startswith("]", self.at):
            if self.at >= len(self.text):
                raise ValueError("a `[` is never closed")
            ranges += self.range()
            is_empty = False
        self.at += 1
        found = _joined(ranges)
        return Chars(_rest(found) if is_negated else found)

    def range(self) -> Iterable[Range]:
        posix = _POSIX.match(self.text, self.at)
        if posix:
            if posix[2] not in _CLASSES or len(posix[2]) == 1:
                raise ValueError(f"there is no class {posix[0]}")
            self.at = posix.end()
            return self.named(posix[2], is_negated=bool(posix[1]))
        first = self.char()
        if not isinstance(first, int):
            return first
        if not self.text.startswith("-", self.at) or self.text.startswith("-]", self.at):
            return self.folded([(first, first)])
        self.at += 1
        if self.at == len(self.text):
            raise ValueError("a `[` is never closed")
        last = self.char()
        if not isinstance(last, int) or last < first:
            raise ValueError("bad character range")
        return self.folded([(first, last)])


_NO_NEWLINE: list[Range] = [(0, 9), (11, LAST)]


def _row(parts: list[Tree]) -> Tree:
    return parts[0] if len(parts) == 1 else Row(tuple(parts))


def _flags(text: str, before: frozenset[str]) -> frozenset[str]:
    on, _, off = text.partition("-")
    return (before | frozenset(on)) - frozenset(off)


def _joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same characters in ranges that are in order and apart."""
    out: list[Range] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)


def _rest(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    """All other characters."""
    out, at = [], 0
    for low, high in ranges:
        if at < low:
            out.append((at, low - 1))
        at = high + 1
    return (*out, (at, LAST)) if at <= LAST else tuple(out)


def _other_cases(ranges: Iterable[Range]) -> list[Range]:
    out: list[Range] = []
    for low, high in ranges:
        for first, last, by in ((65, 90, 32), (97, 122, -32)):
            if low <= last and high >= first:
                out.append((max(low, first) + by, min(high, last) + by))
        # Go: the Kelvin sign and the long s fold to letters of ASCII, too.
        for letters, other in (("kK", 0x212A), ("sS", 0x17F)):
            if any(low <= ord(letter) <= high for letter in letters):
                out.append((other, other))
        for code in range(max(low, 128), min(high, max(low, 128) + _FOLDED) + 1):
            cased = {chr(code).lower(), chr(code).upper()}
            out += [(ord(one), ord(one)) for one in cased if len(one) == 1]
    return out


def _fits(tree: Tree, most: int) -> bool:
    """Go: bounded repetitions inside one another may not multiply to more than 1000."""
    if isinstance(tree, Repeat):
        count = tree.least if tree.most is None else tree.most
        return count == 0 or (count <= most and _fits(tree.part, most // max(count, 1)))
    if isinstance(tree, Row | Choice):
        return all(_fits(part, most) for part in tree.parts)
    return _fits(tree.part, most) if isinstance(tree, Group) else True
