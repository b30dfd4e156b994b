"""$GENERATE: a range and a pattern to the words of many records, as BIND has it.

`$` stands for the number, `${offset,width,base}` for the number shifted and written in d, o, x or
X (n and N: hex digits parted by dots, the last one first). `$$` and `\\$` are a dollar.
"""

from collections.abc import Iterator
from re import compile as pattern

from kdns.wire.fields import Word

MOST = 65536
_RANGE = pattern(r"([0-9]{1,10})-([0-9]{1,10})(?:/([0-9]{1,10}))?")
_DOLLAR = pattern(r"\\\$|\$\$|\$(?:\{([^}]*)\})?")
_MODIFIER = pattern(r"(-?[0-9]{1,10})(?:,([0-9]{1,3}))?(?:,([doxXnN]))?")


class GenerateError(ValueError):
    """A range or pattern that is none."""


def generate(words: list[Word]) -> Iterator[list[Word]]:
    """The words of each record."""
    match = _RANGE.fullmatch(words[0].text)
    if match is None or len(words) < 4:
        raise GenerateError("expected first-last[/step] name type data")
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if not step or last < first or (last - first) // step >= MOST or last > 0x7FFFFFFF:
        raise GenerateError(f"{words[0].text} is no range of at most {MOST} numbers")
    for number in range(first, last + 1, step):
        yield [Word(_filled(word.text, number), word.is_quoted) for word in words[1:]]


def _filled(text: str, number: int) -> str:
    out = []
    at = 0
    for match in _DOLLAR.finditer(text):
        out.append(text[at : match.start()])
        at = match.end()
        plain = match[0] in {"\\$", "$$"}
        out.append("$" if plain else _written(match[1], number))
    return "".join(out) + text[at:]


def _written(modifier: str | None, number: int) -> str:
    if modifier is None:
        return str(number)
    match = _MODIFIER.fullmatch(modifier)
    if match is None:
        raise GenerateError(f"${{{modifier}}} is no offset[,width[,base]]")
    value, width, base = number + int(match[1]), int(match[2] or 0), match[3] or "d"
    if value < 0 or width > 255:
        raise GenerateError(f"${{{modifier}}} makes {value} of {number}")
    if base in "nN":
        digits = format(value, "x" if base == "n" else "X").zfill((width + 1) // 2)
        return ".".join(reversed(digits))
    return format(value, base).zfill(width)
