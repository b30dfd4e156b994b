"""Regular expressions in the syntax of Go become Patterns whose time is bounded.

`re` backtracks: `(a+)+$` on a name made for it runs for years. So each expression is judged when it
is read: how its work grows with the length of a text. Up to the length where that stays small `re`
searches, which is quick; longer texts go to `linear`, which gives the same match (tests hold both
to it) in time that grows with the length only.
"""

import re
from dataclasses import dataclass
from math import factorial
from typing import Protocol

from kdns.corefile.go import regex as gosyntax
from kdns.corefile.go.regex import LAST, Assertion, Chars, Choice, Group, Range, Repeat, Row, Tree
from kdns.corefile.linear import Linear, is_nullable

_WORK = 50_000
"""Steps that `re` may take at worst, each some nanoseconds."""
_LONGEST = 1 << 20
_SMALL = 8
"""Repetitions of at most so many count as choices, more as any number."""
_ALL = (1 << 129) - 1
"""A bit for each character of ASCII, one for all others."""


class Match(Protocol):
    """What a match is asked for."""

    @property
    def string(self) -> str:
        """The text searched."""

    def __getitem__(self, group: int | str, /) -> str | None: ...

    def groups(self) -> tuple[str | None, ...]:
        """What each group matched."""

    def groupdict(self) -> dict[str, str | None]:
        """What each group with a name matched."""


