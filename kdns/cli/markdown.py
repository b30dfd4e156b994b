"""A help page becomes blocks: headings, paragraphs, list items, code and tables.

It reads what our pages are written in, no more of Markdown than that.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_ITEM = re.compile(r"( *)(?:\*|-|\d+\.) +(.*)")
_FENCE = ("```", "~~~")
_CELL = re.compile(r"(?<!\\)\|")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")
_INLINE = re.compile(r"(`[^`]+`)|\*\*(.+?)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")


@dataclass(frozen=True, slots=True)
class Heading:
    """A title; level 1 is the page's own."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text, its lines joined."""

    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """One of a list."""

    depth: int
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to be shown as they are."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, the titles first."""

    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Item | Code | Table


def parse(text: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = _COMMENT.sub("", text).splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
            continue
        block, at = _block(lines, at)
        yield block


def _block(lines: list[str], at: int) -> tuple[Block, int]:
    """The block that begins at a line, and where the next one may."""
    line = lines[at]
    if line.startswith(_FENCE):
        end = next(
            (n for n in range(at + 1, len(lines)) if lines[n].startswith(line[:3])), len(lines)
        )
        return Code(tuple(lines[at + 1 : end])), end + 1
    if line.startswith("#"):
        marks, _, title = line.partition(" ")
        return Heading(len(marks), title.strip()), at + 1
    if line.startswith("|"):
        return _table(lines, at)
    if line.startswith("    "):
        end = _while(lines, at, lambda one: one.startswith("    "))
        return Code(tuple(one[4:] for one in lines[at:end])), end
    item = _ITEM.fullmatch(line)
    end = _while(lines, at + 1, _is_running)
    text = " ".join(one.strip() for one in [item[2] if item else line, *lines[at + 1 : end]])
    return (Item(len(item[1]) // 2, text) if item else Paragraph(text)), end


def _table(lines: list[str], at: int) -> tuple[Table, int]:
    end = _while(lines, at, lambda one: one.startswith("|"))
    rows = [_CELL.split(line.strip().strip("|")) for line in lines[at:end]]
    cells = [tuple(cell.strip().replace(r"\|", "|") for cell in row) for row in rows]
    return Table((cells[0], *cells[2:])), end


def _is_running(line: str) -> bool:
    """True for a line that goes on with the paragraph before."""
    return bool(line.strip()) and not (line.startswith((*_FENCE, "#", "|")) or _ITEM.match(line))


def _while(lines: list[str], at: int, holds: Callable[[str], bool]) -> int:
    while at < len(lines) and holds(lines[at]):
        at += 1
    return at


def spans(text: str) -> Iterator[tuple[str, str]]:
    """Pieces of running text with what they are: `code`, `strong`, or nothing."""
    text = _LINK.sub(_linked, text)
    at = 0
    for match in _INLINE.finditer(text):
        if match.start() > at:
            yield text[at : match.start()], ""
        code, strong, leaning = match.groups()
        yield (code[1:-1], "code") if code else (strong or leaning, "strong")
        at = match.end()
    if at < len(text):
        yield text[at:], ""


def _linked(match: re.Match[str]) -> str:
    """A link as text: pages of ours are named, others are given with their address."""
    said, target = match.groups()
    return f"{said} ({target})" if target.startswith("http") else said
