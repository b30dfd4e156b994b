"""`kdns top`: what a running server answers, for whom and how fast, as it happens.

Reads its status port (`status` in the Corefile). On a terminal a screen that is drawn anew, which q
or Ctrl-C ends; elsewhere a report each time.
"""

import argparse
import os
import select
import shutil
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from kdns.cli.terminal import is_colored
from kdns.status.reader import Reader, ReadError
from kdns.status.screen import Frame, lines
from kdns.status.shapes import Status

ADDRESS: Final = "127.0.0.1:9154"
WIDTH: Final = 100
"""Of a report that no terminal shows."""
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


def main(arguments: Sequence[str]) -> int:
    """Exit code 0; 1 where `--once` finds no server, 2 for bad usage."""
    options = parser().parse_args(arguments)
    try:
        reader = Reader.of(options.address, options.token_file, options.ca)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.filename else error
        named = getattr(error, "filename", None)
        print(f"kdns top: {f'{named}: ' if named else ''}{why}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if options.once:
            return _once(reader, options)
        if options.json or not sys.stdout.isatty():
            _reports(reader, options)
        with _screen():
            _draw_on(reader, options.interval)
    except KeyboardInterrupt:
        pass
    return 0


def parser() -> argparse.ArgumentParser:
    """Its words."""
    made = argparse.ArgumentParser(
        prog="kdns top", allow_abbrev=False,
        description="What a running server answers, for whom and how fast, as it happens. "
        "It needs `status` in the Corefile.",
    )  # fmt: skip
    flag = made.add_argument
    flag(
        "address",
        nargs="?",
        default=ADDRESS,
        metavar="ADDRESS",
        help=f"HOST:PORT or https://HOST:PORT ({ADDRESS})",
    )
    flag("--token-file", metavar="FILE", default="", help="the token that the server wants")
    flag("--ca", metavar="FILE", default="", help="the authority of the server's certificate")
    flag("--once", action="store_true", help="one report, and end")
    flag("--json", action="store_true", help="what the server says, a line each time")
    flag("--interval", metavar="S", type=_seconds, default=1.0, help="seconds between looks (1)")
    return made


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if 0.1 <= value <= 3600:
        return value
    raise argparse.ArgumentTypeError(f"expected seconds from 0.1 to 3600, found {text!r}")


# Reports


def _once(reader: Reader, options: argparse.Namespace) -> int:
    """One report, of what happens within an interval."""
    try:
        if options.json:
            print(reader.octets().decode())
            return 0
        before = reader.status()
        time.sleep(options.interval)
        print("\n".join(_report(reader.status(), before)))
    except ReadError as error:
        print(f"kdns top: {error}", file=sys.stderr)
        return 1
    return 0


def _reports(reader: Reader, options: argparse.Namespace) -> None:
    """A report each time, for ever; what goes wrong is told as it begins and ends."""
    before: Status | None = None
    trouble = ""
    while True:
        began = time.monotonic()
        try:
            if options.json:
                print(reader.octets().decode(), flush=True)
            else:
                now = reader.status()
                print("\n".join([*_report(now, before), ""]), flush=True)
                before = now
            trouble = ""
        except ReadError as error:
            if str(error) != trouble:
                trouble = str(error)
                print(f"kdns top: {trouble}; trying again", file=sys.stderr, flush=True)
        time.sleep(max(began + options.interval - time.monotonic(), 0.0))


def _report(now: Status, before: Status | None) -> list[str]:
    return lines(now, before, Frame(WIDTH, 60))


# The screen


@contextmanager
def _screen() -> Iterator[None]:
    """A screen of our own, and keys as they are pressed; all as it was afterwards."""
    has_keys = sys.stdin.isatty()
    kept = termios.tcgetattr(sys.stdin) if has_keys else []
    sys.stdout.write(_ENTER)
    try:
        if has_keys:
            tty.setcbreak(sys.stdin)
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        if has_keys:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, kept)


def _draw_on(reader: Reader, interval: float) -> None:
    """Draws until q is pressed."""
    now: Status | None = None
    before: Status | None = None
    with _resizing() as resized:
        while True:
            trouble = ""
            try:
                now, before = reader.status(), now
            except ReadError as error:
                trouble = f"{error}; trying again"
            until = time.monotonic() + interval
            _draw(now, before, trouble)
            while (left := until - time.monotonic()) > 0:
                if _pressed(resized, left) == b"q":
                    return
                _draw(now, before, trouble)


def _draw(now: Status | None, before: Status | None, trouble: str) -> None:
    width, height = shutil.get_terminal_size()
    frame = Frame(width, height - bool(trouble), is_colored())
    shown = [frame.red(frame.cut(trouble))] if trouble else []
    if now is not None:
        shown += lines(now, before, frame)
    body = "\n".join(line + _REST_OF_LINE for line in shown)
    sys.stdout.write(_HOME + body + _REST)
    sys.stdout.flush()


@contextmanager
def _resizing() -> Iterator[socket.socket]:
    """What can be read from when the terminal has another size."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        kept = signal.signal(signal.SIGWINCH, lambda *_: None)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(before)
            signal.signal(signal.SIGWINCH, kept)


def _pressed(resized: socket.socket, wait_s: float) -> bytes:
    """A key, or nothing after so long or where the size has changed."""
    keys = [sys.stdin.fileno()] if sys.stdin.isatty() else []
    ready = select.select([resized, *keys], [], [], wait_s)[0]
    if resized in ready:
        resized.recv(4096)
    return os.read(keys[0], 1) if keys and keys[0] in ready else b""
