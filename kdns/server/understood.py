"""A Corefile as the server understands it: blocks as written, to what is asked where and when.

Imports are in their place, variables have their values, plugins stand in the order they are asked
in. What is secret is not shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kdns.corefile.tree import Block, Directive
from kdns.plugins import ORDER

SECRETS: Final = frozenset((("tsig", "secret"),))
"""Options whose last word is for nobody's eyes."""
HIDDEN: Final = "…"
MOST_LINES: Final = 12
"""Lines of a directive that are shown; `hosts` may have thousands."""


@dataclass(frozen=True, slots=True)
class Understood:
    """A server block."""

    keys: tuple[str, ...]
    plugins: tuple[str, ...]
    """In the order they are asked in, each with its words: lines of its block behind `·`."""


def understood(blocks: Iterable[Block]) -> list[Understood]:
    """The blocks of a Corefile that is right."""
    return [
        Understood(
            tuple(key.text for key in block.keys),
            tuple(_told(one) for one in sorted(block.directives, key=_place)),
        )
        for block in blocks
    ]


def _place(directive: Directive) -> int:
    return ORDER.index(directive.name.text) if directive.name.text in ORDER else len(ORDER)


def _told(directive: Directive) -> str:
    """A directive in one line."""
    body = directive.body or ()
    lines = [_line(directive)]
    for option in body[:MOST_LINES]:
        is_secret = (directive.name.text, option.name.text) in SECRETS
        lines.append(_line(option, is_secret=is_secret))
    if len(body) > MOST_LINES:
        lines.append(f"and {len(body) - MOST_LINES} lines more")
    return " · ".join(lines)


def _line(directive: Directive, *, is_secret: bool = False) -> str:
    words = [directive.name.text, *(word.text for word in directive.args)]
    if is_secret and len(words) > 1:
        words[-1] = HIDDEN
    return " ".join(" ".join(words).split())
