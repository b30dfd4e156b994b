"""Regular expressions in the syntax of Go become compiled patterns of Python.

What both have is passed on; what Go writes otherwise is rewritten (`\\z`, `(?i)` in the middle,
`[[:alpha:]]`, `\\Q…\\E`); what Go lacks (back references, look-around) is refused as Go refuses it.
"""

import re
from dataclasses import dataclass

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_REPEAT = re.compile(r"(?:[*+?]|\{([0-9]+)(?:,([0-9]*))?\})\??")
_GROUP = re.compile(
    r"\((?:\?(?:P?<(?P<name>[A-Za-z0-9_]+)>|(?P<flags>[ims]*(?:-[ims]+)?)(?P<end>[:)])))?"
)
_ESCAPE = re.compile(
    r"\\(?:x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|(0[0-7]{0,2}|[1-7][0-7]{1,2})|(.))", re.DOTALL
)
_POSIX = re.compile(r"\[:([a-z]+):\]")
_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_MAX_DEPTH = 100
_SETS = frozenset("dDsSwW")
# Python: `\B` does not match in an empty text.
_ASSERTIONS = {"A": r"\A", "z": r"\Z", "b": r"\b", "B": r"(?!\b)"}

_UNREPEATED = frozenset({"^", "$", *_ASSERTIONS.values()})
"""What Python repeats only inside a group."""


def compile_go(text: str) -> re.Pattern[str]:
    """Compiles a regular expression of Go; raises ValueError with the reason it cannot be one."""
    try:
        return re.compile(_Translator(text).translate(), re.ASCII)
    except re.error as error:
        raise ValueError(str(error)) from error


@dataclass(slots=True)
class _Level:
    """What holds inside one pair of parentheses."""

    is_multiline: bool
    flags: list[str]
    """Groups opened for flags in the middle, such as `(?i:`; each alternative opens them again."""

    def close(self) -> str:
        return ")" * len(self.flags)


class _Translator:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.levels = [_Level(is_multiline=False, flags=[])]

    def translate(self) -> str:
        while self.at < len(self.text):
            self._step()
        if len(self.levels) > 1:
            raise ValueError("a `(` is never closed")
        return "".join(self.out) + self.levels[0].close()

    def _step(self) -> None:
        char = self.text[self.at]
        if char == "\\":
            self._escape()
        elif char == "[":
            self._class()
        elif char == "(":
            self._group()
        elif char in "|)$":
            self.at += 1
            self._mark(char)
        elif repeat := _REPEAT.match(self.text, self.at):
            self._repeat(repeat)
        else:
            self.at += 1
            self.out.append(char if char in ".^" else re.escape(char))

    def _mark(self, char: str) -> None:
        level = self.levels[-1]
        if char == "$":
            # Python: a plain `$` also matches before a last newline.
            self.out.append("$" if level.is_multiline else r"\Z")
        elif char == "|":
            self.out.append(level.close() + "|" + "".join(level.flags))
        elif len(self.levels) == 1:
            raise ValueError("a `)` closes nothing")
        else:
            self.out.append(level.close() + ")")
            self.levels.pop()

    def _repeat(self, match: re.Match[str]) -> None:
        if any(int(bound) > 1000 for bound in match.groups() if bound):
            raise ValueError(f"{match[0]} repeats more than 1000 times")
        self.at = match.end()
        if _REPEAT.match(self.text, self.at):
            raise ValueError(f"{match[0]} is followed by another repetition")
        if self.out and self.out[-1] in _UNREPEATED:
            self.out[-1] = f"(?:{self.out[-1]})"
        self.out.append(match[0])

    def _group(self) -> None:
        match = _GROUP.match(self.text, self.at)
        assert match is not None
        if match[0] == "(" and self.text.startswith("(?", self.at):
            raise ValueError("Go has no look-around and no such group: " + self.text[self.at :][:4])
        if len(self.levels) > _MAX_DEPTH:
            raise ValueError(f"over {_MAX_DEPTH} parentheses inside one another")
        self.at = match.end()
        level = self.levels[-1]
        flags = match["flags"] or ""
        if match["end"] == ")":
            if not flags:
                raise ValueError("`(?)` names no flag")
            level.is_multiline = _multiline(flags, level)
            level.flags.append(f"(?{flags}:")
            self.out.append(level.flags[-1])
            return
        self.out.append(f"(?P<{match['name']}>" if match["name"] else match[0])
        self.levels.append(_Level(_multiline(flags, level), []))

    def _escape(self) -> None:
        if self.text.startswith(r"\Q", self.at):
            quoted, _, _ = self.text[self.at + 2 :].partition(r"\E")
            self.out.append(re.escape(quoted))
            self.at = min(self.at + len(quoted) + 4, len(self.text))
            return
        letter = self.text[self.at + 1 : self.at + 2]
        if letter in _ASSERTIONS:
            self.out.append(_ASSERTIONS[letter])
            self.at += 2
            return
        self.out.append(self._char())

    def _char(self) -> str:
        """One character, or an escape that stands for a set of them, for use in a class or out."""
        match = _ESCAPE.match(self.text, self.at)
        if match is None:
            if self.text[self.at] == "\\":
                raise ValueError(r"it ends in `\`")
            self.at += 1
            return re.escape(self.text[self.at - 1])
        self.at = match.end()
        if code := match[1] or match[2]:
            return re.escape(chr(int(code, 16)))
        if match[3]:
            return re.escape(chr(int(match[3], 8)))
        char = match[4]
        if char in _SETS:
            return "\\" + char
        if char in _CONTROL:
            return re.escape(_CONTROL[char])
        if char.isalnum() or not char.isascii():
            raise ValueError(rf"`\{char}` means nothing here, or is not supported")
        return re.escape(char)

    def _class(self) -> None:
        text = self.text
        self.at += 1
        out = "["
        if text.startswith("^", self.at):
            self.at += 1
            out += "^"
        is_empty = True
        while is_empty or not text.startswith("]", self.at):
            if self.at >= len(text):
                raise ValueError("a `[` is never closed")
            out += self._range()
            is_empty = False
        self.at += 1
        self.out.append(out + "]")

    def _range(self) -> str:
        posix = _POSIX.match(self.text, self.at)
        if posix:
            if posix[1] not in _CLASSES:
                raise ValueError(f"there is no class {posix[0]}")
            self.at = posix.end()
            return _CLASSES[posix[1]]
        first = self._char()
        if (
            first[1:] in _SETS
            or not self.text.startswith("-", self.at)
            or self.text.startswith("-]", self.at)
        ):
            return first
        self.at += 1
        if self.at == len(self.text):
            raise ValueError("a `[` is never closed")
        return first + "-" + self._char()


def _multiline(flags: str, level: _Level) -> bool:
    on, _, off = flags.partition("-")
    return ("m" in on or level.is_multiline) and "m" not in off
