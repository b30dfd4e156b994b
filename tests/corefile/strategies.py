"""Hypothesis strategies for Corefiles: valid ones from a table of directives, and token soup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

Words = st.SearchStrategy[list[str]]


@dataclass(frozen=True)
class Use:
    """One way to write a directive: strategies for its arguments and for those of each option."""

    args: Words = field(default_factory=lambda: st.just([]))
    options: Mapping[str, Words] = field(default_factory=dict)
    repeating: frozenset[str] = frozenset()
    """Options that may be given twice."""


def words(*values: str) -> Words:
    """The same words always."""
    return st.just(list(values))


def some(values: Sequence[str], least: int = 0, most: int = 3) -> Words:
    """Some of the given words."""
    return st.lists(st.sampled_from(list(values)), min_size=least, max_size=most, unique=True)


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '\\"') + '"'


@st.composite
def _written(draw: st.DrawFn, word: str) -> str:
    """A word as it may stand in a file: quoted where it must be, and now and then where not."""
    is_plain = word and not any(c.isspace() or c in '"#{}' for c in word)
    return word if is_plain and draw(st.integers(0, 9)) else _quoted(word)


@st.composite
def _line(draw: st.DrawFn, parts: list[str], indent: str) -> str:
    gap = draw(st.sampled_from([" ", "  ", "\t"]))
    comment = draw(st.sampled_from(["", "", "", " # note", " # {"]))
    return indent + gap.join([draw(_written(part)) for part in parts]) + comment + "\n"


@st.composite
def directives(draw: st.DrawFn, name: str, use: Use, indent: str = "    ") -> str:
    """One directive with its block."""
    head = [name, *draw(use.args)]
    names = draw(st.lists(st.sampled_from(sorted(use.options)), max_size=4)) if use.options else []
    kept = [n for at, n in enumerate(names) if n in use.repeating or n not in names[:at]]
    if not kept:
        return draw(_line(head, indent))
    opened = indent + " ".join([draw(_written(part)) for part in head]) + " {\n"
    lines = [draw(_line([option, *draw(use.options[option])], indent * 2)) for option in kept]
    return opened + "".join(lines) + indent + "}\n"


@st.composite
def blocks(
    draw: st.DrawFn,
    keys: list[str],
    table: Mapping[str, Sequence[Use]],
    needed: Sequence[str] = (),
) -> str:
    """A server block for the given keys, with the needed directives and some others."""
    others = draw(some(sorted(table), most=4))
    chosen = draw(st.permutations([*needed, *(name for name in others if name not in needed)]))
    body = "".join(
        [draw(directives(name, draw(st.sampled_from(list(table[name]))))) for name in chosen]
    )
    joint = draw(st.sampled_from([" ", ", ", ",\n"]))
    return joint.join(keys) + " {\n" + body + "}\n"


@st.composite
def corefiles(
    draw: st.DrawFn,
    table: Mapping[str, Sequence[Use]],
    zones: Sequence[str] = (".", "cluster.local", "example.org"),
    needed: Sequence[str] = (),
) -> str:
    """A whole Corefile: each zone in one block at most; every plugin at most once in a block.

    `table` maps the name of a directive to ways of writing it; `needed` ones stand in every block.
    """
    keys = draw(some(zones, least=1, most=len(zones)))
    text = ""
    while keys:
        size = draw(st.integers(1, len(keys)))
        text += draw(blocks(keys[:size], table, needed))
        keys = keys[size:]
    return text


SOUP = (
    "{", "}", " { ", " }\n", "\n", " ", ",", "#", '"', "\\", "\r", "import", "\nimport ", "(s)",
    "(s) {\n", "s", "f", "*.x", "[", ".", ".:53", "a", "10.0.0.0/15", "::/3", "tls://", ":", "{$A}",
    "{%A%}", "{$", "{$LOOP}", "errors", "hosts", "log", "bind", "127.0.0.1", "view", "\ufeff",
    "\u2028", "\0", "é", "a" * 64, "9" * 20,
)  # fmt: skip

soup = st.lists(st.sampled_from(SOUP) | st.text(max_size=3), max_size=40).map("".join)
"""Texts made of what means something in a Corefile."""
