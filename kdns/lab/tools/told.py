"""What tools say on standard error: nothing of a server's words that a terminal would obey."""

import sys

from kdns.wire.shown import plain


def complain(text: str) -> None:
    """A line on standard error."""
    print(plain(text), file=sys.stderr)
