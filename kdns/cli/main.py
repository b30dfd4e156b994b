"""The command line: CoreDNS's flags start the server; a word first is one of our commands.

Flags are written as CoreDNS takes them, with one dash or two, `-flag value` or `-flag=value`.
Exit codes: 0 fine, 1 failed, 2 bad usage or configuration, 3 can never start.
"""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from io import TextIOWrapper

from kdns import COREDNS, __version__
from kdns.cli import serve
from kdns.plugins import OURS
from kdns.server.registry import implemented

COMMANDS = {
    "check": "is this Corefile right? every mistake, with its line",
    "explain": "why a name resolves, or does not, as pods look it up",
    "top": "what a running server answers, for whom and how fast",
    "query": "asks a server, or a Corefile without a socket: a small dig",
    "lab": "a Kubernetes control plane to learn and test with",
    "conformance": "tests any cluster DNS server from outside, clause by clause",
    "help": "the topics, or the page of one",
    "man": "prints the manual page",
    "completion": "prints the completions for bash, zsh or fish",
}
"""Modules of ours that are loaded for their command only, with what each is for: `main` takes its
words, `parser()` says which there are."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments name; returns the exit code."""
    _fill_standard_streams()
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(errors="replace")  # arrows and dots are not in every locale
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in COMMANDS:
        return _printing(partial(_command, *words))
    if words and words[0] and not words[0].startswith("-"):
        near = "".join(f", did you mean {one}?" for one in get_close_matches(words[0], COMMANDS, 1))
        parser().error(f"there is no command {words[0]!r}{near}")
    options = parser().parse_args(words)
    if options.version:
        return _printing(partial(print, version()))
    if options.plugins:
        # CoreDNS: by name, `on` last, as it belongs to no kind of server.
        names = sorted(implemented(), key=lambda name: (name == "on", name))
        lines = (f"{name} (not in CoreDNS)" if name in OURS else name for name in names)
        return _printing(partial(print, *lines, sep="\n"))
    return serve.run(
        serve.Options(
            corefile=options.conf,
            port=options.port,
            is_quiet=options.quiet,
            pidfile=options.pidfile,
            log_format=options.log_format,
            workers=options.workers,
        ),
        banner=version(),
    )


def _command(name: str, *words: str) -> int:
    code: int = import_module(f"kdns.cli.{name}").main(words)
    return code


def _fill_standard_streams() -> None:
    """Fills the place of those that the caller has closed, which a socket would take: what is
    started from here would have it as its own."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            stream = os.fdopen(number, "r" if name == "stdin" else "w", closefd=False)
            setattr(sys, name, stream)


def _printing(command: Callable[[], int | None]) -> int:
    """Runs what prints; 1 when whoever read it has left, as `head` does."""
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return code or 0


def version() -> str:
    """Version and platform, in the shape of CoreDNS's two lines."""
    system, machine = platform.system().lower(), platform.machine()
    return (
        f"kdns-{__version__} (CoreDNS {COREDNS} Corefiles)\n"
        f"{system}/{machine}, python{platform.python_version()}"
    )


def parser() -> argparse.ArgumentParser:
    """The flags of the server."""
    listed = "\n".join(f"  {name:16s}{about}" for name, about in COMMANDS.items())
    made = argparse.ArgumentParser(
        prog="kdns",
        usage="kdns [FLAG …]   or   kdns COMMAND …   (with --help: its own flags)",
        allow_abbrev=False,
        formatter_class=_Brief,
        add_help=False,
        description="Serves DNS as a Corefile says; a drop-in for CoreDNS.",
        epilog=f"commands:\n{listed}",
    )
    flag = made.add_argument
    flag("-h", "--help", action="help", help=argparse.SUPPRESS)
    flag("-conf", "--conf", metavar="FILE", default=None, help="Corefile, or stdin (./Corefile)")
    flag(
        "-dns.port", "--dns.port", "-p", dest="port", metavar="N", type=_port, default=53,
        help="default port (53)",
    )  # fmt: skip
    flag("-pidfile", "--pidfile", metavar="FILE", default="", help="write the process id there")
    flag("-quiet", "--quiet", action="store_true", help="print nothing at start")
    flag(
        "-log-format", "--log-format", metavar="FORMAT", choices=("text", "json"),
        default="text",
        help="of log lines: text or json (text)",
    )  # fmt: skip
    flag(
        "-workers", "--workers", metavar="N", type=_count, default=None,
        help="serve with N processes, not as multisocket says",
    )  # fmt: skip
    flag("-plugins", "--plugins", action="store_true", help="list the plugins and exit")
    flag("-version", "--version", action="store_true", help="print the version and exit")
    return made


class _Brief(argparse.RawDescriptionHelpFormatter):
    """Names each flag once, though it may be written with one dash or two."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{action.option_strings[0]} {value}".rstrip()


def _count(text: str) -> int:
    if text.isdigit() and 1 <= int(text) <= 1024:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to 1024, found {text!r}")


def _port(text: str) -> int:
    if text.isdigit() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
