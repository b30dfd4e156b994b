"""`kdns help [TOPIC]`: the topics, or the page of one; every directive and command has its own."""

import argparse
import difflib
import sys
from collections.abc import Sequence

from kdns.cli import markdown, topics
from kdns.cli.main import COMMANDS
from kdns.cli.parsers import parser_of
from kdns.cli.terminal import columns, is_colored, render, wrap

WIDEST = 100
"""Lines longer than that are hard to read."""


def main(arguments: Sequence[str]) -> int:
    """Exit code 0, or 2 for a topic that is none."""
    topic = parser().parse_args(arguments).topic
    page = topics.find(topic) if topic else None
    if page is not None:
        text = page.read_text(encoding="utf-8")
        print(render(markdown.parse(text), columns(WIDEST), is_colored=is_colored()), end="")
    elif topic in COMMANDS:
        parser_of(topic).print_help()
    elif topic:
        print(f"kdns help: {_unknown(topic)}", file=sys.stderr)
        return 2
    else:
        print(contents(columns(WIDEST)), end="")
    return 0


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    made = argparse.ArgumentParser(prog="kdns help", allow_abbrev=False, description=__doc__)
    made.add_argument("topic", nargs="?", metavar="TOPIC", help="a topic, a directive or a command")
    return made


def contents(width: int) -> str:
    """All topics."""
    guides = topics.guides()
    lines = ["kdns help TOPIC prints a page. Topics:", ""]
    size = max(len(name) for name in [*guides, *COMMANDS])
    for name, path in guides.items():
        lines += _entry(name, topics.summary(path), size, width)
    lines += ["", "Commands, which kdns COMMAND --help says more of:", ""]
    for name, about in COMMANDS.items():
        lines += _entry(name, about, size, width)
    lines += ["", "Directives of a Corefile:", ""]
    lines += wrap(" ".join(topics.directives()), width, "  ", "  ")
    return "\n".join(lines) + "\n"


def _entry(name: str, about: str, size: int, width: int) -> list[str]:
    return wrap(about, width, f"  {name:{size}s}  ", " " * (size + 4))


def names() -> list[str]:
    """Every topic there is."""
    return sorted({*topics.guides(), *topics.directives(), *COMMANDS})


def _unknown(topic: str) -> str:
    near = difflib.get_close_matches(topic, names(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "kdns help lists them"
    return f"there is no topic {topic!r}; {hint}"
