"""An Explanation becomes text for a terminal; its first line is the reason.

Below it stand the way of the look-up, a question a line, what the reason was concluded from, what
to type next, and what could not be known. Names, messages and notes are other people's text: what
is not plain ASCII is written as `\\u{...}`, so that nothing in them reaches the terminal.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from kdns.client.search import Asked, Walk
from kdns.explain.reasons.replies import Step, read
from kdns.explain.reasons.serverside import extended, plainly, spoken
from kdns.explain.reasons.words import lasting
from kdns.explain.said import Explanation, Reason, Trace
from kdns.wire import types
from kdns.wire.shown import plain

STEPS: Final = 12
"""Rows of a way; of the rest the number."""
LINES: Final = 8
"""Lines of evidence, and of each other list."""
COMMANDS: Final = 5
LONGEST: Final = 400
"""Characters of one piece of text."""
GOOD: Final = frozenset({"resolves", "nothing-wrong"})
"""Reasons of names that can be used,"""
MIXED: Final = frozenset(
    {"search-wastes", "publishes-not-ready", "endpoints-late", "headless-port"}
)
"""and those beside which they can, too."""

_RED, _GREEN, _YELLOW, _BOLD, _DIM, _OFF = (f"\033[{code}m" for code in (31, 32, 33, 1, 2, 0))


@dataclass(frozen=True, slots=True)
class _Row:
    """One name asked of one server, for all its types."""

    name: str
    types: str
    server: str
    said: str
    took: str
    plugin: str
    because: str
    notes: tuple[str, ...]


def render(found: Explanation, *, width: int = 100, colour: bool = False) -> str:
    """The whole text, with a newline at its end."""
    first, *others = found.reasons
    lines = [_painted(brief(first.says), _BOLD + _hue(first), colour)]
    asked = " ".join(word for word in (found.name, found.type) if word)
    asked += f", by {found.asker}" if found.asker else ""
    lines += ["", *_wrapped("asked: ", asked, width)]
    for title, walk in _ways(found.walks):
        lines += _way(title, walk, found.traces, width, colour)
    lines += [
        line
        for one in found.connections
        for line in _wrapped(
            "tried: ", f"{one.address} port {one.port}/{one.protocol}: {one.outcome}", width
        )
    ]
    sections: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("why:", "- ", first.evidence),
        ("also:", "- ", [one.says for one in others]),
        ("next:", "$ ", _commands(found.reasons)),
        ("not known:", "- ", found.unknown),
    )
    for title, mark, texts in sections:
        lines += _section(title, mark, tuple(texts), width, colour)
    return "\n".join(lines) + "\n"


def brief(text: str) -> str:
    """The beginning of a text, as a terminal may show it."""
    return plain(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def _hue(reason: Reason) -> str:
    if reason.id in GOOD:
        return _GREEN
    return _YELLOW if reason.id in MIXED else _RED


def _ways(walks: Sequence[Walk]) -> Iterator[tuple[str, Walk]]:
    """The walks to show: one where the libcs agree."""
    if len(walks) == 2 and _gist(walks[0]) == _gist(walks[1]):
        yield f"as {walks[0].libc} and {walks[1].libc} ask", walks[0]
        return
    for walk in walks:
        yield f"as {walk.libc} asks", walk


def _gist(walk: Walk) -> tuple[object, ...]:
    """What makes a walk differ from another for who reads it."""
    names = tuple(dict.fromkeys((one.name.lower(), one.nameserver) for one in walk.asked))
    by = walk.name if walk.outcome == "answered" else ""
    return (names, walk.outcome, by, frozenset(walk.addresses))


def _way(
    title: str,
    walk: Walk,
    traces: dict[tuple[str, int], Trace],
    width: int,
    colour: bool,
) -> list[str]:
    """A walk as a table, and how it ends."""
    rows = list(_rows(walk, traces))
    servers = list(dict.fromkeys(row.server for row in rows))
    if len(servers) == 1:
        title += f", all of {servers[0]}"
    shown = rows[:STEPS] if len(rows) <= STEPS + 1 else [*rows[: STEPS - 1], rows[-1]]
    cells = [
        (
            row.name,
            row.types,
            *((row.server,) if len(servers) > 1 else ()),
            row.said,
            row.took,
            row.plugin,
        )
        for row in shown
    ]
    sizes = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
    kept = [at for at, size in enumerate(sizes) if size]
    lines = ["", _painted(brief(f"{title}:"), _BOLD, colour)]
    for number, (row, cell) in enumerate(zip(shown, cells, strict=True)):
        if number == STEPS - 1 and len(rows) > len(shown):
            lines.append(f"  ... {len(rows) - len(shown)} more")
        line = "  " + "  ".join(cell[at].ljust(sizes[at]) for at in kept)
        beside = [f"{row.because}"] if row.because else []
        if beside and len(line) + 2 + len(row.because) <= width:
            line += _painted(f"  {beside.pop()}", _DIM, colour)
        lines.append(line.rstrip())
        for text in (*beside, *row.notes):
            lines += [_painted(part, _DIM, colour) for part in _wrapped("      ", text, width)]
    if not rows:
        lines.append("  nothing: it is told at once")
    end = walk.outcome if walk.outcome != "answered" else ""
    if end:
        told = f"  the application is told: {end}" + (f" ({walk.says})" if walk.says else "")
        lines.append(brief(told))
    return lines


def _rows(walk: Walk, traces: dict[tuple[str, int], Trace]) -> Iterator[_Row]:
    """A row for each name and server; its types in one where they were answered alike."""
    groups: dict[tuple[str, tuple[str, int], int], list[Asked]] = {}
    turn = 0
    before: tuple[str, tuple[str, int]] | None = None
    for one in walk.asked:
        here = (one.name, one.nameserver)
        turn += here != before
        before = here
        groups.setdefault((*here, turn), []).append(one)
    for (name, server, _), asked in groups.items():
        steps = [read(one) for one in asked]
        said = list(dict.fromkeys(step.said for step in steps))
        same = len(said) == 1
        found = [traces.get((one.name, one.type)) or Trace("") for one in asked]
        yield _Row(
            brief(name),
            " ".join(dict.fromkeys(types.type_name(step.type) for step in steps)),
            brief(server[0] if server[1] == 53 else f"{server[0]}:{server[1]}"),
            brief(said[0] if same else "; ".join(_typed(step) for step in steps)),
            _took(asked),
            brief(", ".join(dict.fromkeys(one.plugin for one in found if one.plugin))),
            brief(asked[0].because.partition(":")[0]),
            tuple(dict.fromkeys(_notes(steps, found))),
        )


def _typed(step: Step) -> str:
    return f"{types.type_name(step.type)} {step.said}"


def _took(asked: Sequence[Asked]) -> str:
    longest = max((one.heard.took_s for one in asked), default=0.0)
    if not longest:
        return ""
    over = {one.heard.transport for one in asked} - {"udp"}
    return lasting(longest) + (f" {'/'.join(sorted(over))}" if over else "")


def _notes(steps: Sequence[Step], traces: Sequence[Trace]) -> Iterator[str]:
    told = ""
    for pair in (pair for step in steps for pair in step.ede):
        yield extended(*pair)
    for pair in (pair for trace in traces for pair in trace.ede):
        yield extended(*pair)
    for trace in traces:
        for visit in trace.visits:
            for note in spoken(visit):
                told += note
                yield f"{visit.plugin}: {note}"
        error = plainly(trace.error)
        if error and error not in told:
            yield f"{trace.plugin or 'error'}: {error}"


def _section(
    title: str,
    mark: str,
    texts: Sequence[str],
    width: int,
    colour: bool,
) -> list[str]:
    if not texts:
        return []
    lines = ["", _painted(title, _BOLD, colour)]
    for text in texts[:LINES]:
        # A command stays whole and on one line, to be copied.
        one_line = [f"  {mark}{plain(text)}"]
        lines += one_line if mark == "$ " else _wrapped(f"  {mark}", text, width)
    if len(texts) > LINES:
        lines.append(f"  {mark}and {len(texts) - LINES} more")
    return lines


def _wrapped(head: str, text: str, width: int) -> list[str]:
    """Text behind a head, further lines below where it begins."""
    return wrap(
        brief(text),
        max(width, len(head) + 20),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    ) or [head.rstrip()]


def _commands(reasons: Sequence[Reason]) -> list[str]:
    """Those of the first reason, then those of the others that are none of its good ends."""
    telling = [*reasons[:1], *(one for one in reasons[1:] if one.id not in GOOD)]
    return list(dict.fromkeys(command for one in telling for command in one.next))[:COMMANDS]


def _painted(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{_OFF}" if colour else text
