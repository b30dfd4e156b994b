"""Blocks of a help page become lines for a terminal, or plain ones for a pipe; what one takes.

Text is wrapped to the width, code is not. A table too wide for it wraps its last column; one wider
still is told row by row.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

from kdns.cli.markdown import Block, Code, Heading, Item, Paragraph, Table, spans

BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
LEAST_LAST = 24
"""Fewer columns are not enough for a last cell that wraps."""
WHOLE = 24
"""Code that is no longer stays on one line."""
GAP = "  "


def columns(most: int) -> int:
    """How wide lines may be: the terminal, and no more than can be read well."""
    return min(shutil.get_terminal_size((100, 24)).columns, most)


def is_colored() -> bool:
    """True where what is printed goes to a terminal, and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def render(blocks: Iterable[Block], width: int, *, is_colored: bool) -> str:
    """The page."""
    lines: list[str] = []
    before: Block | None = None
    for block in blocks:
        if before is not None and not (isinstance(block, Item) and isinstance(before, Item)):
            lines.append("")
        lines += _lines(block, width)
        before = block
    return "".join(f"{_ink(line) if is_colored else _unmark(line)}\n" for line in lines)


# Control characters that no page has stand for styles while lines are measured and wrapped.
_STRONG, _CODE, _END, _BLANK = "\x01", "\x02", "\x03", "\x04"


def _lines(block: Block, width: int) -> list[str]:
    match block:
        case Heading(level=1):
            return [f"{_STRONG}{block.text.upper()}{_END}"]
        case Heading():
            return [f"{_STRONG}{block.text}{_END}"]
        case Paragraph():
            return wrap(_marked(block.text), width)
        case Item():
            lead = "  " * block.depth + "* "
            return wrap(_marked(block.text), width, lead, " " * len(lead))
        case Code():
            return [f"    {_CODE}{line}{_END}" if line else "" for line in block.lines]
        case Table():
            rows = [[_marked(cell) for cell in row] for row in block.rows]
            return list(_table(rows, width))


def _marked(text: str) -> str:
    """Running text with its styles as control characters; short code does not break."""
    out = []
    for piece, style in spans(text):
        if style == "code":
            whole = piece.replace(" ", _BLANK) if len(piece) <= WHOLE else piece
            piece = f"{_CODE}{whole}{_END}"  # noqa: PLW2901
        elif style == "strong":
            piece = f"{_STRONG}{piece}{_END}"  # noqa: PLW2901
        out.append(piece)
    return "".join(out)


def _unmark(line: str) -> str:
    return line.translate({1: None, 2: None, 3: None, 4: " "}).rstrip()


def _ink(line: str) -> str:
    return line.translate({1: BOLD, 2: DIM, 3: PLAIN, 4: " "}).rstrip()


def wrap(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most `width` columns; a word that is longer stays whole."""
    lines = [first]
    room = width - len(first)
    for word in text.split():
        size = len(_unmark(word))
        if lines[-1] not in (first, rest) and size + 1 > room:
            lines.append(rest)
            room = width - len(rest)
        space = "" if lines[-1] in (first, rest) else " "
        lines[-1] += space + word
        room -= size + len(space)
    return _carried(lines)


def _carried(lines: Sequence[str]) -> list[str]:
    """Ends a style where its line ends, and takes it up again on the next."""
    out, style = [], ""
    for line in lines:
        stripped = line.lstrip()
        whole = line[: len(line) - len(stripped)] + style + stripped
        for mark in (char for char in line if char in (_STRONG, _CODE, _END)):
            style = "" if mark == _END else mark
        out.append(whole + (_END if style else ""))
    return out


def _table(rows: list[list[str]], width: int) -> Iterator[str]:
    sizes = [max(len(_unmark(row[n])) for row in rows if n < len(row)) for n in range(len(rows[0]))]
    before = sum(sizes[:-1]) + len(GAP) * (len(sizes) - 1)
    if before + min(sizes[-1], LEAST_LAST) > width:
        yield from _told(rows, width)
        return
    for number, row in enumerate(rows):
        lead = "".join(
            _padded(cell, size) + GAP for cell, size in zip(row, sizes[:-1], strict=False)
        )
        last = row[-1] if len(row) == len(sizes) else ""
        cells = wrap(last, width - before)
        yield (_strong(lead) if number == 0 else lead) + (
            _strong(cells[0]) if number == 0 else cells[0]
        )
        yield from (" " * before + cell for cell in cells[1:])


def _strong(text: str) -> str:
    return f"{_STRONG}{text}{_END}" if text else ""


def _padded(cell: str, size: int) -> str:
    return cell + " " * (size - len(_unmark(cell)))


def _told(rows: list[list[str]], width: int) -> Iterator[str]:
    """Each row as its first cell, and what the others say below it."""
    titles = rows[0]
    for row in rows[1:]:
        yield from wrap(_strong(_unmark(row[0])), width)
        told = [
            f"{title}: {cell}" for title, cell in zip(titles[1:], row[1:], strict=False) if cell
        ]
        yield from wrap(" · ".join(told), width, "    ", "    ")
