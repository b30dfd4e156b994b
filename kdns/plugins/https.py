"""https: the bounds of a block's DoH listeners, and whose word counts for who asks."""

from typing import Final

from kdns.corefile.options import Shape, Syntax, integer, network
from kdns.plugins.base import Monitor

MOST_STREAMS: Final = 2**32 - 1


class Https(Monitor):
    """`https { … }`."""

    name = "https"
    syntax = Syntax(
        options={
            "max_connections": Shape(words=(integer(0),), is_single=True),
            "max_streams": Shape(words=(integer(0, MOST_STREAMS),), is_single=True),
            "trust_forwarded": Shape(rest=network, at_least=1, repeats=True),
        },
        repeats=True,
    )
