"""A matcher whose time grows with the length of the text and no faster, for any expression.

A lazily made automaton says whether there is a match; only then a search that visits every pair of
instruction and place once finds where, and its groups: as in Go the leftmost, there the first.
"""

from dataclasses import dataclass
from typing import Any

from kdns.corefile.go.regex import Assertion, Chars, Choice, Group, Range, Repeat, Row, Tree

_CHARS, _SPLIT, _SAVE, _ASSERT, _MATCH = range(5)
_EDGE, _NEWLINE, _WORD, _OTHER = range(4)
_STATES = 1000
"""States kept; an expression that makes more begins anew."""


class Set:
    """A set of characters, quick to ask for those of ASCII."""

    __slots__ = ("ascii", "ranges")

    def __init__(self, ranges: tuple[Range, ...]) -> None:
        self.ranges = ranges
        low = [range(first, min(last, 127) + 1) for first, last in ranges if first < 128]
        self.ascii = frozenset(chr(code) for one in low for code in one)

    def has(self, char: str) -> bool:
        """Whether a character is in it."""
        if char in self.ascii:
            return True
        code = ord(char)
        return code > 127 and any(low <= code <= high for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class Match:
    """A match, asked as one of `re` is."""

    string: str
    spans: tuple[tuple[int, int], ...]
    """Of the whole and of each group; below zero for a group without a match."""
    names: dict[str, int]

    def __getitem__(self, group: int | str) -> str | None:
        low, high = self.spans[self.names[group] if isinstance(group, str) else group]
        return None if low < 0 else self.string[low:high]

    def groups(self) -> tuple[str | None, ...]:
        """What each group matched."""
        return tuple(self[at] for at in range(1, len(self.spans)))

    def groupdict(self) -> dict[str, str | None]:
        """What each group with a name matched."""
        return {name: self[number] for name, number in self.names.items()}


class _State(dict[str, "_State"]):
    """Instructions before one place in a text; by character, those before the next."""

    __slots__ = ("at_end", "before", "places")

    def __init__(self, places: frozenset[int], before: int) -> None:
        super().__init__()
        self.places = places
        self.before = before
        self.at_end: bool | None = None


_FOUND = _State(frozenset(), _EDGE)


class Linear:
    """A compiled expression."""

    def __init__(self, tree: Tree, groups: int) -> None:
        self.program: list[tuple[int, Any, int]] = []  # Any: a Set, a slot, a place or a kind
        self.names: dict[str, int] = {}
        self.groups = groups
        self._start = self._compile(tree, self._emit(_MATCH, None, 0))
        self._asserts = any(op == _ASSERT for op, _, _ in self.program)
        self._known: dict[tuple[frozenset[int], int], _State] = {}

    # Compiling, from the end to the beginning: each part is given where it goes on

    def _emit(self, op: int, operand: Any, after: int) -> int:  # Any: as in `program`
        self.program.append((op, operand, after))
        return len(self.program) - 1

    def _compile(self, tree: Tree, after: int) -> int:
        if isinstance(tree, Chars):
            return self._emit(_CHARS, Set(tree.ranges), after)
        if isinstance(tree, Assertion):
            return self._emit(_ASSERT, tree.kind, after)
        if isinstance(tree, Row):
            for part in reversed(tree.parts):
                after = self._compile(part, after)
            return after
        if isinstance(tree, Group):
            if tree.name:
                self.names[tree.name] = tree.number
            end = self._emit(_SAVE, 2 * tree.number + 1, after)
            return self._emit(_SAVE, 2 * tree.number, self._compile(tree.part, end))
        if isinstance(tree, Choice):
            at = self._compile(tree.parts[-1], after)
            for part in reversed(tree.parts[:-1]):
                at = self._emit(_SPLIT, self._compile(part, after), at)
            return at
        return self._repeated(tree, after)

    def _repeated(self, tree: Repeat, after: int) -> int:
        part, greedy = tree.part, tree.is_greedy
        if tree.most is None:
            loop = self._emit(_SPLIT, None, after)
            body = self._compile(part, loop)
            self.program[loop] = self._choice(body, after, is_greedy=greedy)
            # Go: `x*` of what may be empty is `(?:x+)?`.
            at = loop if tree.least == 0 and not is_nullable(part) else body
            if tree.least == 0 and is_nullable(part):
                return self._split(body, after, is_greedy=greedy)
            for _ in range(tree.least - 1):
                at = self._compile(part, at)
            return at
        at = after
        for _ in range(tree.most - tree.least):
            at = self._split(self._compile(part, at), after, is_greedy=greedy)
        for _ in range(tree.least):
            at = self._compile(part, at)
        return at

    def _choice(self, body: int, after: int, *, is_greedy: bool) -> tuple[int, Any, int]:  # Any: 1.
        return (_SPLIT, body, after) if is_greedy else (_SPLIT, after, body)

    def _split(self, body: int, after: int, *, is_greedy: bool) -> int:
        self.program.append(self._choice(body, after, is_greedy=is_greedy))
        return len(self.program) - 1

    # Whether there is a match

    def is_in(self, text: str) -> bool:
        """Whether the expression matches somewhere in a text."""
        state = self._state(frozenset(), _EDGE)
        for char in text:
            found = state.get(char)
            state = found if found is not None else self._step(state, char)
            if state is _FOUND:
                return True
        if state.at_end is None:
            state.at_end = self._closure(state, _EDGE) is None
        return state.at_end

    def _state(self, places: frozenset[int], before: int) -> _State:
        state = self._known.get((places, before))
        if state is None:
            if len(self._known) >= _STATES:
                self._known.clear()
            state = self._known[places, before] = _State(places, before)
        return state

    def _step(self, state: _State, char: str) -> _State:
        kind = _kind(char) if self._asserts else _OTHER
        places = self._closure(state, kind)
        if places is None:
            state[char] = _FOUND
            return _FOUND
        program = self.program
        found = frozenset(program[at][2] for at in places if program[at][1].has(char))
        following = state[char] = self._state(found, kind)
        return following

    def _closure(self, state: _State, after: int) -> set[int] | None:
        """The sets of characters that may come next; None when it matches here."""
        seen: set[int] = set()
        chars: set[int] = set()
        waiting = [self._start, *state.places]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            op, operand, following = self.program[at]
            if op == _MATCH:
                return None
            if op == _CHARS:
                chars.add(at)
            elif op != _ASSERT or holds(operand, state.before, after):
                waiting.append(following)
                if op == _SPLIT:
                    waiting.append(operand)
        return chars

    # Where it is

    def search(self, text: str) -> Match | None:
        """The leftmost match, of several there the one Go prefers."""
        if not self.is_in(text):
            return None
        seen: set[int] = set()
        for start in range(len(text) + 1):
            slots = self._from(start, text, seen)
            if slots is not None:
                spans = tuple(zip(slots[::2], slots[1::2], strict=True))
                return Match(text, spans, self.names)
        return None

    def _from(self, start: int, text: str, seen: set[int]) -> list[int] | None:
        """The slots of the match that begins at a place."""
        program, width = self.program, len(self.program)
        slots = [-1] * (2 * self.groups + 2)
        slots[0] = start
        # Below zero: a slot that gets its old value back.
        waiting = [(self._start, start)]
        while waiting:
            at, place = waiting.pop()
            if at < 0:
                slots[~at] = place
                continue
            while True:
                key = place * width + at
                if key in seen:
                    break
                seen.add(key)
                op, operand, at = program[at]
                if op == _SPLIT:
                    waiting.append((at, place))
                    at = operand
                elif op == _SAVE:
                    waiting.append((~operand, slots[operand]))
                    slots[operand] = place
                elif op == _MATCH:
                    slots[1] = place
                    return slots
                elif not _passes(op, operand, text, place):
                    break
                else:
                    place += op == _CHARS
        return None


def is_nullable(tree: Tree) -> bool:
    """Whether a part may match without a character."""
    if isinstance(tree, Row):
        return all(map(is_nullable, tree.parts))
    if isinstance(tree, Choice):
        return any(map(is_nullable, tree.parts))
    if isinstance(tree, Repeat):
        return tree.least == 0 or is_nullable(tree.part)
    return is_nullable(tree.part) if isinstance(tree, Group) else isinstance(tree, Assertion)


def _passes(op: int, operand: Any, text: str, place: int) -> bool:  # Any: a Set, or a kind
    """Whether an instruction that looks at the text goes on at a place."""
    if op == _CHARS:
        return place < len(text) and operand.has(text[place])
    return holds(operand, _at(text, place - 1), _at(text, place))


def _kind(char: str) -> int:
    if char == "\n":
        return _NEWLINE
    return _WORD if char == "_" or (char.isascii() and char.isalnum()) else _OTHER


def _at(text: str, place: int) -> int:
    return _kind(text[place]) if 0 <= place < len(text) else _EDGE


def holds(kind: str, before: int, after: int) -> bool:
    """Whether an assertion holds between two characters of these kinds."""
    if kind == "A":
        return before == _EDGE
    if kind == "z":
        return after == _EDGE
    if kind == "^":
        return before in {_EDGE, _NEWLINE}
    if kind == "$":
        return after in {_EDGE, _NEWLINE}
    return ((before == _WORD) != (after == _WORD)) == (kind == "b")
