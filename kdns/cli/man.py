"""`kdns man`: prints the manual page, made from parsers and pages of help.

kdns man | man -l -                                         to read it
kdns man > /usr/local/share/man/man1/kdns.1                 to keep it
"""

import argparse
from collections.abc import Iterator, Sequence

from kdns import COREDNS, __version__
from kdns.cli import markdown, parsers, topics
from kdns.cli.main import COMMANDS
from kdns.cli.markdown import Block, Code, Heading, Item, Paragraph, Table
from kdns.cli.parsers import Word

INCLUDED = "running"
"""The page of help that stands in the manual as a whole: signals, exit codes, files."""


def main(arguments: Sequence[str]) -> int:
    """Exit code 0."""
    parser().parse_args(arguments)
    print("\n".join(page()))
    return 0


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    return argparse.ArgumentParser(
        prog="kdns man", allow_abbrev=False, description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def page() -> Iterator[str]:
    """The lines of the page, in the macros of man(7)."""
    yield f'.TH KDNS 1 "" "kdns {__version__}" "kdns"'
    yield from (".SH NAME", r"kdns \- a cluster DNS server for Kubernetes", ".SH SYNOPSIS")
    yield from (".B kdns", r"[\fIFLAG\fR ...]", ".br", ".B kdns", r"\fICOMMAND\fR ...")
    yield ".SH DESCRIPTION"
    yield _text(
        f"Without a command, serves DNS as a Corefile says: a drop-in for CoreDNS {COREDNS}, with"
        " its Corefile, command line and ports. The commands check a Corefile, ask a server, say"
        " why a name resolves or does not, and run a Kubernetes control plane to learn with."
    )
    yield ".SH OPTIONS"
    yield from _options("")
    yield ".SH COMMANDS"
    for command, about in COMMANDS.items():
        yield f".SS kdns {_escaped(command)}"
        yield _text(about[0].upper() + about[1:] + ".")
        yield from _options(command)
    text = topics.guides()[INCLUDED].read_text(encoding="utf-8")
    for block in list(markdown.parse(text))[2:]:
        yield from _roff(block)
    yield ".SH HELP TOPICS"
    for name, path in topics.guides().items():
        yield from (".TP", rf".B {_escaped(name)}", _text(topics.summary(path)))
    yield ".SH DIRECTIVES"
    yield _text("Each has its page, which kdns help DIRECTIVE prints.")
    for name, path in topics.directives().items():
        yield from (".TP", rf".B {_escaped(name)}", _text(topics.summary(path)))


def _options(command: str) -> Iterator[str]:
    for word in parsers.words(parsers.parser_of(command)):
        if "--help" in word.names:
            continue
        yield ".TP"
        yield _named(word)
        yield _text(word.about)


def _named(word: Word) -> str:
    value = rf"\fI{_escaped(word.metavar)}\fR" if word.metavar else ""
    if not word.names:
        return value
    return ", ".join(rf"\fB{_escaped(name)}\fR" for name in word.names) + (
        f" {value}" if value else ""
    )


def _roff(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            yield f'.SH "{_escaped(block.text.upper())}"'
        case Paragraph():
            yield from (".PP", _text(block.text))
        case Item():
            yield from (r".IP \(bu 2", _text(block.text))
        case Code():
            yield from (".PP", ".EX", *(_guarded(_escaped(line)) for line in block.lines), ".EE")
        case Table():
            for row in block.rows[1:]:
                yield from (".TP", _inline(row[0]), _text(" ".join(row[1:])))


def _text(text: str) -> str:
    return _guarded(_inline(text))


def _inline(text: str) -> str:
    fonts = {"code": r"\fB{}\fR", "strong": r"\fI{}\fR", "": "{}"}
    return "".join(fonts[style].format(_escaped(piece)) for piece, style in markdown.spans(text))


def _escaped(text: str) -> str:
    """Text as roff has it; signs beyond ASCII by their number, which every reader knows."""
    plain = text.replace("\\", r"\e").replace("-", r"\-")
    return "".join(sign if sign.isascii() else rf"\[u{ord(sign):04X}]" for sign in plain)


def _guarded(line: str) -> str:
    """A line that begins like a macro is text all the same."""
    return rf"\&{line}" if line.startswith((".", "'")) else line
