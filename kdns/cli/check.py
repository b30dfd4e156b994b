"""`kdns check FILE`: says whether a Corefile is right, how it is understood, and starts nothing.

What is wrong is told with every mistake. What is right is shown as the server would run it, with
what usually goes wrong in such a Corefile; `--from coredns` says what will be different here.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from kdns.cli import topics
from kdns.cli.terminal import columns
from kdns.corefile.tree import ConfigError
from kdns.plugins import OURS
from kdns.server.assembly import Assembly, Services, build, read_text
from kdns.server.begin import corefile
from kdns.server.pitfalls import remarks
from kdns.server.siblings import wanted
from kdns.server.understood import understood

WIDEST = 120


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when the Corefile is right, 2 when not."""
    options = parser().parse_args(arguments)
    file = options.file or ("Corefile" if Path("Corefile").exists() else "")
    assembly, errors = checked(options.file)
    for error in errors:
        print(error, file=sys.stderr)
    if errors:
        return 2
    print(f"{file}: fine" if file else "no Corefile here: kdns would serve whoami alone")
    if not options.quiet:
        print("\n".join(_shown(assembly)))
    if options.coming:
        print("\n".join(_migration(assembly)))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's words."""
    made = argparse.ArgumentParser(
        prog="kdns check",
        allow_abbrev=False,
        description="Says whether a Corefile is right and how it is understood; starts nothing.",
    )
    flag = made.add_argument
    flag("file", nargs="?", metavar="FILE", help="the Corefile, or stdin (./Corefile)")
    flag("-q", "--quiet", action="store_true", help="say no more than that it is fine")
    flag(
        "--from", dest="coming", choices=("coredns",),
        help="also say what is different for one who comes from there",
    )  # fmt: skip
    return made


def checked(file: str | None) -> tuple[Assembly, list[ConfigError]]:
    """What a Corefile says should run, and all that is wrong with it."""
    errors: list[ConfigError] = []
    try:
        text, path = corefile(file, 53)
    except ConfigError as error:
        return Assembly(), [error]
    warn = lambda line: print(f"warning: {line}")  # noqa: E731
    assembly = build(text, path, Services(), errors, warn=warn)
    wanted(assembly, warn)
    for plugin in assembly.plugins:
        try:
            plugin.look()
        except ConfigError as error:
            errors.append(error)
    return assembly, errors


def _shown(assembly: Assembly) -> list[str]:
    """Zones, addresses and plugins in the order they are asked in; then what to look at."""
    lines = []
    for block in understood(assembly.blocks):
        lines += ["", " ".join(block.keys)]
        for number, told in enumerate(block.plugins, 1):
            lines += _folded(f"  {number:2}. ", told, "      ")
    listens = sorted({place.label for place in assembly.routers})
    lines += ["", *_folded("listens on ", ", ".join(listens), "  ")]
    found = remarks(assembly, read_text)
    if found:
        lines += ["", "look at:"]
        lines += [line for one in found for line in _folded("  ", str(one), "    ")]
    return lines


def _migration(assembly: Assembly) -> list[str]:
    """What the directives of this Corefile do otherwise than in CoreDNS."""
    names = list(dict.fromkeys(one.name for one in assembly.plugins))
    found = {name: topics.differences(name) for name in names if name not in OURS}
    same = [name for name, points in found.items() if not points]
    lines = ["", "from CoreDNS 1.15.0: the same Corefile, flags, ports, probes and metric names"]
    if same:
        lines += _folded("the same: ", ", ".join(same), "  ")
    for name, points in found.items():
        if points:
            lines += ["", f"{name} (kdns help {name}):"]
            lines += [line for point in points for line in _folded("  * ", point, "    ")]
    return lines


def _folded(first: str, text: str, rest: str) -> list[str]:
    """Text in lines that fit the terminal, or 100 columns."""
    width = max(40, columns(WIDEST))
    folded = wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return folded or [first.rstrip()]
