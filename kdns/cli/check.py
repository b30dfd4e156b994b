"""`kdns check FILE`: says whether a Corefile is right, with every mistake, and starts nothing."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kdns.corefile.tree import ConfigError
from kdns.server.assembly import Services, build
from kdns.server.begin import corefile
from kdns.server.siblings import wanted


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when the Corefile is right, 2 when not."""
    options = parser().parse_args(arguments)
    file = options.file or ("Corefile" if Path("Corefile").exists() else "")
    errors = mistakes(options.file)
    for error in errors:
        print(error, file=sys.stderr)
    if not errors:
        print(f"{file}: fine" if file else "no Corefile here: kdns would serve whoami alone")
    return 2 if errors else 0


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    made = argparse.ArgumentParser(prog="kdns check", description=__doc__)
    made.add_argument(
        "file", nargs="?", metavar="FILE", default=None, help="the Corefile (./Corefile)"
    )
    return made


def mistakes(file: str | None) -> list[ConfigError]:
    """All that is wrong with a Corefile."""
    errors: list[ConfigError] = []
    try:
        text, path = corefile(file, 53)
    except ConfigError as error:
        return [error]
    warn = lambda line: print(f"warning: {line}")  # noqa: E731
    assembly = build(text, path, Services(), errors, warn=warn)
    wanted(assembly, warn)
    for plugin in assembly.plugins:
        try:
            plugin.look()
        except ConfigError as error:
            errors.append(error)
    return errors