class Pattern:
    """A compiled expression."""

    __slots__ = ("_is_led", "_linear", "_quick", "_tree", "groups", "limit", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._tree, self.groups = gosyntax.parse(text)
        self.limit = _limit(self._tree)
        """Texts longer than this go to the linear matcher."""
        self._quick = None
        self._is_led = _is_led(self._tree)
        if self.limit >= 0:
            pattern = re.compile(written(self._tree), re.ASCII)
            self._quick = pattern.match if self._is_led else pattern.search
        self._linear: Linear | None = None

    def search(self, text: str) -> Match | None:
        """The leftmost match in a text, or None."""
        is_short = len(text) <= self.limit and not (self._is_led and "\n" in text)
        if self._quick is not None and is_short:
            return self._quick(text)
        if self._linear is None:
            self._linear = Linear(self._tree, self.groups)
        return self._linear.search(text)


def compile_go(text: str) -> Pattern:
    """Compiles a regular expression of Go; raises ValueError with the reason it cannot be one."""
    try:
        return Pattern(text)
    except (re.error, OverflowError) as error:
        raise ValueError(str(error)) from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


# For re


def written(tree: Tree) -> str:
    """A tree as Python writes it."""
    if isinstance(tree, Chars):
        return _set(tree.ranges)
    if isinstance(tree, Assertion):
        # Python: `\B` does not match in an empty text.
        return {"A": r"\A", "z": r"\Z", "^": "(?m:^)", "$": "(?m:$)", "b": r"\b", "B": r"(?!\b)"}[
            tree.kind
        ]
    if isinstance(tree, Row):
        return "".join(map(_part, tree.parts))
    if isinstance(tree, Choice):
        return "|".join(map(written, tree.parts))
    if isinstance(tree, Group):
        name = f"?P<{tree.name}>" if tree.name else ""
        return f"({name}{written(tree.part)})"
    most = "" if tree.most is None else tree.most
    part = written(tree.part)
    if not isinstance(tree.part, Chars | Group):
        part = f"(?:{part})"
    counts = {(0, ""): "*", (1, ""): "+", (0, 1): "?"}
    mark = counts.get((tree.least, most), f"{{{tree.least},{most}}}")
    return part + mark + ("" if tree.is_greedy else "?")


def _part(tree: Tree) -> str:
    return f"(?:{written(tree)})" if isinstance(tree, Choice) else written(tree)


def _set(ranges: tuple[Range, ...]) -> str:
    if not ranges:
        return r"[^\x00-\U0010ffff]"
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return re.escape(chr(ranges[0][0]))
    return "[" + "".join(f"{_code(low)}-{_code(high)}" for low, high in ranges) + "]"


def _code(code: int) -> str:
    return f"\\U{code:08x}"


# How much work it may be for re


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What follows a part: the characters it may begin with, and whether nothing can fail."""

    bits: int
    always: bool


class _Wild(Exception):
    """The work may grow faster than any power of the length."""


def _limit(tree: Tree) -> int:
    """The length up to which the work of `re` stays within bounds; below zero for none."""
    judge = _Judge()
    try:
        degree, ways = judge.ways(tree, _Ahead(0, always=True))
    except _Wild:
        return -1
    degree += judge.scans + (not _is_anchored(tree) and not _is_led(tree))
    if degree < 2:
        return _LONGEST if ways <= _WORK else -1
    length = 0
    while ways * (length + 16) ** degree <= _WORK * factorial(degree) and length < _LONGEST:
        length += 16
    return length or -1


class _Judge:
    """Counts the ways an expression may match from one place: a number times a power of length."""

    def __init__(self) -> None:
        self.scans = False
        """One way may look at any number of characters."""

    def ways(self, tree: Tree, ahead: _Ahead) -> tuple[int, int]:
        """The power, and the number."""
        if isinstance(tree, Chars | Assertion):
            return 0, 1
        if isinstance(tree, Group):
            return self.ways(tree.part, ahead)
        if isinstance(tree, Row):
            return self.row(tree, ahead)
        return self.choice(tree, ahead) if isinstance(tree, Choice) else self.repeat(tree, ahead)

    def row(self, tree: Row, ahead: _Ahead) -> tuple[int, int]:
        degree, ways = 0, 1
        for part in reversed(tree.parts):
            more, times = self.ways(part, ahead)
            degree, ways = degree + more, min(ways * times, _WORK + 1)
            ahead = _begins(part, ahead)
        return degree, ways

    def choice(self, tree: Choice, ahead: _Ahead) -> tuple[int, int]:
        found = [self.ways(part, ahead) for part in tree.parts]
        firsts = [_begins(part, ahead).bits for part in tree.parts]
        apart = all(not a & b for at, a in enumerate(firsts) for b in firsts[at + 1 :])
        counts = [ways for _, ways in found]
        return max(degree for degree, _ in found), max(counts) if apart else sum(counts)

    def repeat(self, tree: Repeat, ahead: _Ahead) -> tuple[int, int]:
        first = _first(tree.part)
        is_sure = ahead.always or not first & ahead.bits
        if (tree.least, tree.most) == (0, 1):
            degree, ways = self.ways(tree.part, ahead)
            return degree, ways + (not is_sure)
        always = ahead.always and tree.least < 2 and tree.most != tree.least
        degree, ways = self.ways(tree.part, _Ahead(ahead.bits | first, always))
        if tree.most == tree.least < _SMALL and not degree:
            return 0, min(int(ways**tree.least), _WORK + 1)
        if is_nullable(tree.part) or (degree, ways) != (0, 1):
            raise _Wild
        if is_sure or tree.most == tree.least:
            self.scans |= tree.most is None or tree.most >= _SMALL
            return 0, 1
        is_short = tree.most is not None and tree.most - tree.least < _SMALL
        return (0, tree.most - tree.least + 1) if is_short and tree.most else (1, 1)


def _begins(tree: Tree, ahead: _Ahead) -> _Ahead:
    """What may come at the beginning of a part with this behind it."""
    if isinstance(tree, Assertion):
        if tree.kind == "z":
            return _Ahead(0, always=False)
        return _Ahead(1 << 10 if tree.kind == "$" else ahead.bits | (_ALL * ahead.always), False)
    if isinstance(tree, Row):
        for part in reversed(tree.parts):
            ahead = _begins(part, ahead)
        return ahead
    first = _first(tree)
    if not is_nullable(tree):
        return _Ahead(first, always=False)
    return _Ahead(first | ahead.bits, ahead.always)


def _first(tree: Tree) -> int:
    """The characters a part may begin with, as bits."""
    if isinstance(tree, Chars):
        bits = 0
        for low, high in tree.ranges:
            bits |= (1 << min(high, 127) + 1) - (1 << low) if low < 128 else 0
            bits |= (high > 127) << 128
        return bits
    if isinstance(tree, Row):
        bits = 0
        for part in tree.parts:
            bits |= _first(part)
            if not is_nullable(part):
                break
        return bits
    if isinstance(tree, Choice):
        bits = 0
        for part in tree.parts:
            bits |= _first(part)
        return bits
    return 0 if isinstance(tree, Assertion) else _first(tree.part)


def _is_anchored(tree: Tree) -> bool:
    """Whether it matches only at the beginning of a text."""
    if isinstance(tree, Row):
        return bool(tree.parts) and _is_anchored(tree.parts[0])
    if isinstance(tree, Choice):
        return all(map(_is_anchored, tree.parts))
    if isinstance(tree, Group):
        return _is_anchored(tree.part)
    return isinstance(tree, Assertion) and tree.kind == "A"


def _is_led(tree: Tree) -> bool:
    """Whether it begins with `.*`: if it matches anywhere in a line, then from its beginning."""
    if isinstance(tree, Row):
        return bool(tree.parts) and _is_led(tree.parts[0])
    if isinstance(tree, Group):
        return _is_led(tree.part)
    if not isinstance(tree, Repeat) or not isinstance(tree.part, Chars):
        return False
    return tree.most is None and tree.part.ranges in {((0, 9), (11, LAST)), ((0, LAST),)}


def repeats_nothing(tree: Tree) -> bool:
    """Whether a part that may be empty is repeated: there Python and Go differ."""
    if isinstance(tree, Repeat):
        again = tree.most is None or tree.most > 1
        return (again and is_nullable(tree.part)) or repeats_nothing(tree.part)
    if isinstance(tree, Row | Choice):
        return any(map(repeats_nothing, tree.parts))
    return repeats_nothing(tree.part) if isinstance(tree, Group) else False
