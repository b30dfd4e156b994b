"""What tools say: on standard error, and nothing of a server's words that a terminal would obey."""

import sys


def complain(text: str) -> None:
    """A line on standard error."""
    print(plain(text), file=sys.stderr)


def plain(text: str) -> str:
    """Text with nothing in it that a terminal would obey."""
    if text.isascii() and text.isprintable():
        return text
    from kdns.wire import shown  # noqa: PLC0415  (time to start: it reads all types of records)

    return shown.plain(text)
