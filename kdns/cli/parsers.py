"""The parsers of all commands, read as lists: what completions and the man page are made from."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Final

FILES: Final = frozenset({"FILE", "COREFILE", "PATH", "KUBECONFIG"})
FOLDERS: Final = frozenset({"DIR"})


@dataclass(frozen=True, slots=True)
class Word:
    """A flag, or a word that has its place."""

    names: tuple[str, ...]
    """As it may be written; empty for a word without a flag."""
    metavar: str
    """What its value is called: `FILE`; empty for a flag without one."""
    choices: tuple[str, ...]
    about: str

    @property
    def is_file(self) -> bool:
        """True where its value is the path of a file."""
        return self.metavar in FILES

    @property
    def is_folder(self) -> bool:
        """True where its value is the path of a folder."""
        return self.metavar in FOLDERS


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a command; that of the server for the empty name."""
    module = import_module(f"kdns.cli.{command or 'main'}")
    made: argparse.ArgumentParser = module.parser()
    return made


def words(parser: argparse.ArgumentParser) -> Iterator[Word]:
    """Its flags and words, in order."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if action.help is argparse.SUPPRESS:
            continue
        choices = tuple(str(choice) for choice in action.choices or ())
        metavar = action.metavar or "|".join(choices) or action.dest.upper()
        said = metavar if isinstance(metavar, str) else metavar[0]
        takes = said if action.nargs != 0 else ""
        yield Word(tuple(action.option_strings), takes, choices, action.help or "")
